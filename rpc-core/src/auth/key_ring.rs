//! Other servers' keys: asked for once, kept within bounds, trusted no longer than they say.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use moka::future::Cache;
use tokio::sync::Semaphore;

use super::{KeyId, ServerKeys, VerifyKey, authenticator::describe};
use crate::{
    Client, ServerName,
    api::{Calls, GetServerKeys},
};

/// Where an authenticator gets keys.
#[async_trait]
pub trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// The key of `server` with this ID, if requests signed by it are good now.
    ///
    /// # Errors
    /// Why there is none.
    async fn request_key(&self, server: &ServerName, key: &KeyId) -> Result<VerifyKey, KeyFault>;

    /// The key document of `server`, for events that are signed by these keys of it. It may have expired, as old events outlive keys.
    /// A source that has none says so.
    ///
    /// # Errors
    /// Why there is none.
    async fn event_keys(
        &self,
        server: &ServerName,
        wanted: &BTreeSet<KeyId>,
    ) -> Result<FetchedKeys, KeyFault> {
        let _ = wanted;
        let why = format!("this source has no key documents, of {server} neither");
        Err(KeyFault::Unreachable(why))
    }
}

/// A key document, and when it was fetched: the cap of seven days on its validity counts from then.
#[derive(Debug, Clone)]
pub struct FetchedKeys {
    /// The document.
    pub keys: Arc<ServerKeys>,
    /// When it was fetched, in milliseconds since the Unix epoch.
    pub at: i64,
}

impl FetchedKeys {
    /// Until when it counts, in milliseconds since the Unix epoch.
    pub fn valid_until(&self) -> i64 {
        self.keys.valid_until(self.at)
    }
}

/// Why there is no key for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFault {
    /// The server publishes no such key.
    Unknown,
    /// The key document, or the key, is not valid any more.
    Expired,
    /// The keys could not be had.
    Unreachable(String),
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(describe(self))?;
        match self {
            Self::Unreachable(why) => write!(f, " ({why})"),
            _ => Ok(()),
        }
    }
}

/// How a key ring behaves.
#[derive(Clone)]
pub struct KeyRingOptions {
    /// Most servers whose keys are kept.
    pub capacity: u64,
    /// Most fetches at once.
    pub fetches: usize,
    /// How long one fetch may take, waiting for its turn included.
    pub timeout: Duration,
    /// Least time between two fetches from one server: for a key that its document does not have, and after a failure.
    pub interval: Duration,
    /// Milliseconds since the Unix epoch, now.
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Default for KeyRingOptions {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            fetches: 64,
            timeout: Duration::from_secs(10),
            interval: Duration::from_secs(60),
            now: Arc::new(now_ms),
        }
    }
}

impl fmt::Debug for KeyRingOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRingOptions")
            .field("capacity", &self.capacity)
            .field("fetches", &self.fetches)
            .field("timeout", &self.timeout)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}

/// Fetches key documents by `GetServerKeys` over any transport, once for many waiters.
#[derive(Clone)]
pub struct KeyRing {
    client: Client,
    pinned: Arc<HashMap<ServerName, Arc<ServerKeys>>>,
    known: Cache<ServerName, Arc<Known>>,
    turns: Arc<Semaphore>,
    options: KeyRingOptions,
}

/// What is known of a server's keys. A fetch that fails takes nothing away.
struct Known {
    /// The last good document.
    document: Option<FetchedKeys>,
    /// Why the last fetch failed, if it did.
    failure: Option<String>,
    /// When the last fetch was.
    asked_at: i64,
}

impl Known {
    fn key(&self, key: &KeyId, now: i64) -> Result<VerifyKey, KeyFault> {
        let found = match &self.document {
            Some(document) if document.valid_until() >= now => key_of(&document.keys, key, now),
            _ => Err(KeyFault::Expired),
        };
        found.map_err(|fault| self.failure(fault))
    }

    /// Whether the document is valid and lists all of these keys.
    fn has(&self, wanted: &BTreeSet<KeyId>, now: i64) -> bool {
        self.document.as_ref().is_some_and(|document| {
            let keys = &document.keys;
            document.valid_until() >= now && wanted.iter().all(|key| keys.lists(key))
        })
    }

    /// Why there is no key: if nobody could be asked, that.
    fn failure(&self, fault: KeyFault) -> KeyFault {
        match &self.failure {
            Some(why) => KeyFault::Unreachable(why.clone()),
            None => fault,
        }
    }
}

impl KeyRing {
    /// A ring that fetches through `client`.
    pub fn new(client: Client, options: KeyRingOptions) -> Self {
        Self {
            client,
            pinned: Arc::default(),
            known: Cache::new(options.capacity),
            turns: Arc::new(Semaphore::new(options.fetches)),
            options,
        }
    }

    /// Keys that are never fetched: the server's own.
    #[must_use]
    pub fn with_pinned(mut self, keys: ServerKeys) -> Self {
        Arc::make_mut(&mut self.pinned).insert(keys.server_name.clone(), Arc::new(keys));
        self
    }

    async fn fetch(&self, server: &ServerName, before: Option<Arc<Known>>) -> Arc<Known> {
        let fetched = tokio::time::timeout(self.options.timeout, async {
            let _turn = self.turns.acquire().await.expect("never closed");
            let reply = self
                .client
                .get_server_keys(server, GetServerKeys::default())
                .await
                .map_err(|error| error.to_string())?;
            let keys = ServerKeys::parse(reply.document.text().clone())
                .map_err(|error| error.to_string())?;
            keys.check_self_signed(server)
                .map_err(|error| error.to_string())?;
            Ok(Arc::new(keys))
        })
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {:?}", self.options.timeout)));
        let now = (self.options.now)();
        let (document, failure) = match fetched {
            Ok(keys) => (Some(FetchedKeys { keys, at: now }), None),
            Err(why) => {
                tracing::debug!(%server, why, "key document not fetched");
                (before.and_then(|known| known.document.clone()), Some(why))
            }
        };
        Arc::new(Known {
            document,
            failure,
            asked_at: now,
        })
    }

    /// What is known of a server; if that is not `enough`, what a new fetch gives, unless the last one was just now.
    async fn look_up(
        &self,
        server: &ServerName,
        enough: impl Fn(&Known) -> bool + Send + Sync,
    ) -> Arc<Known> {
        let interval = i64::try_from(self.options.interval.as_millis()).unwrap_or(i64::MAX);
        let ask_again = |known: &Arc<Known>| {
            let since = (self.options.now)().saturating_sub(known.asked_at);
            !enough(known) && since >= interval
        };
        let before = self.known.get(server).await;
        match before {
            Some(known) if !ask_again(&known) => known,
            before => self
                .known
                .entry_by_ref(server)
                .or_insert_with_if(self.fetch(server, before), ask_again)
                .await
                .into_value(),
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
        let now = (self.options.now)();
        if let Some(keys) = self.pinned.get(server) {
            return key_of(keys, key, now);
        }
        let enough = |known: &Known| known.key(key, (self.options.now)()).is_ok();
        let known = self.look_up(server, enough).await;
        known.key(key, (self.options.now)())
    }

    async fn event_keys(
        &self,
        server: &ServerName,
        wanted: &BTreeSet<KeyId>,
    ) -> Result<FetchedKeys, KeyFault> {
        if let Some(keys) = self.pinned.get(server) {
            return Ok(FetchedKeys {
                keys: keys.clone(),
                at: (self.options.now)(),
            });
        }
        let enough = |known: &Known| known.has(wanted, (self.options.now)());
        let known = self.look_up(server, enough).await;
        let document = known.document.clone();
        document.ok_or_else(|| known.failure(KeyFault::Unknown))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("options", &self.options)
            .field("servers", &self.known.entry_count())
            .finish_non_exhaustive()
    }
}
