//! The keys that events are checked with.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};

use super::{Pdu, room_version::RoomVersion};
use crate::{
    ServerName,
    auth::{FetchedKeys, KeyId, KeySource, PreparedKeys, ServerKeys, VerifyKey, now_ms},
    json::Object,
};

/// Where [`check_event`](super::check_event) gets keys. It does not wait: what may be needed is fetched before.
pub trait EventKeys {
    /// The key of `server` with this ID, if events of that time, in milliseconds since the Unix epoch, may be signed by it. Without
    /// `enforce_validity` (room versions 1 to 4) a current key is good for any time.
    fn event_key(
        &self,
        server: &ServerName,
        key: &KeyId,
        origin_server_ts: Option<i64>,
        enforce_validity: bool,
    ) -> Option<VerifyKey>;

    /// Where those of them that sign often are prepared. `None`: every check is a plain one. The verdict is the same.
    fn prepared_keys(&self) -> Option<&PreparedKeys> {
        None
    }
}

/// Key documents of some servers. Which key an event may be signed by is looked up in them for each event; that a key is prepared makes the check
/// with it cheaper and nothing else.
#[derive(Clone, Debug, Default)]
pub struct EventKeySet {
    documents: BTreeMap<ServerName, FetchedKeys>,
    faults: BTreeMap<ServerName, String>,
    passed_over: usize,
    prepared: Arc<PreparedKeys>,
}

impl EventKeySet {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a server's key document, as fetched now.
    #[must_use]
    pub fn with(self, keys: Arc<ServerKeys>) -> Self {
        self.with_fetched(FetchedKeys { keys, at: now_ms() })
    }

    /// Adds a server's key document.
    #[must_use]
    pub fn with_fetched(mut self, fetched: FetchedKeys) -> Self {
        let server = fetched.keys.server_name.clone();
        self.documents.insert(server, fetched);
        self
    }

    /// Has the keys that sign often prepared there: where those of other sets and of requests are, as the keys of a few servers sign most of both, or with
    /// another limit. Without it a set has its own; [`fetch_event_keys`] takes its [source's](KeySource::prepared_keys).
    #[must_use]
    pub fn with_prepared_keys(mut self, prepared: Arc<PreparedKeys>) -> Self {
        self.prepared = prepared;
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

    /// How many servers were not asked, as there were more than [`KeyLimits::servers`].
    pub fn passed_over(&self) -> usize {
        self.passed_over
    }
}

impl EventKeys for EventKeySet {
    fn event_key(
        &self,
        server: &ServerName,
        key: &KeyId,
        origin_server_ts: Option<i64>,
        enforce_validity: bool,
    ) -> Option<VerifyKey> {
        let FetchedKeys { keys, at } = self.documents.get(server)?;
        keys.key_for_event(key, origin_server_ts, enforce_validity, *at)
            .cloned()
    }

    fn prepared_keys(&self) -> Option<&PreparedKeys> {
        Some(&self.prepared)
    }
}

/// Bounds on what events of others make a server ask for: their senders are whoever a peer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// Most servers.
    pub servers: usize,
    /// Most of them asked at once.
    pub at_once: usize,
    /// How long all of it may take.
    pub time: Duration,
}

impl Default for KeyLimits {
    /// 1,000 servers, 16 at once, one minute.
    fn default() -> Self {
        Self {
            servers: 1_000,
            at_once: 16,
            time: Duration::from_secs(60),
        }
    }
}

/// The servers that have to sign these events, and the keys that they did sign with. What has no signers is passed over: its check will say so.
pub fn needed_keys<'a>(
    version: &dyn RoomVersion,
    events: impl IntoIterator<Item = &'a Pdu>,
) -> BTreeMap<ServerName, BTreeSet<KeyId>> {
    let mut needed: BTreeMap<ServerName, BTreeSet<KeyId>> = BTreeMap::new();
    for event in events {
        let signatures = event.object().object("signatures");
        for server in version.required_signers(event).unwrap_or_default() {
            let own = signatures
                .as_ref()
                .and_then(|signatures| signatures.object(server.as_str()));
            let keys = needed.entry(server).or_default();
            for (key, _) in own.iter().flat_map(Object::members) {
                // Others play no role, and a wish for one would cause a fetch.
                keys.extend(key.parse::<KeyId>().ok().filter(KeyId::is_ed25519));
            }
        }
    }
    needed
}

/// Fetches the key documents that [`needed_keys`] found, within limits. A server that cannot be asked is among the
/// [faults](EventKeySet::faults); its events will have no known signature. Keys that sign often are prepared where [the source
/// says](KeySource::prepared_keys): of a [`KeyRing`](crate::auth::KeyRing) they are prepared once for all sets, and for the requests that are verified by it.
///
/// Dropping the future stops the fetches.
pub async fn fetch_event_keys(
    source: &dyn KeySource,
    needed: BTreeMap<ServerName, BTreeSet<KeyId>>,
    limits: KeyLimits,
) -> EventKeySet {
    let mut set = EventKeySet {
        passed_over: needed.len().saturating_sub(limits.servers),
        ..EventKeySet::new().with_prepared_keys(source.prepared_keys())
    };
    let mut left: BTreeSet<ServerName> = needed.keys().take(limits.servers).cloned().collect();
    let fetches = stream::iter(needed.into_iter().take(limits.servers))
        .map(|(server, keys)| async move {
            let fetched = source.event_keys(&server, &keys).await;
            (server, fetched)
        })
        .buffer_unordered(limits.at_once.max(1));
    let fetched = async {
        let mut fetches = std::pin::pin!(fetches);
        while let Some((server, fetched)) = fetches.next().await {
            left.remove(&server);
            match fetched {
                Ok(fetched) if fetched.keys.server_name == server => {
                    set.documents.insert(server, fetched);
                }
                Ok(fetched) => {
                    let why = format!("the document is of {}", fetched.keys.server_name);
                    set.faults.insert(server, why);
                }
                Err(fault) => {
                    set.faults.insert(server, fault.to_string());
                }
            }
        }
    };
    if tokio::time::timeout(limits.time, fetched).await.is_err() {
        let late = |server| {
            (
                server,
                format!("no answer within {:?} for all", limits.time),
            )
        };
        set.faults.extend(left.into_iter().map(late));
    }
    set
}
