//! What asks for other servers' keys sees: a source of keys, and why there is none.

use std::{
    collections::BTreeSet,
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;

use super::{KeyId, PreparedKeys, ServerKeys, VerifyKey, authenticator::describe};
use crate::ServerName;

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

    /// Where those of its keys that sign often are prepared, for requests and events alike. Whoever verifies for long asks once; a source that keeps none gives
    /// new ones each time. A source that asks another one gives that one's.
    fn prepared_keys(&self) -> Arc<PreparedKeys> {
        Arc::default()
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

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}
