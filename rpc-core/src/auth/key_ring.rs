//! Other servers' keys: asked for once, kept within bounds, trusted no longer than they say.

use std::{
    collections::HashMap,
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

    /// The key document of `server`, for its events; it may have expired, as old events outlive keys. A source that has none says so.
    ///
    /// # Errors
    /// Why there is none.
    async fn server_keys(&self, server: &ServerName) -> Result<Arc<ServerKeys>, KeyFault> {
        Err(KeyFault::Unreachable(format!(
            "this source has no key documents, of {server} neither"
        )))
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
    fetched: Cache<ServerName, Arc<Fetched>>,
    turns: Arc<Semaphore>,
    options: KeyRingOptions,
}

/// What the last fetch from a server gave, and when.
struct Fetched {
    at: i64,
    keys: Result<Arc<ServerKeys>, String>,
}

impl Fetched {
    fn key(&self, key: &KeyId, now: i64) -> Result<VerifyKey, KeyFault> {
        match &self.keys {
            // The cap of seven days counts from the fetch.
            Ok(keys) if keys.valid_until(self.at) < now => Err(KeyFault::Expired),
            Ok(keys) => key_of(keys, key, now),
            Err(why) => Err(KeyFault::Unreachable(why.clone())),
        }
    }
}

impl KeyRing {
    /// A ring that fetches through `client`.
    pub fn new(client: Client, options: KeyRingOptions) -> Self {
        Self {
            client,
            pinned: Arc::default(),
            fetched: Cache::new(options.capacity),
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

    async fn fetch(&self, server: &ServerName) -> Arc<Fetched> {
        let keys = tokio::time::timeout(self.options.timeout, async {
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
        if let Err(why) = &keys {
            tracing::debug!(%server, why, "key document not fetched");
        }
        Arc::new(Fetched {
            at: (self.options.now)(),
            keys,
        })
    }

    /// Whether what was fetched is no answer any more, so that the server may be asked again.
    fn is_stale(&self, fetched: &Fetched, key: &KeyId) -> bool {
        let now = (self.options.now)();
        fetched.key(key, now).is_err() && self.may_ask_again(fetched, now)
    }

    fn may_ask_again(&self, fetched: &Fetched, now: i64) -> bool {
        let interval = i64::try_from(self.options.interval.as_millis()).unwrap_or(i64::MAX);
        now.saturating_sub(fetched.at) >= interval
    }
}

fn key_of(keys: &ServerKeys, key: &KeyId, now: i64) -> Result<VerifyKey, KeyFault> {
    if let Some(key) = keys.key_for_request(key, now) {
        return Ok(key.clone());
    }
    Err(
        if keys.verify_keys.contains_key(key) || keys.old_verify_keys.contains_key(key) {
            KeyFault::Expired
        } else {
            KeyFault::Unknown
        },
    )
}

#[async_trait]
impl KeySource for KeyRing {
    async fn request_key(&self, server: &ServerName, key: &KeyId) -> Result<VerifyKey, KeyFault> {
        let now = (self.options.now)();
        if let Some(keys) = self.pinned.get(server) {
            return key_of(keys, key, now);
        }
        let fetched = match self.fetched.get(server).await {
            Some(fetched) if !self.is_stale(&fetched, key) => fetched,
            _ => self
                .fetched
                .entry_by_ref(server)
                .or_insert_with_if(self.fetch(server), |old| self.is_stale(old, key))
                .await
                .into_value(),
        };
        fetched.key(key, (self.options.now)())
    }

    async fn server_keys(&self, server: &ServerName) -> Result<Arc<ServerKeys>, KeyFault> {
        if let Some(keys) = self.pinned.get(server) {
            return Ok(keys.clone());
        }
        let outdated = |fetched: &Fetched| {
            let now = (self.options.now)();
            let good = |keys: &Arc<ServerKeys>| keys.valid_until(fetched.at) >= now;
            !fetched.keys.as_ref().is_ok_and(good) && self.may_ask_again(fetched, now)
        };
        let fetched = match self.fetched.get(server).await {
            Some(fetched) if !outdated(&fetched) => fetched,
            _ => self
                .fetched
                .entry_by_ref(server)
                .or_insert_with_if(self.fetch(server), |old| outdated(old))
                .await
                .into_value(),
        };
        fetched.keys.clone().map_err(KeyFault::Unreachable)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("options", &self.options)
            .field("servers", &self.fetched.entry_count())
            .finish_non_exhaustive()
    }
}
