//! Request signing and the X-Matrix header: known answers, what other servers send, and the laws.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::collections::BTreeMap;

use comity_core::{
    ServerName,
    auth::{
        KeyId, MAX_CREDENTIALS, MAX_HEADER_BYTES, Parsed, Signature, SignatureError, SignedRequest,
        SigningKey, SigningKeyError, VerifyKey, VerifyKeyError, XMatrix, XMatrixCredentials,
        XMatrixError,
    },
};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;

mod base64_rules;
mod header_grammar;
mod keys;
mod known_answers;
mod laws;
mod several_headers;
mod signed_object;

/// A signature as text; which one does not matter to the parser.
const SIG: &str =
    "7vt4vP/w8zYB3Zg77nuTPwie3TxEy2OHZQMsSa4nsXZzL4/qw+DguXbyMy3BF77XvSJmBt+Gw+fU6T4HId7fBg";

#[derive(Deserialize)]
struct Vector {
    name: String,
    seed_unpadded_b64: String,
    key_id: String,
    verify_key_unpadded_b64: String,
    method: String,
    uri: String,
    origin: ServerName,
    destination: String,
    signed_bytes_utf8: String,
    sig: String,
    header_spec_order: String,
    header_synapse_order: String,
}

impl Vector {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("../vectors/x-matrix.json")).unwrap()
    }

    fn named(name: &str) -> Self {
        Self::all().into_iter().find(|v| v.name == name).unwrap()
    }

    fn signing_key(&self) -> SigningKey {
        let version = self.key_id.strip_prefix("ed25519:").unwrap();
        SigningKey::from_base64_seed(version, &self.seed_unpadded_b64).unwrap()
    }

    fn verify_key(&self) -> VerifyKey {
        VerifyKey::from_base64(&self.verify_key_unpadded_b64).unwrap()
    }

    fn signature(&self) -> Signature {
        Signature::from_base64(&self.sig).unwrap()
    }

    /// The content's canonical text, cut out of the signed text.
    fn content(&self) -> Option<String> {
        let members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(&self.signed_bytes_utf8).unwrap();
        members.get("content").map(|raw| raw.get().to_owned())
    }

    fn request<'a>(&'a self, content: Option<&'a str>) -> SignedRequest<'a> {
        SignedRequest {
            method: &self.method,
            uri: &self.uri,
            origin: &self.origin,
            destination: &self.destination,
            content: content.map(str::as_bytes),
        }
    }
}

fn parse(header: &str) -> Result<XMatrix, XMatrixError> {
    match XMatrix::parse(header)? {
        Parsed::XMatrix(credential) => Ok(credential),
        Parsed::OtherScheme => panic!("{header} was taken for another scheme"),
    }
}

/// The credential that most headers below mean.
fn usual() -> XMatrix {
    XMatrix {
        origin: "a.example:8448".parse().unwrap(),
        destination: Some("b.example".to_owned()),
        key: "ed25519:k1".parse().unwrap(),
        signature: Signature::from_base64(SIG).unwrap(),
    }
}

#[track_caller]
fn accepted(header: &str) {
    assert_eq!(parse(header).as_ref(), Ok(&usual()), "{header}");
}

fn header_of(origin: &str, key: &str) -> String {
    format!(r#"X-Matrix origin="{origin}",key="{key}",sig="{SIG}",destination="b.example""#)
}

fn from_headers(headers: &[&str]) -> Result<XMatrixCredentials, XMatrixError> {
    XMatrixCredentials::from_headers(headers.iter().map(|header| header.as_bytes()))
}
