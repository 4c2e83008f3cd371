//! The keys that events are checked with.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt, stream};

use crate::{
    ServerName,
    auth::{KeyId, KeySource, ServerKeys, VerifyKey, now_ms},
};

/// Most servers asked for their keys at once.
const AT_ONCE: usize = 16;

/// Where [`check_event`](super::check_event) gets keys. It does not wait: what may be needed is fetched before.
pub trait EventKeys {
    /// The key of `server` with this ID, if events of that time, in milliseconds since the Unix epoch, may be signed by it. Without
    /// `enforce_validity` (room versions 1 to 4) a current key is good for any time.
    fn event_key(
        &self,
        server: &ServerName,
        key: &KeyId,
        origin_server_ts: i64,
        enforce_validity: bool,
    ) -> Option<VerifyKey>;
}

/// Key documents of some servers.
#[derive(Clone, Debug, Default)]
pub struct EventKeySet {
    documents: BTreeMap<ServerName, Arc<ServerKeys>>,
    faults: BTreeMap<ServerName, String>,
}

impl EventKeySet {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a server's key document.
    #[must_use]
    pub fn with(mut self, keys: Arc<ServerKeys>) -> Self {
        self.documents.insert(keys.server_name.clone(), keys);
        self
    }

    /// Whether there is a document of this server.
    pub fn contains(&self, server: &ServerName) -> bool {
        self.documents.contains_key(server)
    }

    /// The servers whose keys could not be had, and why.
    pub fn faults(&self) -> impl Iterator<Item = (&ServerName, &str)> {
        self.faults
            .iter()
            .map(|(server, why)| (server, why.as_str()))
    }
}

impl EventKeys for EventKeySet {
    fn event_key(
        &self,
        server: &ServerName,
        key: &KeyId,
        origin_server_ts: i64,
        enforce_validity: bool,
    ) -> Option<VerifyKey> {
        let keys = self.documents.get(server)?;
        keys.key_for_event(key, origin_server_ts, enforce_validity, now_ms())
            .cloned()
    }
}

/// Fetches the key documents of these servers, several at once. A server that cannot be asked is among the
/// [faults](EventKeySet::faults); its events will have no known signature.
///
/// Dropping the future stops the fetches.
pub async fn fetch_event_keys(
    source: &dyn KeySource,
    servers: impl IntoIterator<Item = ServerName>,
) -> EventKeySet {
    let mut set = EventKeySet::new();
    let mut fetches = stream::iter(servers)
        .map(|server| async move {
            let keys = source.server_keys(&server).await;
            (server, keys)
        })
        .buffer_unordered(AT_ONCE);
    while let Some((server, keys)) = fetches.next().await {
        match keys {
            Ok(keys) => set = set.with(keys),
            Err(fault) => {
                set.faults.insert(server, fault.to_string());
            }
        }
    }
    drop(fetches);
    set
}
