//! Servers that others can ask for keys, a clock that all of them go by, and a count of who was asked what.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    CallService, Client, Operations, Router, ServerName,
    api::{self, *},
    auth::{
        KeyDocument, KeyId, KeyRing, KeyRingOptions, Notary, NotaryOptions, PublishedKeys,
        PublishedKeysOptions, SigningKey, now_ms,
    },
    call::{Call, CallContext, Reply},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
    json::Object,
    transport::{Capabilities, MemoryMode, MemoryTransport, Transport},
};

use crate::homeserver::name;

pub const HOUR: i64 = 3_600_000;
pub const DAY: i64 = 24 * HOUR;

pub fn id(text: &str) -> KeyId {
    text.parse().expect("a key ID")
}

pub fn signing_key(version: &str, seed: u8) -> Arc<SigningKey> {
    Arc::new(SigningKey::from_seed(version, &[seed; 32]).expect("a valid version"))
}

/// A clock that tests set.
#[derive(Clone)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(now_ms())))
    }

    pub fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    pub fn pass(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }

    pub fn source(&self) -> Arc<dyn Fn() -> i64 + Send + Sync> {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}

/// What a server does with a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Refused,
    Silent,
    Slow(Duration),
}

/// Leads calls to the server that they are for.
#[derive(Clone, Default)]
pub struct Network {
    servers: Arc<Mutex<BTreeMap<ServerName, CallService>>>,
    fates: Arc<Mutex<BTreeMap<ServerName, Fate>>>,
    calls: Arc<Mutex<Vec<(ServerName, &'static str)>>>,
    signed: Arc<Mutex<BTreeSet<ServerName>>>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

impl Network {
    pub fn add<S: api::Keys>(&self, server: &str, keys: Arc<S>) {
        let router = Router::new().with(api::keys(keys));
        let service = router.layered(tower::layer::util::Identity::new());
        self.servers.lock().unwrap().insert(name(server), service);
    }

    pub fn client(&self) -> Client {
        Client::new(Arc::new(self.clone()))
    }

    pub fn refuse(&self, server: &str) {
        self.set(server, Some(Fate::Refused));
    }

    pub fn silence(&self, server: &str) {
        self.set(server, Some(Fate::Silent));
    }

    pub fn slow(&self, server: &str, by: Duration) {
        self.set(server, Some(Fate::Slow(by)));
    }

    pub fn mend(&self, server: &str) {
        self.set(server, None);
    }

    fn set(&self, server: &str, fate: Option<Fate>) {
        let mut fates = self.fates.lock().unwrap();
        match fate {
            Some(fate) => fates.insert(name(server), fate),
            None => fates.remove(&name(server)),
        };
    }

    /// How often a server was called.
    pub fn calls(&self, server: &str) -> usize {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(to, _)| to.as_str() == server).count()
    }

    pub fn all_calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// The servers that got a call with a credential.
    pub fn signed(&self) -> BTreeSet<ServerName> {
        self.signed.lock().unwrap().clone()
    }
}

#[async_trait]
impl Transport for Network {
    fn name(&self) -> &'static str {
        "network"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        let to = call.context().destination.clone().expect("a destination");
        if !call.context().credentials.is_empty() {
            self.signed.lock().unwrap().insert(to.clone());
        }
        let operation = call.spec().name;
        self.calls.lock().unwrap().push((to.clone(), operation));
        let fate = self.fates.lock().unwrap().get(&to).copied();
        match fate {
            None => {}
            Some(Fate::Silent) => std::future::pending().await,
            Some(Fate::Slow(by)) => tokio::time::sleep(by).await,
            Some(Fate::Refused) => return Err(refused()),
        }
        let service = self.servers.lock().unwrap().get(&to).cloned();
        let service = service.ok_or_else(refused)?;
        let wire =
            MemoryTransport::new(Operations::federation(), service, MemoryMode::ThroughCodec);
        wire.send(call).await
    }
}

fn refused() -> CallError {
    TransportError::new(
        TransportErrorKind::Connect,
        Delivery::NotSent,
        "nobody listens",
    )
    .into()
}

/// A server that says what it is told to say, good or bad, of itself and as a notary.
#[derive(Default)]
pub struct Scripted {
    pub own: Mutex<Bytes>,
    pub of_others: Mutex<Vec<Bytes>>,
    pub asked: Mutex<Vec<BatchQueryServerKeys>>,
}

impl Scripted {
    pub fn saying(document: Bytes) -> Arc<Self> {
        let scripted = Self::default();
        scripted.say(document);
        Arc::new(scripted)
    }

    pub fn say(&self, document: Bytes) {
        *self.own.lock().unwrap() = document;
    }

    pub fn relay(&self, documents: Vec<Bytes>) {
        *self.of_others.lock().unwrap() = documents;
    }
}

fn object(text: &Bytes) -> Result<Object, FederationError> {
    Object::parse(text.clone(), 8 << 20)
        .map_err(|error| FederationError::internal(error.to_string()))
}

#[async_trait]
impl api::Keys for Scripted {
    async fn get_server_keys(
        &self,
        _: &CallContext,
        _: GetServerKeys,
    ) -> Result<GetServerKeysReply, FederationError> {
        let document = object(&self.own.lock().unwrap())?;
        Ok(GetServerKeysReply { document })
    }

    async fn batch_query_server_keys(
        &self,
        _: &CallContext,
        request: BatchQueryServerKeys,
    ) -> Result<QueryServerKeysReply, FederationError> {
        self.asked.lock().unwrap().push(request);
        let documents = self.of_others.lock().unwrap().clone();
        let documents: Result<Vec<_>, _> = documents.iter().map(object).collect();
        Ok(QueryServerKeysReply::new(documents?))
    }
}

/// A document of `server`, signed by the key, valid until then.
pub fn document(server: &str, key: &SigningKey, valid_until: i64) -> Bytes {
    let document = KeyDocument::new(name(server), valid_until);
    document.sign(&[key]).expect("a document")
}

pub fn published(server: &str, key: &Arc<SigningKey>, clock: &Clock) -> PublishedKeys {
    let options = PublishedKeysOptions {
        now: clock.source(),
        ..Default::default()
    };
    PublishedKeys::new(name(server), key.clone(), options).expect("a good validity")
}

pub fn options(clock: &Clock) -> KeyRingOptions {
    KeyRingOptions {
        now: clock.source(),
        ..Default::default()
    }
}

/// A notary of this name, in the network.
pub fn notary(network: &Network, server: &str, clock: &Clock, notary_options: NotaryOptions) {
    let keys = published(server, &signing_key("n", 200), clock);
    let ring = KeyRing::new(network.client(), options(clock)).with_own(keys.clone());
    network.add(server, Arc::new(Notary::new(keys, ring, notary_options)));
}
