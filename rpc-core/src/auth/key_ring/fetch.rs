//! Asking for a key document: the server itself, or notaries for it.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fmt::{self, Write as _},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{
    KeyRing,
    known::{Found, Known, Need, counts, may_be_relayed},
};
use crate::{
    ServerName,
    api::{BatchQueryServerKeys, Calls, GetServerKeys, KeyCriteria},
    auth::{KeyId, ServerKeys, ServerKeysError, VerifyKey},
    json::{Json, Members, Object},
};

/// Most notaries that are asked for one document.
pub const MAX_NOTARIES: usize = 8;

/// Most documents of a notary's reply that are looked at, those of the longest validity first.
const MAX_DOCUMENTS: usize = 8;

/// How long the other notaries have once one gave a document that counts.
const GRACE: Duration = Duration::from_millis(500);

/// Largest integer of canonical JSON.
const MAX_INTEGER: i64 = (1 << 53) - 1;

/// A server that is trusted to say what another server's keys are, if that one cannot be asked.
///
/// It could make up keys of servers that are not known yet, or whose known document has run out; so trust few. While a document counts, it can only give
/// one that a key of that document has signed; and what the server itself says over a connection to it always ends what a notary made up.
#[derive(Debug, Clone)]
pub struct TrustedNotary {
    name: ServerName,
    keys: BTreeMap<KeyId, VerifyKey>,
}

impl TrustedNotary {
    /// The notary of this name. Its keys are fetched from itself.
    pub fn new(name: ServerName) -> Self {
        Self {
            name,
            keys: BTreeMap::new(),
        }
    }

    /// Trusts this key of it, and no key that it was not given by this method.
    #[must_use]
    pub fn with_key(mut self, id: KeyId, key: VerifyKey) -> Self {
        self.keys.insert(id, key);
        self
    }

    /// Its name.
    pub fn name(&self) -> &ServerName {
        &self.name
    }
}

/// Who is asked first for a server's keys. Who comes second is asked if the first has no document that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FetchOrder {
    /// The server itself, whose certificate vouches for it.
    #[default]
    OriginFirst,
    /// The notaries: fewer connections to servers that nobody knows.
    NotariesFirst,
}

impl fmt::Display for FetchOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OriginFirst => "origin first",
            Self::NotariesFirst => "notaries first",
        })
    }
}

impl KeyRing {
    /// Fetches the document of a server: within [`timeout`](super::KeyRingOptions::timeout), half of which is the share of whoever is asked first.
    pub(super) async fn fetch(
        &self,
        server: &ServerName,
        before: Option<&Known>,
        need: &Need,
        turns: &Semaphore,
    ) -> Result<Found, String> {
        let now = Instant::now();
        let end = now + self.options.timeout;
        let half = now + self.options.timeout / 2;
        // A notary's own keys are its own to give: what it says of itself, another would have to vouch for in turn.
        let is_notary = self.notaries.iter().any(|notary| notary.name == *server);
        if self.notaries.is_empty() || is_notary {
            return self.ask_origin(server, turns, end).await;
        }
        match self.options.order {
            FetchOrder::OriginFirst => match self.ask_origin(server, turns, half).await {
                Ok(found) => Ok(found),
                Err(why) => match self.ask_notaries(server, before, need, turns, end).await {
                    Ok(found) => Ok(found),
                    Err(notaries) => Err(format!("{why}; {notaries}")),
                },
            },
            FetchOrder::NotariesFirst => {
                let notaries = self.ask_notaries(server, before, need, turns, half).await;
                if let Ok(found) = &notaries
                    && self.is_enough(before, found, need)
                {
                    return notaries;
                }
                match (self.ask_origin(server, turns, end).await, notaries) {
                    (Ok(found), _) | (Err(_), Ok(found)) => Ok(found),
                    (Err(why), Err(notaries)) => Err(format!("{notaries}; {why}")),
                }
            }
        }
    }

    fn is_enough(&self, before: Option<&Known>, found: &Found, need: &Need) -> bool {
        let now = (self.options.now)();
        let keys = found.keys.clone();
        let direct = found.direct;
        need.met_by(&Known::after(before, Ok(Found { keys, direct }), now), now)
    }

    async fn ask_origin(
        &self,
        server: &ServerName,
        turns: &Semaphore,
        end: Instant,
    ) -> Result<Found, String> {
        let asked = async {
            let _turn = turns.acquire().await.expect("never closed");
            let reply = self
                .client
                .get_server_keys(server, GetServerKeys::default())
                .await
                .map_err(|error| error.to_string())?;
            let keys = read(server, &reply.document).map_err(|error| error.to_string())?;
            Ok(Found { keys, direct: true })
        };
        timeout_at(end, asked)
            .await
            .unwrap_or_else(|_| Err(format!("no answer of {server} in time")))
    }

    /// Asks all notaries at once and takes the document of the longest validity, of those that a notary may give of this server.
    async fn ask_notaries(
        &self,
        server: &ServerName,
        before: Option<&Known>,
        need: &Need,
        turns: &Semaphore,
        mut end: Instant,
    ) -> Result<Found, String> {
        let mut asked: FuturesUnordered<_> = self
            .notaries
            .iter()
            .take(MAX_NOTARIES)
            .map(|notary| async move {
                let asked = self.ask_notary(notary, server, need, turns);
                let keys = asked.await.and_then(|keys| {
                    let known = before.and_then(|before| before.document.as_ref());
                    let now = (self.options.now)();
                    match known.is_none_or(|known| may_be_relayed(&keys, known, now)) {
                        true => Ok(keys),
                        false => Err("no key known of the server signed its document".to_owned()),
                    }
                });
                (notary, keys)
            })
            .collect();
        let mut best: Option<ServerKeys> = None;
        let mut faults = String::new();
        loop {
            match timeout_at(end, asked.next()).await {
                Ok(Some((_, Ok(keys)))) => {
                    if keys.valid_until_ts >= (self.options.now)() {
                        end = end.min(Instant::now() + GRACE);
                    }
                    let longer = |best: &ServerKeys| best.valid_until_ts < keys.valid_until_ts;
                    if best.as_ref().is_none_or(longer) {
                        best = Some(keys);
                    }
                }
                Ok(Some((notary, Err(why)))) => {
                    tracing::debug!(%server, notary = %notary.name, why, "notary gave no key document");
                    let _ = write!(faults, "notary {}: {why}; ", notary.name);
                }
                Ok(None) => break,
                Err(_) => {
                    faults.push_str("not all notaries answered in time");
                    break;
                }
            }
        }
        let found = best.map(|keys| Found {
            keys,
            direct: false,
        });
        found.ok_or(faults)
    }

    async fn ask_notary(
        &self,
        notary: &TrustedNotary,
        server: &ServerName,
        need: &Need,
        turns: &Semaphore,
    ) -> Result<ServerKeys, String> {
        let trusted = self.keys_of_notary(notary).await?;
        // A caller of ours may want more than JSON can say.
        let minimum = need.valid_until.max((self.options.now)());
        let criteria = KeyCriteria {
            minimum_valid_until_ts: Some(minimum.min(MAX_INTEGER)),
        };
        let keys = need.keys.iter().map(|key| (key.to_string(), criteria));
        let wanted: BTreeMap<String, BTreeMap<String, KeyCriteria>> =
            BTreeMap::from([(server.to_string(), keys.collect())]);
        let request = BatchQueryServerKeys {
            server_keys: Json::write(&wanted).map_err(|error| error.to_string())?,
            extra: Members::new(),
            extra_query: Default::default(),
        };
        let _turn = turns.acquire().await.expect("never closed");
        let reply = self
            .client
            .batch_query_server_keys(&notary.name, request)
            .await
            .map_err(|error| error.to_string())?;
        newest(server, notary, &trusted, reply.documents())
    }

    /// The keys of a notary that are good now. A fetch of their own may be needed, so the type of the first one ends here.
    fn keys_of_notary<'a>(
        &'a self,
        notary: &'a TrustedNotary,
    ) -> BoxFuture<'a, Result<BTreeMap<KeyId, VerifyKey>, String>> {
        async move {
            if !notary.keys.is_empty() {
                return Ok(notary.keys.clone());
            }
            let known = self.look_up(&notary.name, &Need::default()).await;
            let now = (self.options.now)();
            match &known.document {
                Some(document) if counts(document, now) => Ok(document.keys.verify_keys.clone()),
                _ => {
                    let fault = known.fault(super::KeyFault::Expired);
                    Err(format!("its own keys: {fault}"))
                }
            }
        }
        .boxed()
    }
}

/// Reads a document and checks that it is the server's. It is copied, as it may be a small part of a large reply.
fn read(server: &ServerName, document: &Object) -> Result<ServerKeys, ServerKeysError> {
    let keys = ServerKeys::parse(Bytes::copy_from_slice(document.text()))?;
    keys.check_self_signed(server)?;
    Ok(keys)
}

/// Of a notary's documents the one of the longest validity that is the server's, signed by it and by the notary.
fn newest<'a>(
    server: &ServerName,
    notary: &TrustedNotary,
    trusted: &BTreeMap<KeyId, VerifyKey>,
    documents: impl Iterator<Item = &'a Object>,
) -> Result<ServerKeys, String> {
    let validity = |document: &Object| document.get("valid_until_ts").and_then(|at| at.as_i64());
    let is_its = |document: &&Object| {
        let name = document.get("server_name");
        name.is_some_and(|name| name.as_str().is_some_and(|name| name == server.as_str()))
    };
    let mut documents: Vec<&Object> = documents.filter(is_its).collect();
    documents.sort_by_key(|document| Reverse(validity(document)));
    let mut why = "it has no document of the server".to_owned();
    for document in documents.into_iter().take(MAX_DOCUMENTS) {
        let checked = read(server, document).and_then(|keys| {
            keys.check_notarised(&notary.name, trusted)?;
            Ok(keys)
        });
        match checked {
            Ok(keys) => return Ok(keys),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}
