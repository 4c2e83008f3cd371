//! Giving other servers' keys to others (Server-Server API, "Querying keys through another server").

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{
    FetchedKeys, KeyId, KeyRing, PublishedKeys, SigningKey,
    key_ring::{Age, Need},
};
use crate::{
    ServerName,
    api::{
        BatchQueryServerKeys, GetServerKeys, GetServerKeysById, GetServerKeysReply, KeyCriteria,
        Keys, QueryServerKeys, QueryServerKeysById, QueryServerKeysReply,
    },
    call::CallContext,
    error::FederationError,
};

/// Most key IDs of one server that are looked for. The reply holds all of its keys anyway.
const MAX_KEY_IDS: usize = 64;

/// Bounds on what a notary does for a request, which nobody authenticates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotaryOptions {
    /// Most servers in one request. More are refused.
    pub servers: usize,
    /// Most servers that one request makes it ask. Of further ones it gives what it has.
    pub fetches: usize,
    /// Most servers that all requests together make it ask at once. It is less than [`KeyRingOptions::fetches`](super::KeyRingOptions::fetches), so that
    /// authentication gets keys whatever is asked of the notary.
    pub at_once: usize,
    /// How long one request waits for other servers. What has not come by then is fetched on, for the next request.
    pub wait: Duration,
    /// Most bytes of documents in one reply. What comes after is left out.
    pub reply: usize,
}

impl Default for NotaryOptions {
    /// 1,000 servers, 50 of them asked, 16 at once in all, 7 seconds, 8 MiB.
    fn default() -> Self {
        Self {
            servers: 1_000,
            fetches: 50,
            at_once: 16,
            wait: Duration::from_secs(7),
            reply: 8 << 20,
        }
    }
}

/// A server's key endpoints, those of a notary among them.
///
/// It gives the documents of other servers as a [`KeyRing`] knows them, with its own signatures added, and its own document as it is. Of a server that
/// cannot be asked it gives the last document, also one that has expired; without one it leaves the server out. It asks a server again once half of the
/// time for which the document counts is over, or if the document is not valid for as long as the caller wants, or lacks a key that he names.
#[derive(Debug)]
pub struct Notary {
    own: PublishedKeys,
    ring: KeyRing,
    options: NotaryOptions,
    turns: Semaphore,
}

impl Notary {
    /// A notary that signs by the keys `own` and knows what `ring` knows.
    pub fn new(own: PublishedKeys, ring: KeyRing, options: NotaryOptions) -> Self {
        Self {
            turns: Semaphore::new(options.at_once),
            own,
            ring,
            options,
        }
    }

    /// The documents of these servers, by name.
    async fn documents(&self, wanted: Vec<(ServerName, Need)>) -> QueryServerKeysReply {
        let end = Instant::now() + self.options.wait;
        let fetches = AtomicUsize::new(self.options.fetches);
        let known: BTreeMap<ServerName, FetchedKeys> = stream::iter(wanted)
            .map(|(server, need)| {
                let fetches = &fetches;
                async move {
                    let known = self.last_known(&server, &need, fetches, end).await?;
                    Some((server, known))
                }
            })
            .buffer_unordered(self.options.at_once.max(1))
            .filter_map(std::future::ready)
            .collect()
            .await;
        let keys = self.own.signing_keys();
        let keys: Vec<&SigningKey> = keys.iter().map(Arc::as_ref).collect();
        let mut documents = Vec::new();
        let mut size = 0;
        for (server, known) in known {
            let document = if server == *self.own.server_name() {
                self.own.document()
            } else {
                match known.keys.notarised(self.own.server_name(), &keys) {
                    Ok(document) => document,
                    Err(error) => {
                        tracing::debug!(%server, %error, "key document not signed");
                        continue;
                    }
                }
            };
            size += document.text().len();
            if size > self.options.reply {
                tracing::debug!(limit = self.options.reply, "key documents left out");
                break;
            }
            documents.push(document);
            // Signing takes a while, and there may be a thousand.
            tokio::task::consume_budget().await;
        }
        QueryServerKeysReply::new(documents)
    }

    async fn last_known(
        &self,
        server: &ServerName,
        need: &Need,
        fetches: &AtomicUsize,
        end: Instant,
    ) -> Option<FetchedKeys> {
        if server == self.own.server_name() {
            let keys = self.own.server_keys();
            return Some(FetchedKeys { keys, at: 0 });
        }
        let here = timeout_at(end, self.ring.document_here(server, need)).await;
        let (known, enough) = here.ok()?;
        let may_fetch = || {
            let take = |left: usize| left.checked_sub(1);
            fetches.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        };
        if enough || may_fetch().is_err() {
            return known;
        }
        let fetched = async {
            let _turn = self.turns.acquire().await.expect("never closed");
            self.ring.document(server, need).await
        };
        match timeout_at(end, fetched).await {
            Ok(Some(fetched)) => Some(fetched),
            Ok(None) | Err(_) => known,
        }
    }

    /// The document of one server.
    async fn document(
        &self,
        server: &str,
        key: Option<&str>,
        minimum: Option<i64>,
    ) -> Result<QueryServerKeysReply, FederationError> {
        let server: ServerName = server.parse().map_err(|error| {
            FederationError::invalid_param(format!("serverName is no server name: {error}"))
        })?;
        let need = self.need(key.map(|key| (key, minimum)).into_iter(), minimum);
        Ok(self.documents(vec![(server, need)]).await)
    }

    /// What is asked for. A document has to count now, whatever the caller would put up with: it is no reason not to ask.
    fn need<'a>(
        &self,
        keys: impl Iterator<Item = (&'a str, Option<i64>)>,
        minimum: Option<i64>,
    ) -> Need {
        let mut wanted = BTreeSet::new();
        let mut valid_until = minimum;
        for (id, minimum) in keys.take(MAX_KEY_IDS) {
            valid_until = valid_until.max(minimum);
            // Keys of other algorithms cannot be found, and a wish for one would cause a fetch.
            wanted.extend(id.parse::<KeyId>().ok().filter(KeyId::is_ed25519));
        }
        Need {
            keys: wanted,
            current: false,
            valid_until: valid_until.unwrap_or(i64::MIN),
            age: Age::Young,
        }
    }
}

#[async_trait]
impl Keys for Notary {
    async fn get_server_keys(
        &self,
        cx: &CallContext,
        request: GetServerKeys,
    ) -> Result<GetServerKeysReply, FederationError> {
        self.own.get_server_keys(cx, request).await
    }

    async fn get_server_keys_by_id(
        &self,
        cx: &CallContext,
        request: GetServerKeysById,
    ) -> Result<GetServerKeysReply, FederationError> {
        self.own.get_server_keys_by_id(cx, request).await
    }

    async fn query_server_keys(
        &self,
        _: &CallContext,
        request: QueryServerKeys,
    ) -> Result<QueryServerKeysReply, FederationError> {
        let minimum = request.minimum_valid_until_ts;
        self.document(&request.server_name, None, minimum).await
    }

    async fn query_server_keys_by_id(
        &self,
        _: &CallContext,
        request: QueryServerKeysById,
    ) -> Result<QueryServerKeysReply, FederationError> {
        let minimum = request.minimum_valid_until_ts;
        let key = Some(request.key_id.as_str());
        self.document(&request.server_name, key, minimum).await
    }

    async fn batch_query_server_keys(
        &self,
        _: &CallContext,
        request: BatchQueryServerKeys,
    ) -> Result<QueryServerKeysReply, FederationError> {
        let bad = |error: serde_json::Error| FederationError::bad_json(error.to_string());
        let wanted: BTreeMap<String, BTreeMap<String, KeyCriteria>> =
            request.server_keys.read().map_err(bad)?;
        if wanted.len() > self.options.servers {
            return Err(FederationError::invalid_param(format!(
                "a key query of {} servers is over the limit of {} of the notary (setting: servers)",
                wanted.len(),
                self.options.servers
            )));
        }
        let wanted = wanted.iter().filter_map(|(server, keys)| {
            let criteria = keys
                .iter()
                .map(|(id, criteria)| (id.as_str(), criteria.minimum_valid_until_ts));
            Some((server.parse().ok()?, self.need(criteria, None)))
        });
        Ok(self.documents(wanted.collect()).await)
    }
}
