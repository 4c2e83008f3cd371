//! What name servers say, kept as long as they say.
//!
//! `wire` asks, `srv` orders a service's targets; here answers are kept, and asked for once for all who wait.

mod srv;
mod wire;

use std::{net::IpAddr, sync::Arc, time::Duration};

use comity_core::error::TransportError;
use moka::future::Cache;
use tokio::time::timeout;

use crate::{
    DiscoveryError, DiscoveryOptions,
    flights::{Flights, Limits, Turns},
    kept,
    options::{counts, ms},
};
pub(crate) use srv::{Service, random};
use wire::{Found, Told, Wire};

/// First time until a question is asked again that no server answered; it doubles with each failure (RFC 9520 §3.2).
const FAILURE: Duration = Duration::from_secs(5);

/// Longest time that the absence of a name is believed, whatever its SOA record says (RFC 2308 §5).
const MAX_NEGATIVE: Duration = Duration::from_secs(3600);

/// Most targets of a service that are kept, and whose addresses are looked up.
const MAX_TARGETS: usize = 8;

/// Time until servers that are silent are asked again for an answer that outlived its TTL (RFC 8767 §5).
const STALE: Duration = Duration::from_secs(30);

/// A question about a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    /// Lower case, without a dot at its end.
    name: Arc<str>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    A,
    Aaaa,
    Srv,
}

/// What is known of a name.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) answer: Answer,
    /// What the name is an alias of, if it is one.
    pub(crate) alias: Option<String>,
    /// The TTL that was told, in seconds.
    pub(crate) ttl: u32,
    /// When it was asked for.
    at: i64,
    /// When it is asked for again.
    pub(crate) until: i64,
    /// Why there is no newer answer, if this one outlived its TTL.
    pub(crate) stale: Option<String>,
    /// Until when it serves at most, if no server answers.
    serves_until: i64,
    failures: u32,
}

impl Known {
    /// What it takes in memory, roughly.
    fn bytes(&self) -> usize {
        let texts = [self.alias.as_ref(), self.stale.as_ref()];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let answer = match &self.answer {
            Answer::Addresses(addresses) => size_of_val(&**addresses),
            Answer::Services(services) => {
                let targets: usize = services.iter().map(|service| service.target.len()).sum();
                size_of_val(&**services) + targets
            }
            Answer::Absent(_) => 0,
            Answer::Failed(why) => why.len(),
        };
        size_of::<Self>() + texts + answer
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Addresses(Arc<[IpAddr]>),
    /// In the order in which they are to be tried; none if the service is declared to be absent.
    Services(Arc<[Service]>),
    Absent(Absence),
    /// No server answered.
    Failed(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// NXDOMAIN, or a text that is no DNS name.
    NoName,
    /// NODATA.
    NoRecord,
}

impl Absence {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoName => "there is no such name",
            Self::NoRecord => "the name has no such record",
        }
    }
}

/// Names and what is known of them. Clones share it.
#[derive(Clone)]
pub(crate) struct Names(Arc<Inner>);

struct Inner {
    wire: Wire,
    known: Cache<Question, Arc<Known>>,
    flights: Flights<Question, Arc<Known>>,
    options: DiscoveryOptions,
}

impl Names {
    pub(crate) fn new(options: &DiscoveryOptions) -> Result<Self, DiscoveryError> {
        Ok(Self(Arc::new(Inner {
            wire: Wire::new(options)?,
            known: kept::cache(options.dns_capacity, |question, known| {
                question.name.len() + known.bytes()
            }),
            flights: Flights::new(Limits {
                what: "questions to DNS",
                waiting: options.max_lookups,
                at_once: options.dns_at_once,
                setting: "dns_at_once",
                patience: options.dns_timeout,
            }),
            options: options.clone(),
        })))
    }

    /// The IPv6 and the IPv4 addresses of a name.
    ///
    /// # Errors
    /// `Busy` if too many questions are under way.
    pub(crate) async fn addresses(
        &self,
        name: &str,
    ) -> Result<(Arc<Known>, Arc<Known>), TransportError> {
        let (v6, v4) = tokio::join!(self.get(name, Kind::Aaaa), self.get(name, Kind::A));
        Ok((v6?, v4?))
    }

    /// The targets of a service.
    ///
    /// # Errors
    /// `Busy` if too many questions are under way.
    pub(crate) async fn services(&self, name: &str) -> Result<Arc<Known>, TransportError> {
        self.get(name, Kind::Srv).await
    }

    async fn get(&self, name: &str, kind: Kind) -> Result<Arc<Known>, TransportError> {
        let question = Question {
            name: name.into(),
            kind,
        };
        let before = self.0.known.get(&question).await;
        match before {
            Some(known) if counts(known.at, known.until, self.0.now()) => Ok(known),
            before => {
                let inner = Arc::clone(&self.0);
                let asked = question.clone();
                let flight = self.0.flights.join(&question, |turns| async move {
                    inner.ask(asked, before, &turns).await
                });
                flight?.await
            }
        }
    }
}

impl Inner {
    fn now(&self) -> i64 {
        (self.options.now)()
    }

    async fn ask(
        &self,
        question: Question,
        before: Option<Arc<Known>>,
        turns: &Turns,
    ) -> Result<Arc<Known>, TransportError> {
        // Another flight may have landed since the caller looked.
        if let Some(known) = self.known.get(&question).await
            && counts(known.at, known.until, self.now())
        {
            return Ok(known);
        }
        let _turn = turns.take().await?;
        let limit = self.options.dns_timeout;
        let told = timeout(limit, self.wire.ask(&question))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {limit:?} (setting: dns_timeout)")));
        let known = Arc::new(match told {
            Ok(told) => self.answered(told),
            Err(why) => self.failed(&question, why, before.as_deref()),
        });
        self.known.insert(question, Arc::clone(&known)).await;
        Ok(known)
    }

    fn answered(&self, told: Told) -> Known {
        let mut ttl = Duration::from_secs(told.ttl.into()).min(self.options.dns_max_ttl);
        let answer = match told.found {
            Found::Addresses(addresses) => Answer::Addresses(addresses.into()),
            // Ordered once for the life of the answer: another order for each call would only scatter connections.
            Found::Services(services) => {
                let mut services = srv::in_order(services, random);
                services.truncate(MAX_TARGETS);
                Answer::Services(services.into())
            }
            Found::Absent(absence) => {
                ttl = ttl.min(MAX_NEGATIVE);
                Answer::Absent(absence)
            }
        };
        let at = self.now();
        let until = at.saturating_add(ms(ttl));
        Known {
            answer,
            alias: told.alias,
            ttl: told.ttl,
            at,
            until,
            stale: None,
            serves_until: until.saturating_add(ms(self.options.dns_stale)),
            failures: 0,
        }
    }

    fn failed(&self, question: &Question, why: String, before: Option<&Known>) -> Known {
        tracing::debug!(name = &*question.name, kind = ?question.kind, why, "no answer from DNS");
        let now = self.now();
        let failures = before.map_or(0, |known| known.failures);
        match before {
            Some(known)
                if now < known.serves_until && !matches!(known.answer, Answer::Failed(_)) =>
            {
                Known {
                    answer: known.answer.clone(),
                    alias: known.alias.clone(),
                    ttl: known.ttl,
                    at: now,
                    until: now.saturating_add(ms(STALE)).min(known.serves_until),
                    stale: Some(why),
                    serves_until: known.serves_until,
                    failures: failures.saturating_add(1),
                }
            }
            _ => Known {
                answer: Answer::Failed(why),
                alias: None,
                ttl: 0,
                at: now,
                until: now.saturating_add(ms(
                    (FAILURE * 2_u32.pow(failures.min(8))).min(self.options.dns_max_error_age)
                )),
                stale: None,
                serves_until: now,
                failures: failures.saturating_add(1),
            },
        }
    }
}
