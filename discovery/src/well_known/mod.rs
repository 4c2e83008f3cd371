//! `.well-known/matrix/server`: to whom a server delegates, and what it hints at (SS "Server discovery").
//!
//! `fetch` asks, along redirections, `document` reads, `lifetime` says how long that is kept; here it is kept, refreshed before it expires, and
//! asked for once for all who wait. That there is no document is an answer, not an error.

mod document;
mod fetch;
mod lifetime;

use std::{sync::Arc, time::Duration};

use comity_core::{ServerName, error::TransportError};
use comity_net::Connector;
use moka::future::Cache;
use tokio::time::{sleep, timeout};

use crate::{
    DiscoveryOptions,
    dns::Names,
    flights::{Flight, Flights, Limits, Turns},
    kept,
    options::{counts, ms},
};
pub(crate) use document::Document;
use fetch::{Fetch, Fetched, Missing};

/// How long after its end a document still makes its absence look like an accident.
const RECENT: Duration = Duration::from_secs(2 * 3600);

/// How often a server is asked that had a document just before, and the pause in between.
const TRIES: (usize, Duration) = (3, Duration::from_millis(500));

/// Why there is no document.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) why: String,
    /// It may be otherwise soon.
    temporary: bool,
}

/// What is known of a server's document.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) found: Result<Arc<Document>, Fault>,
    /// The URLs that it was redirected to.
    pub(crate) hops: Arc<[String]>,
    /// When it was fetched.
    pub(crate) at: i64,
    /// Until when this counts.
    pub(crate) until: i64,
    /// From when on a document is asked for again, before it ends.
    refresh_from: i64,
    /// Until when the last document counted.
    valid_until: Option<i64>,
    failures: u32,
}

impl Known {
    /// What it takes in memory, roughly.
    fn bytes(&self) -> usize {
        let hops: usize = self.hops.iter().map(String::len).sum();
        let found = match &self.found {
            Err(fault) => fault.why.len(),
            Ok(document) => {
                let offers = document.offers.iter().map(|offer| {
                    let to = offer.connect_to.as_ref().map_or(0, |to| to.host().len());
                    size_of_val(offer) + offer.binding.len() + to
                });
                document.server.as_str().len() + offers.sum::<usize>()
            }
        };
        size_of::<Self>() + hops + found
    }
}

/// Documents by host name. Clones share them.
#[derive(Clone)]
pub(crate) struct WellKnown(Arc<Inner>);

struct Inner {
    fetch: Fetch,
    known: Cache<Arc<str>, Arc<Known>>,
    flights: Flights<Arc<str>, Arc<Known>>,
    options: DiscoveryOptions,
}

impl WellKnown {
    pub(crate) fn new(names: Names, connector: Connector, options: &DiscoveryOptions) -> Self {
        Self(Arc::new(Inner {
            fetch: Fetch::new(names, connector, options.clone()),
            known: kept::cache(options.well_known_capacity, |host, known| {
                host.len() + known.bytes()
            }),
            flights: Flights::new(Limits {
                what: ".well-known documents",
                waiting: options.max_lookups,
                at_once: options.well_known_at_once,
                setting: "well_known_at_once",
                patience: options.well_known_timeout,
            }),
            options: options.clone(),
        }))
    }

    /// What is known of the document of `host`, a DNS name; asked for if it is not known.
    ///
    /// # Errors
    /// `Busy` if too many are asked for already: to go on without would be to go to another place.
    pub(crate) async fn get(&self, host: &ServerName) -> Result<Arc<Known>, TransportError> {
        let now = self.0.now();
        let key: Arc<str> = host.as_str().to_ascii_lowercase().into();
        let before = self.0.known.get(&key).await;
        match before {
            Some(known) if counts(known.at, known.until, now) => {
                if known.found.is_ok() && now >= known.refresh_from {
                    // In the background. If too many are under way, a later call tries again.
                    let _ = self.look(host, &key, Some(Arc::clone(&known)));
                }
                Ok(known)
            }
            before => self.look(host, &key, before)?.await,
        }
    }

    fn look(
        &self,
        host: &ServerName,
        key: &Arc<str>,
        before: Option<Arc<Known>>,
    ) -> Result<Flight<Arc<Known>>, TransportError> {
        self.0.flights.join(key, |turns| {
            let inner = Arc::clone(&self.0);
            let key = Arc::clone(key);
            // The answer is for all who write the name in whatever letters, so the first who asks has no say in them.
            let host = key.parse().unwrap_or_else(|_| host.clone());
            async move { inner.look(&host, key, before, &turns).await }
        })
    }
}

impl Inner {
    fn now(&self) -> i64 {
        (self.options.now)()
    }

    async fn look(
        &self,
        host: &ServerName,
        key: Arc<str>,
        before: Option<Arc<Known>>,
        turns: &Turns,
    ) -> Result<Arc<Known>, TransportError> {
        // Another flight may have landed since the caller looked.
        let latest = self.known.get(&key).await;
        let landed = match (&latest, &before) {
            (Some(latest), Some(before)) => !Arc::ptr_eq(latest, before),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if let Some(latest) = latest
            && landed
        {
            return Ok(latest);
        }
        let _turn = turns.take().await?;
        let limit = self.options.well_known_timeout;
        let fetched = timeout(limit, self.fetch(host, before.as_deref())).await;
        let fetched = fetched.unwrap_or_else(|_| {
            Err(Missing::Fault(Fault {
                why: format!("it was not there within {limit:?} (setting: well_known_timeout)"),
                temporary: true,
            }))
        });
        let known = Arc::new(match fetched {
            Ok(fetched) => self.valid(fetched),
            Err(Missing::Fault(fault)) => self.invalid(host, fault, before.as_deref()),
            // Nothing was learned.
            Err(Missing::Busy(error)) => return Err(error),
        });
        self.known.insert(key, Arc::clone(&known)).await;
        Ok(known)
    }

    /// Whoever had a document just before is asked several times: to go on without it would be to go to another place.
    async fn fetch(&self, host: &ServerName, before: Option<&Known>) -> Result<Fetched, Missing> {
        let (mut tries, pause) = TRIES;
        if !self.was_valid(before) {
            tries = 1;
        }
        loop {
            tries -= 1;
            match self.fetch.document(host).await {
                Err(Missing::Fault(fault)) if fault.temporary && tries > 0 => sleep(pause).await,
                outcome => return outcome,
            }
        }
    }

    fn was_valid(&self, before: Option<&Known>) -> bool {
        let until = before.and_then(|known| known.valid_until);
        until.is_some_and(|until| self.now() < until.saturating_add(ms(RECENT)))
    }

    fn valid(&self, fetched: Fetched) -> Known {
        let at = self.now();
        let age = lifetime::age(fetched.said, &self.options);
        let until = at.saturating_add(ms(age));
        Known {
            found: Ok(Arc::new(fetched.document)),
            hops: fetched.hops.into(),
            at,
            until,
            // The last fifth.
            refresh_from: until.saturating_sub(ms(age / 5)),
            valid_until: Some(until),
            failures: 0,
        }
    }

    fn invalid(&self, host: &ServerName, fault: Fault, before: Option<&Known>) -> Known {
        tracing::debug!(%host, why = fault.why, "no .well-known document");
        let now = self.now();
        let failures = before.map_or(0, |known| known.failures);
        let was_valid = self.was_valid(before);
        let age = ms(lifetime::error_age(failures, was_valid, &self.options));
        match before {
            // It was to be refreshed; what there is counts on.
            Some(known)
                if known.found.is_ok() && counts(known.at, known.until, now) && fault.temporary =>
            {
                Known {
                    refresh_from: now.saturating_add(age),
                    ..known.clone()
                }
            }
            _ => Known {
                found: Err(fault),
                hops: Arc::default(),
                at: now,
                until: now.saturating_add(age),
                refresh_from: i64::MAX,
                valid_until: before.and_then(|known| known.valid_until),
                failures: failures.saturating_add(1),
            },
        }
    }
}
