//! A key is decompressed when its document is taken in, and never again; it is prepared once for requests and events.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tower::util::BoxCloneSyncService;

use super::*;
use crate::{
    Operations, Router,
    api::{GetServerKeys, GetServerKeysReply, Keys, SendTransaction, keys},
    auth::{
        Authenticator, KeyDocument, SignedRequest, SigningKey, XMatrixAuthenticator,
        key::DECOMPRESSED,
    },
    call::{Call, CallContext, Credentials},
    endpoint::Content,
    error::FederationError,
    event::{
        KeyLimits, check_event, fetch_event_keys, needed_keys, room_version::RoomVersions,
        sign_event,
    },
    json::Object,
    transport::{MemoryMode, MemoryTransport},
};

#[derive(Debug)]
struct Sender(ServerName, SigningKey);

#[async_trait]
impl Keys for Sender {
    async fn get_server_keys(
        &self,
        _: &CallContext,
        _: GetServerKeys,
    ) -> Result<GetServerKeysReply, FederationError> {
        let document = KeyDocument::new(self.0.clone(), i64::MAX >> 11);
        let document = document.sign(&[&self.1]).expect("one key signs");
        let document = Object::parse(document, usize::MAX).expect("a document is JSON");
        Ok(GetServerKeysReply { document })
    }
}

fn signed(origin: &ServerName, destination: &ServerName, key: &SigningKey) -> Call {
    let transaction = SendTransaction::new("1", origin, 1, []);
    let mut call = Call::new(destination.clone(), transaction);
    let form = call.make_form().expect("it can be written");
    let Content::Json(content) = form.content() else {
        panic!("a transaction has content");
    };
    let credential = SignedRequest {
        method: form.method(),
        uri: form.target(),
        origin,
        destination: destination.as_str(),
        content: Some(content.text()),
    }
    .sign(key)
    .to_header();
    call.context_mut().credentials = Credentials::new(vec![credential]);
    call
}

/// A ring that asks the sender.
fn ring_of(origin: &ServerName, key: &SigningKey) -> KeyRing {
    let sender = Router::new().with(keys(Arc::new(Sender(origin.clone(), key.clone()))));
    let transport = MemoryTransport::new(
        Operations::federation(),
        BoxCloneSyncService::new(sender),
        MemoryMode::ByValue,
    );
    KeyRing::new(Client::new(Arc::new(transport)), KeyRingOptions::default())
}

#[tokio::test]
async fn a_key_is_decompressed_once_for_all_requests_that_it_signs() {
    let origin: ServerName = "origin.example".parse().expect("a name");
    let destination: ServerName = "destination.example".parse().expect("a name");
    let key = SigningKey::from_seed("1", &[1; 32]).expect("a key");
    let ring = ring_of(&origin, &key);
    let authenticator = XMatrixAuthenticator::new(destination.clone(), Arc::new(ring));

    let before = DECOMPRESSED.get();
    for _ in 0..20 {
        let mut call = signed(&origin, &destination, &key);
        let proven = authenticator.authenticate(&mut call).await;
        assert_eq!(proven.expect("it is signed").server_name(), &origin);
    }
    assert_eq!(DECOMPRESSED.get() - before, 1);
}

/// Half of what makes a key worth it are requests, half are events, each of a transaction of its own.
#[tokio::test]
async fn what_a_ring_is_asked_for_is_prepared_once_for_requests_and_events() {
    let origin: ServerName = "origin.example".parse().expect("a name");
    let destination: ServerName = "destination.example".parse().expect("a name");
    let key = SigningKey::from_seed("1", &[1; 32]).expect("a key");
    let ring = ring_of(&origin, &key);
    let versions = RoomVersions::matrix();
    let version = versions.get("12").expect("it is registered").rules();
    let event = Bytes::from_static(
        br#"{"auth_events":[],"content":{},"depth":1,"origin_server_ts":1,"prev_events":[],"room_id":"!r","sender":"@a:origin.example","type":"x"}"#,
    );
    let event = Object::parse(event, usize::MAX).expect("it is JSON");
    let (_, event) = sign_event(&**version, &event, &origin, &key).expect("it is an event");
    let authenticator = XMatrixAuthenticator::new(destination.clone(), Arc::new(ring.clone()));
    for _ in 0..8 {
        assert_eq!(ring.prepared_keys().prepared(), 0);
        let mut call = signed(&origin, &destination, &key);
        assert!(authenticator.authenticate(&mut call).await.is_ok());
        let needed = needed_keys(&**version, [&event]);
        let set = fetch_event_keys(&ring, needed, KeyLimits::default()).await;
        assert!(check_event(&**version, &event, &set).is_ok());
    }
    assert_eq!(ring.prepared_keys().prepared(), 1);

    let elsewhere = Arc::new(PreparedKeys::new(0));
    let ring = ring.with_prepared_keys(Arc::clone(&elsewhere));
    assert!(Arc::ptr_eq(&ring.prepared_keys(), &elsewhere));
}
