//! One key, as ours and as ruma's.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use comity_core::{
    ServerName,
    auth::{KeyFault, KeyId, KeySource, SigningKey, VerifyKey},
};
use ruma_common::{
    OwnedServerName,
    api::auth_scheme::{AuthScheme, NoAuthentication},
    serde::Base64,
};
use ruma_federation_api::authentication::{ServerSignatures, XMatrixSigningInput};
use ruma_signatures::{Ed25519KeyPair, PublicKeyMap};

pub(crate) const ORIGIN: &str = "origin.example";
pub(crate) const DESTINATION: &str = "destination.example:8448";
const SEED: [u8; 32] = [5; 32];
const VERSION: &str = "oracle";

pub(crate) fn name(name: &str) -> ServerName {
    name.parse().unwrap()
}

pub(crate) fn our_key() -> SigningKey {
    SigningKey::from_seed(VERSION, &SEED).unwrap()
}

pub(crate) fn ruma_key() -> Ed25519KeyPair {
    // The private key of RFC 8410 §7: a fixed head, then the seed.
    let head = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    let document = [&head[..], &SEED].concat();
    Ed25519KeyPair::from_der(&document, VERSION.to_owned()).unwrap()
}

/// The public key, as ruma looks it up.
pub(crate) fn ruma_keys() -> PublicKeyMap {
    let key = Base64::new(our_key().verify_key().as_bytes().to_vec());
    let keys = BTreeMap::from([(our_key().key_id().to_string(), key)]);
    PublicKeyMap::from([(ORIGIN.to_owned(), keys)])
}

/// The public key, as we look it up.
#[derive(Debug)]
pub(crate) struct OurKeys;

#[async_trait]
impl KeySource for OurKeys {
    async fn request_key(&self, server: &ServerName, key: &KeyId) -> Result<VerifyKey, KeyFault> {
        let known = our_key();
        match server.as_str() == ORIGIN && key == known.key_id() {
            true => Ok(known.verify_key()),
            false => Err(KeyFault::Unknown),
        }
    }
}

impl OurKeys {
    pub(crate) fn shared() -> Arc<Self> {
        Arc::new(Self)
    }
}

/// What ruma needs to authenticate a request.
pub(crate) trait Credential: AuthScheme {
    fn input(key: &Ed25519KeyPair) -> Self::Input<'_>;
}

impl Credential for NoAuthentication {
    fn input(_: &Ed25519KeyPair) {}
}

impl Credential for ServerSignatures {
    fn input(key: &Ed25519KeyPair) -> XMatrixSigningInput<'_> {
        let name = |name: &str| OwnedServerName::try_from(name).unwrap();
        XMatrixSigningInput::new(name(ORIGIN), name(DESTINATION), key)
    }
}
