//! Servers that publish a key each, and count how often they are asked.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    Client, Router, ServerName,
    api::{self, GetServerKeys, GetServerKeysReply},
    auth::{KeyDocument, KeyId, SigningKey, now_ms},
    call::{Call, CallContext, Reply},
    error::{CallError, FederationError},
    json::Object,
    transport::{Capabilities, MemoryMode, MemoryTransport, Transport},
};

pub fn name(text: &str) -> ServerName {
    text.parse().unwrap()
}

pub fn key_id() -> KeyId {
    "ed25519:1".parse().unwrap()
}

pub fn document(server: &ServerName) -> Bytes {
    let key = SigningKey::from_seed("1", &[7; 32]).unwrap();
    let document = KeyDocument::new(server.clone(), now_ms() + 86_400_000);
    document.sign(&[&key]).unwrap()
}

/// Every server there is, by whatever name.
#[derive(Clone, Default, Debug)]
pub struct Servers {
    pub asked: Arc<AtomicUsize>,
    pub down: Arc<AtomicBool>,
}

impl Servers {
    pub fn client(&self) -> Client {
        Client::new(Arc::new(self.clone()))
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

struct One(ServerName);

#[async_trait]
impl api::Keys for One {
    async fn get_server_keys(
        &self,
        _: &CallContext,
        _: GetServerKeys,
    ) -> Result<GetServerKeysReply, FederationError> {
        let document = Object::parse(document(&self.0), 1 << 20).unwrap();
        Ok(GetServerKeysReply { document })
    }
}

#[async_trait]
impl Transport for Servers {
    fn name(&self) -> &'static str {
        "servers"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err(FederationError::internal("down").into());
        }
        let server = call.context().destination.clone().unwrap();
        let router = Router::new().with(api::keys(Arc::new(One(server))));
        let service = router.layered(tower::layer::util::Identity::new());
        let operations = comity_core::Operations::federation();
        MemoryTransport::new(operations, service, MemoryMode::ByValue)
            .send(call)
            .await
    }
}
