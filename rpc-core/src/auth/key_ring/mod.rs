//! Other servers' keys: asked for once, kept within bounds, trusted no longer than they say.
//!
//! | File | Subject |
//! | --- | --- |
//! | `known` | what is known of a server, and which of two documents counts |
//! | `fetch` | asking the server itself or notaries |
//! | `flight` | one fetch per server at a time |
//! | `stored` | documents that outlive the process |
//! | `offers` | the bindings that a document lists |

mod fetch;
mod flight;
mod known;
mod offers;
mod stored;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use moka::{future::Cache, policy::EvictionPolicy};
use tokio::sync::Semaphore;

pub use self::fetch::{FetchOrder, MAX_NOTARIES, TrustedNotary};
pub(super) use self::known::{Age, Need};
use self::{
    flight::{Awaited, Errand, Flight, Flights, Landing},
    known::Known,
};
use super::{
    FetchedKeys, KeyFault, KeyId, KeySource, KeyStore, PreparedKeys, PublishedKeys, ServerKeys,
    VerifyKey, now_ms,
};
use crate::{Client, ServerName};

/// How a key ring behaves.
#[derive(Clone)]
pub struct KeyRingOptions {
    /// Most memory that documents take, in bytes. The one that was not used for the longest time is dropped; a store still has it.
    pub memory: u64,
    /// Most servers of which it is remembered that their keys could not be had.
    pub failures: u64,
    /// Most requests for keys on the wire at once that are for servers without a known document. As many again are for the others: names that somebody
    /// makes up, of servers that never answer, do not keep known documents from being renewed.
    pub fetches: usize,
    /// Most servers without a known document whose keys are waited for at once. Further ones are told that there are too many. As many again for the others.
    pub waiting: usize,
    /// How long one fetch may take, waiting for its turn and asking notaries included. A store has a quarter of that time beside.
    pub timeout: Duration,
    /// Least time between two fetches from one server, for a key that its document does not have.
    pub interval: Duration,
    /// Time to the next fetch after one that failed. It doubles with each further failure.
    pub retry_first: Duration,
    /// Longest time to the next fetch after failures.
    pub retry_most: Duration,
    /// Whether the server itself is asked first, or notaries.
    pub order: FetchOrder,
    /// Milliseconds since the Unix epoch, now.
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Default for KeyRingOptions {
    /// 64 MiB, 10,000 failures, 64 requests for 1,024 servers at once, 10 seconds each, one a minute, after failures 10 seconds to 10 minutes.
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            failures: 10_000,
            fetches: 64,
            waiting: 1_024,
            timeout: Duration::from_secs(10),
            interval: Duration::from_secs(60),
            retry_first: Duration::from_secs(10),
            retry_most: Duration::from_secs(600),
            order: FetchOrder::OriginFirst,
            now: Arc::new(now_ms),
        }
    }
}

impl fmt::Debug for KeyRingOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRingOptions")
            .field("memory", &self.memory)
            .field("failures", &self.failures)
            .field("fetches", &self.fetches)
            .field("waiting", &self.waiting)
            .field("timeout", &self.timeout)
            .field("interval", &self.interval)
            .field("retry_first", &self.retry_first)
            .field("retry_most", &self.retry_most)
            .field("order", &self.order)
            .finish_non_exhaustive()
    }
}

/// Other servers' key documents, fetched over any transport, once for many waiters, from the servers themselves or from notaries.
///
/// - A document counts until it says, seven days after its fetch at most. Once half of that time is over, its next use fetches it anew, in the background.
/// - A fetch that fails takes no known key away. Failures back off, per server.
/// - An older document never replaces a newer one, and a notary's never one that counts unless a known key signed it: see `docs/decisions/0016-which-key-document-counts.md`.
/// - A fetch goes on when whoever asked for it stops waiting.
/// - It is an [`Offers`](crate::transport::Offers): the bindings in a signed document, for a day at most.
///
/// Its client should sign nothing, as requests for keys are not authenticated. It may choose its binding by what this ring offers only if it does not wait for
/// that, as [`Select`](crate::transport::Select) does not: a fetch would wait for itself. It must be used within a Tokio runtime. Cheap to clone.
#[derive(Clone)]
pub struct KeyRing {
    client: Client,
    own: Option<PublishedKeys>,
    pinned: Arc<HashMap<ServerName, Arc<ServerKeys>>>,
    notaries: Arc<Vec<TrustedNotary>>,
    store: Option<Arc<dyn KeyStore>>,
    documents: Cache<ServerName, Arc<Known>>,
    /// Servers without any document: apart, so that names which somebody makes up displace no keys.
    failures: Cache<ServerName, Arc<Known>>,
    flights: Flights,
    turns: Arc<Turns>,
    prepared: Arc<PreparedKeys>,
    options: KeyRingOptions,
}

/// Turns on the wire.
struct Turns {
    strangers: Semaphore,
    known: Semaphore,
}

impl KeyRing {
    /// A ring that fetches through `client`.
    pub fn new(client: Client, options: KeyRingOptions) -> Self {
        Self {
            client,
            own: None,
            pinned: Arc::default(),
            notaries: Arc::default(),
            store: None,
            documents: Cache::builder()
                .max_capacity(options.memory)
                .weigher(|_, known: &Arc<Known>| known.weight())
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            failures: Cache::builder()
                .max_capacity(options.failures)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            flights: Flights::default(),
            turns: Arc::new(Turns {
                strangers: Semaphore::new(options.fetches),
                known: Semaphore::new(options.fetches),
            }),
            prepared: Arc::default(),
            options,
        }
    }

    /// Keys that are never fetched and never change, and count until their document says.
    #[must_use]
    pub fn with_pinned(mut self, keys: ServerKeys) -> Self {
        Arc::make_mut(&mut self.pinned).insert(keys.server_name.clone(), Arc::new(keys));
        self
    }

    /// The server's own keys, which are never fetched.
    #[must_use]
    pub fn with_own(mut self, keys: PublishedKeys) -> Self {
        self.own = Some(keys);
        self
    }

    /// Keeps documents in `store`, and looks there before it asks anybody.
    #[must_use]
    pub fn with_store(mut self, store: Arc<dyn KeyStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Asks these servers too, [`MAX_NOTARIES`] at most, in the order of [`KeyRingOptions::order`].
    #[must_use]
    pub fn with_notaries(mut self, notaries: Vec<TrustedNotary>) -> Self {
        self.notaries = Arc::new(notaries);
        self
    }

    /// Has the keys that sign often prepared there: with another limit, or shared with another ring.
    #[must_use]
    pub fn with_prepared_keys(mut self, prepared: Arc<PreparedKeys>) -> Self {
        self.prepared = prepared;
        self
    }

    /// A document that is known without asking: the server's own, or a pinned one.
    fn given(&self, server: &ServerName) -> Option<Arc<ServerKeys>> {
        if let Some(own) = &self.own
            && own.server_name() == server
        {
            return Some(own.server_keys());
        }
        self.pinned.get(server).cloned()
    }

    /// The last known document of a server, fetched anew if it does not meet the need. It may have expired.
    pub(super) async fn document(&self, server: &ServerName, need: &Need) -> Option<FetchedKeys> {
        if let Some(keys) = self.given(server) {
            let at = (self.options.now)();
            return Some(FetchedKeys { keys, at });
        }
        self.look_up(server, need).await.document.clone()
    }

    /// The last known document of a server, and whether it meets the need. Nobody is asked for it, but the store.
    pub(super) async fn document_here(
        &self,
        server: &ServerName,
        need: &Need,
    ) -> (Option<FetchedKeys>, bool) {
        let now = (self.options.now)();
        if let Some(keys) = self.given(server) {
            return (Some(FetchedKeys { keys, at: now }), true);
        }
        let mut known = self.cached(server).await;
        if known.as_ref().is_none_or(|known| known.document.is_none()) {
            known = self.stored(server).await.or(known);
        }
        match known {
            Some(known) => {
                let enough = need.met_by(&known, now) || !known.may_ask(&self.options, now);
                (known.document.clone(), enough)
            }
            None => (None, false),
        }
    }

    /// What is known of a server; if that is not what is needed, what a new fetch gives, unless the last one was just now.
    async fn look_up(&self, server: &ServerName, need: &Need) -> Arc<Known> {
        let now = (self.options.now)();
        let mut known = self.cached(server).await;
        if known.is_none() && self.flights.is_full(self.options.waiting) {
            // A restart may find itself flooded with made-up names, while the store knows the servers that are none.
            known = self.stored(server).await;
        }
        let is_known = known.as_ref().is_some_and(|known| known.document.is_some());
        if let Some(known) = known {
            let met = need.met_by(&known, now);
            if met && !self.is_young(&known, now) && known.may_ask(&self.options, now) {
                self.renew(server, &known);
            }
            if met || !known.may_ask(&self.options, now) {
                return known;
            }
        }
        let errand = |again| Errand {
            need: need.clone(),
            again,
        };
        let (known, joined) = self.travel(server, errand(false), is_known).await;
        // A fetch for other keys may have asked notaries that know nothing of these. One fetch more is enough: whoever joins that one is told what it
        // found, so that signatures by made-up keys do not make fetches without end.
        let now = (self.options.now)();
        let for_other = joined.is_some_and(|joined| !joined.again && !joined.need.covers(need));
        if for_other && !need.met_by(&known, now) && known.may_ask_otherwise(&self.options, now) {
            return self.travel(server, errand(true), is_known).await.0;
        }
        known
    }

    /// What a fetch gives, and what it was for, if it was under way before.
    async fn travel(
        &self,
        server: &ServerName,
        errand: Errand,
        is_known: bool,
    ) -> (Arc<Known>, Option<Arc<Errand>>) {
        let Some((mut awaited, joined)) = self.set_out(server, errand, is_known) else {
            let most = self.options.waiting;
            let why = format!("keys of {most} servers are being fetched (waiting, this server)");
            return (self.nothing(&why), None);
        };
        let told = awaited.wait_for(Option::is_some).await;
        let known = told.ok().and_then(|known| known.clone());
        let known = known.unwrap_or_else(|| self.nothing("the fetch was given up"));
        (known, joined)
    }

    fn nothing(&self, why: &str) -> Arc<Known> {
        Arc::new(Known::nothing(why, (self.options.now)()))
    }

    fn is_young(&self, known: &Known, now: i64) -> bool {
        let young = Need {
            age: Age::Young,
            ..Need::default()
        };
        young.met_by(known, now)
    }

    /// Fetches a document anew without waiting for it.
    fn renew(&self, server: &ServerName, known: &Known) {
        let document = known.document.as_ref();
        let keys = document.map(|document| document.keys.verify_keys.keys().cloned().collect());
        let need = Need {
            keys: keys.unwrap_or_default(),
            age: Age::Young,
            ..Need::default()
        };
        // If there are too many, its next use tries again.
        let errand = Errand { need, again: false };
        let _ = self.set_out(server, errand, true);
    }

    /// The fetch that is under way, and what for, or a new one; `None` if there are too many.
    fn set_out(
        &self,
        server: &ServerName,
        errand: Errand,
        is_known: bool,
    ) -> Option<(Awaited, Option<Arc<Errand>>)> {
        let most = self.options.waiting;
        let most = if is_known { most * 2 } else { most };
        match self.flights.to(server, errand, most) {
            Flight::Running(awaited, errand) => Some((awaited, Some(errand))),
            Flight::Begins(awaited, landing, errand) => {
                let (ring, server) = (self.clone(), server.clone());
                tokio::spawn(async move { ring.fly(&server, &errand, landing).await });
                Some((awaited, None))
            }
            Flight::TooMany => None,
        }
    }

    async fn fly(&self, server: &ServerName, errand: &Errand, landing: Landing) {
        let need = &errand.need;
        let mut before = self.cached(server).await;
        if before.as_ref().is_none_or(|known| known.document.is_none())
            && let Some(stored) = self.stored(server).await
        {
            before = Some(stored);
        }
        let now = (self.options.now)();
        if let Some(known) = &before
            && (need.met_by(known, now)
                || !match errand.again {
                    true => known.may_ask_otherwise(&self.options, now),
                    false => known.may_ask(&self.options, now),
                })
        {
            landing.land(known.clone());
            return;
        }
        let turns = match &before {
            Some(known) if known.document.is_some() => &self.turns.known,
            _ => &self.turns.strangers,
        };
        let fetched = self.fetch(server, before.as_deref(), need, turns).await;
        if let Err(why) = &fetched {
            tracing::debug!(%server, why, "key document not fetched");
        }
        let now = (self.options.now)();
        let mut known = Known::after(before.as_deref(), fetched, now);
        if errand.again {
            known.settle();
        }
        let known = Arc::new(known);
        self.remember(server, known.clone()).await;
        landing.land(known.clone());
        if known.is_news() {
            self.save(server, &known).await;
        }
    }

    async fn cached(&self, server: &ServerName) -> Option<Arc<Known>> {
        let known = match self.documents.get(server).await {
            Some(known) => known,
            None => self.failures.get(server).await?,
        };
        match known.set_back((self.options.now)()) {
            Some(set_back) => {
                let known = Arc::new(set_back);
                self.remember(server, known.clone()).await;
                Some(known)
            }
            None => Some(known),
        }
    }

    async fn remember(&self, server: &ServerName, known: Arc<Known>) {
        if known.document.is_some() {
            self.documents.insert(server.clone(), known).await;
            self.failures.invalidate(server).await;
        } else {
            self.failures.insert(server.clone(), known).await;
        }
    }
}

fn key_of(keys: &ServerKeys, key: &KeyId, now: i64) -> Result<VerifyKey, KeyFault> {
    if let Some(key) = keys.key_for_request(key, now) {
        return Ok(key.clone());
    }
    Err(if keys.lists(key) {
        KeyFault::Expired
    } else {
        KeyFault::Unknown
    })
}

#[async_trait]
impl KeySource for KeyRing {
    async fn request_key(&self, server: &ServerName, key: &KeyId) -> Result<VerifyKey, KeyFault> {
        if let Some(keys) = self.given(server) {
            return key_of(&keys, key, (self.options.now)());
        }
        // Nearly every request.
        if let Some(known) = self.documents.get(server).await {
            let now = (self.options.now)();
            if let Ok(key) = known.key(key, now)
                && self.is_young(&known, now)
                && known.set_back(now).is_none()
            {
                return Ok(key);
            }
        }
        let need = Need {
            keys: BTreeSet::from([key.clone()]),
            current: true,
            ..Need::default()
        };
        // Boxed, so that the future of nearly every request is small.
        let known = Box::pin(self.look_up(server, &need)).await;
        known.key(key, (self.options.now)())
    }

    async fn event_keys(
        &self,
        server: &ServerName,
        wanted: &BTreeSet<KeyId>,
    ) -> Result<FetchedKeys, KeyFault> {
        if let Some(keys) = self.given(server) {
            let at = (self.options.now)();
            return Ok(FetchedKeys { keys, at });
        }
        let need = Need {
            keys: wanted.clone(),
            ..Need::default()
        };
        let known = self.look_up(server, &need).await;
        let document = known.document.clone();
        document.ok_or_else(|| known.fault(KeyFault::Unknown))
    }

    fn prepared_keys(&self) -> Arc<PreparedKeys> {
        Arc::clone(&self.prepared)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("options", &self.options)
            .field("servers", &self.documents.entry_count())
            .field("notaries", &self.notaries)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
