//! A key is decompressed when its document is taken in, and never again.

use std::sync::Arc;

use async_trait::async_trait;
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

#[tokio::test]
async fn a_key_is_decompressed_once_for_all_requests_that_it_signs() {
    let origin: ServerName = "origin.example".parse().expect("a name");
    let destination: ServerName = "destination.example".parse().expect("a name");
    let key = SigningKey::from_seed("1", &[1; 32]).expect("a key");
    let sender = Router::new().with(keys(Arc::new(Sender(origin.clone(), key.clone()))));
    let transport = MemoryTransport::new(
        Operations::federation(),
        BoxCloneSyncService::new(sender),
        MemoryMode::ByValue,
    );
    let ring = KeyRing::new(Client::new(Arc::new(transport)), KeyRingOptions::default());
    let authenticator = XMatrixAuthenticator::new(destination.clone(), Arc::new(ring));

    let before = DECOMPRESSED.get();
    for _ in 0..20 {
        let mut call = signed(&origin, &destination, &key);
        let proven = authenticator.authenticate(&mut call).await;
        assert_eq!(proven.expect("it is signed").server_name(), &origin);
    }
    assert_eq!(DECOMPRESSED.get() - before, 1);
}
