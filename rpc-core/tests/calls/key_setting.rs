//! A server and a notary that say what they are told, and a ring that trusts the notary.

use std::sync::Arc;

use bytes::Bytes;
use comity_core::auth::{
    KeyFault, KeyRing, KeyRingOptions, KeySource, ServerKeys, SigningKey, TrustedNotary,
};

use crate::{homeserver::name, network::*};

/// A document with the notary's signature, and the notary's name `n.example`.
pub fn relayed(document: &Bytes, by: &SigningKey) -> Bytes {
    let keys = ServerKeys::parse(document.clone()).unwrap();
    let signed = keys.notarised(&name("n.example"), &[by]).unwrap();
    signed.text().clone()
}

/// A server and a notary that say what they are told, and a ring that trusts the notary.
pub struct Setting {
    pub clock: Clock,
    pub network: Network,
    pub key: Arc<SigningKey>,
    pub notary_key: Arc<SigningKey>,
    pub origin: Arc<Scripted>,
    pub notary: Arc<Scripted>,
}

impl Setting {
    pub fn new() -> Self {
        let (clock, network) = (Clock::new(), Network::default());
        let (key, notary_key) = (signing_key("1", 1), signing_key("n", 9));
        let origin = Scripted::saying(document("a.example", &key, clock.now() + DAY));
        let own = document("n.example", &notary_key, clock.now() + DAY);
        let notary = Scripted::saying(own);
        network.add("a.example", origin.clone());
        network.add("n.example", notary.clone());
        Self {
            clock,
            network,
            key,
            notary_key,
            origin,
            notary,
        }
    }

    pub fn ring(&self, change: impl FnOnce(&mut KeyRingOptions)) -> KeyRing {
        let mut options = options(&self.clock);
        change(&mut options);
        KeyRing::new(self.network.client(), options)
            .with_notaries(vec![TrustedNotary::new(name("n.example"))])
    }

    pub fn relay(&self, documents: &[&Bytes]) {
        let by = &self.notary_key;
        let relayed = documents.iter().map(|one| relayed(one, by)).collect();
        self.notary.relay(relayed);
    }

    pub fn document(&self, lasting: i64) -> Bytes {
        document("a.example", &self.key, self.clock.now() + lasting)
    }
}

pub async fn key_1(ring: &KeyRing) -> Result<(), KeyFault> {
    ring.request_key(&name("a.example"), &id("ed25519:1"))
        .await
        .map(drop)
}
