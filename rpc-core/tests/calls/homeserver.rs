//! A small server that answers an operation of each kind and remembers what it was asked.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    Client, Operations, Router, ServerName,
    api::{self, *},
    auth::{
        KeyRing, KeyRingOptions, ServerKeys, Sign, SigningKey, Verify, XMatrixAuthenticator, now_ms,
    },
    call::{Authenticated, Blob, BlobSource, CallContext, EventReply},
    error::FederationError,
    event::Pdu,
    json::{Object, Value},
    layers::{Clocks, Permits, RunToEnd, Side, Trace},
    transport::{MemoryMode, MemoryTransport, Transport},
};
use futures_util::StreamExt;
use tower::ServiceBuilder;

pub fn name(text: &str) -> ServerName {
    text.parse().expect("a server name")
}

pub fn key(seed: u8) -> Arc<SigningKey> {
    Arc::new(SigningKey::from_seed("1", &[seed; 32]).expect("a valid version"))
}

pub fn pdu(text: &'static str) -> Pdu {
    Pdu::judge(Value::parse(Bytes::from_static(text.as_bytes()), 1 << 20).expect("JSON"))
        .expect("an event")
}

/// Answers an operation of each kind.
pub struct Homeserver {
    pub name: ServerName,
    pub key: Arc<SigningKey>,
    pub valid_until: i64,
    pub key_requests: AtomicUsize,
    /// Origin and number of good and bad PDUs of each transaction.
    pub transactions: Mutex<Vec<(ServerName, usize, usize)>>,
}

impl Homeserver {
    pub fn new(server: &str, seed: u8) -> Arc<Self> {
        Self::valid_until(server, seed, now_ms() + 3_600_000)
    }

    pub fn valid_until(server: &str, seed: u8, valid_until: i64) -> Arc<Self> {
        Arc::new(Self {
            name: name(server),
            key: key(seed),
            valid_until,
            key_requests: AtomicUsize::new(0),
            transactions: Mutex::default(),
        })
    }

    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .with(api::server(self.clone()))
            .with(api::keys(self.clone()))
            .with(api::transactions(self.clone()))
            .with(api::events(self.clone()))
            .with(api::membership(self.clone()))
            .with(api::media(self.clone()))
    }
}

#[async_trait]
impl api::Server for Homeserver {
    async fn get_version(
        &self,
        _: &CallContext,
        _: GetVersion,
    ) -> Result<GetVersionReply, FederationError> {
        Ok(GetVersionReply::default())
    }
}

#[async_trait]
impl api::Keys for Homeserver {
    async fn get_server_keys(
        &self,
        _: &CallContext,
        _: GetServerKeys,
    ) -> Result<GetServerKeysReply, FederationError> {
        self.key_requests.fetch_add(1, Ordering::SeqCst);
        // Waiters have time to pile up.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let document =
            ServerKeys::sign_document(&self.key, &self.name, self.valid_until, &BTreeMap::new())
                .map_err(|error| FederationError::internal(error.to_string()))?;
        let document = Object::parse(document, 1 << 20)
            .map_err(|error| FederationError::internal(error.to_string()))?;
        Ok(GetServerKeysReply { document })
    }
}

#[async_trait]
impl api::Transactions for Homeserver {
    async fn send_transaction(
        &self,
        cx: &Authenticated,
        request: SendTransaction,
    ) -> Result<SendTransactionReply, FederationError> {
        let good = request.pdus.iter().filter(|pdu| pdu.is_ok()).count();
        self.transactions.lock().expect("not poisoned").push((
            cx.origin().clone(),
            good,
            request.pdus.len() - good,
        ));
        Ok(SendTransactionReply::new(&BTreeMap::new()))
    }
}

#[async_trait]
impl api::Events for Homeserver {
    async fn get_missing_events(
        &self,
        _: &Authenticated,
        _: GetMissingEvents,
    ) -> Result<GetMissingEventsReply, FederationError> {
        Ok(GetMissingEventsReply::new([pdu(r#"{"type":"m.missing"}"#)]))
    }
}

#[async_trait]
impl api::Membership for Homeserver {
    async fn send_join(
        &self,
        _: &Authenticated,
        _: SendJoin,
    ) -> Result<SendJoinReply, FederationError> {
        let state: Vec<Pdu> = (0..100).map(|_| pdu(r#"{"type":"m.state"}"#)).collect();
        Ok(EventReply::new(
            vec![
                ("auth_chain", vec![pdu(r#"{"type":"m.auth"}"#)]),
                ("state", state),
            ],
            SendJoinMembers {
                members_omitted: Some(false),
                ..SendJoinMembers::default()
            },
        ))
    }
}

#[async_trait]
impl api::Media for Homeserver {
    async fn download_media(
        &self,
        _: &Authenticated,
        request: DownloadMedia,
    ) -> Result<Blob, FederationError> {
        if request.media_id != "cat" {
            return Err(FederationError::not_found("no such file"));
        }
        Ok(Blob {
            metadata: Object::empty(),
            source: BlobSource::Here {
                content_type: Some("image/png".to_owned()),
                content_disposition: None,
            },
            bytes: futures_util::stream::iter([
                Ok(Bytes::from_static(b"meow")),
                Ok(Bytes::from_static(b"!")),
            ])
            .boxed(),
        })
    }
}

/// A key ring that asks `peer`.
pub fn ring_of(peer: &Arc<Homeserver>) -> KeyRing {
    let to_peer = MemoryTransport::new(
        Operations::federation(),
        peer.router().layered(tower::layer::util::Identity::new()),
        MemoryMode::ThroughCodec,
    );
    KeyRing::new(Client::new(Arc::new(to_peer)), KeyRingOptions::default())
}

/// A transport to `server` that verifies by the keys that `peer` publishes over a transport of its own.
pub fn guarded(
    server: &Arc<Homeserver>,
    peer: &Arc<Homeserver>,
    mode: MemoryMode,
) -> Arc<dyn Transport> {
    let authenticator = XMatrixAuthenticator::new(server.name.clone(), Arc::new(ring_of(peer)));
    let service = server.router().layered(
        ServiceBuilder::new()
            .layer(Permits::layer(
                Side::Server,
                100,
                std::time::Duration::from_secs(1),
            ))
            .layer(Trace::layer(Side::Server))
            .layer(Clocks::layer(Side::Server))
            .layer(Verify::layer(Arc::new(authenticator)))
            .layer(RunToEnd::layer(100)),
    );
    Arc::new(MemoryTransport::new(
        Operations::federation(),
        service,
        mode,
    ))
}

/// A client that signs as `origin`.
pub fn signing(transport: Arc<dyn Transport>, origin: &Homeserver) -> Client {
    Client::layered(
        transport,
        ServiceBuilder::new()
            .layer(Clocks::layer(Side::Client))
            .layer(Sign::layer(origin.name.clone(), origin.key.clone())),
    )
}

pub fn join() -> SendJoin {
    SendJoin {
        room_id: "!room:b.example".to_owned(),
        event_id: "$event".to_owned(),
        event: pdu(r#"{"type":"m.room.member"}"#),
        omit_members: Some(true),
        extra_query: Default::default(),
    }
}

pub fn transaction(pdus: &str) -> SendTransaction {
    let body = format!(r#"{{"origin":"a.example","origin_server_ts":1,"pdus":{pdus}}}"#);
    let operation = comity_core::call::operation::<SendTransaction>();
    let content =
        comity_core::endpoint::read_content(operation, None, Bytes::from(body)).expect("JSON");
    comity_core::call::Endpoint::read(&comity_core::endpoint::EndpointParts {
        path: vec!["txn".to_owned()],
        content,
        ..Default::default()
    })
    .expect("a transaction")
}
