//! Signed requests by hand, and a server that verifies them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use comity_core::{
    CallService, Operations, ServerName,
    auth::{
        KeyFault, KeyId, KeySource, SignedRequest, SigningKey, Verify, VerifyKey,
        XMatrixAuthenticator,
    },
    call::{Message, Reply},
    json::Object,
};
use comity_http::HttpServer;
use tower::Layer;

use crate::setting::*;

pub const MISSING: &str = "/_matrix/federation/v1/get_missing_events/!r:d";
pub const ASK: &str = r#"{"earliest_events":[],"latest_events":[]}"#;
pub const SEND: &str = "/_matrix/federation/v1/send/1";

pub fn name(text: &str) -> ServerName {
    text.parse().unwrap()
}

fn key(version: &str) -> SigningKey {
    SigningKey::from_seed(version, &[version.len() as u8; 32]).unwrap()
}

/// Two keys of one server, one that has expired, and a server that cannot be reached.
#[derive(Debug)]
pub struct Keys;

#[async_trait]
impl KeySource for Keys {
    async fn request_key(&self, server: &ServerName, id: &KeyId) -> Result<VerifyKey, KeyFault> {
        match (server.as_str(), id.as_str()) {
            ("a.example:8448", "ed25519:1") => Ok(key("1").verify_key()),
            ("a.example:8448", "ed25519:22") => Ok(key("22").verify_key()),
            ("a.example:8448", "ed25519:333") => Err(KeyFault::Expired),
            ("nowhere.example", _) => Err(KeyFault::Unreachable("no route".to_owned())),
            _ => Err(KeyFault::Unknown),
        }
    }
}

/// A server that lets in whoever proves its name, but for `barred.example`.
pub async fn serving(let_in: &Arc<AtomicUsize>) -> Serving {
    let let_in = let_in.clone();
    let handler = handler(move |_| {
        let_in.fetch_add(1, Ordering::SeqCst);
        async { Ok(Reply::Message(Message::from_content(Object::empty()))) }
    });
    screened(
        handler,
        XMatrixAuthenticator::new(destination(), Arc::new(Keys)),
    )
    .await
}

/// A server whose authenticator is asked twice, as it should be: before the body is read, and when it is there.
pub async fn screened(handler: CallService, authenticator: XMatrixAuthenticator) -> Serving {
    let authenticator = Arc::new(authenticator);
    let service = CallService::new(Verify::layer(authenticator.clone()).layer(handler));
    let server = HttpServer::new(Operations::federation(), service);
    Serving::tls_server(server.with_screen(authenticator)).await
}

/// What is signed, good but for what a test changes.
pub struct Signing<'a> {
    pub method: &'a str,
    pub uri: &'a str,
    pub origin: &'a str,
    pub destination: &'a str,
    pub content: Option<&'a str>,
    pub key: &'a str,
}

impl Default for Signing<'_> {
    fn default() -> Self {
        Self {
            method: "POST",
            uri: MISSING,
            origin: "a.example:8448",
            destination: "matrix.test",
            content: Some(ASK),
            key: "1",
        }
    }
}

impl Signing<'_> {
    pub fn sig(&self) -> String {
        let origin = name(self.origin);
        let signed = SignedRequest {
            method: self.method,
            uri: self.uri,
            origin: &origin,
            destination: self.destination,
            content: self.content.map(str::as_bytes),
        };
        let header = signed.sign(&key(self.key)).to_header();
        header.split("sig=\"").nth(1).unwrap()[..86].to_owned()
    }

    pub fn header(&self) -> String {
        let (origin, destination, key) = (self.origin, self.destination, self.key);
        let sig = self.sig();
        format!(
            r#"X-Matrix origin="{origin}",key="ed25519:{key}",sig="{sig}",destination="{destination}""#
        )
    }
}

/// Authorization lines of a request.
pub fn lines(values: &[String]) -> String {
    let lines = values
        .iter()
        .map(|value| format!("Authorization: {value}\r\n"));
    lines.collect()
}
