//! What all processes agree on: names, keys, requests.

use std::{net::SocketAddr, sync::Arc};

use comity_core::{
    ServerName,
    auth::{SignedRequest, SigningKey},
    transport::Route,
};
use comity_net::{AddressGuard, ClientTls, Connector, Pool, PoolOptions, Protocol};

/// Requests in flight.
pub(crate) const IN_FLIGHT: usize = 16;

/// Where the transaction goes.
pub(crate) const TARGET: &str = "/_matrix/federation/v1/send/m1763000000000.42";

/// The server that sends.
pub(crate) fn origin() -> ServerName {
    "origin.example.org".parse().expect("it is a server name")
}

/// The server that is measured.
pub(crate) fn destination() -> ServerName {
    "destination.example.org"
        .parse()
        .expect("it is a server name")
}

/// The sender's key.
pub(crate) fn signing_key() -> Arc<SigningKey> {
    Arc::new(SigningKey::from_seed("a_key", &[7; 32]).expect("it is a key ID"))
}

/// The credential of a transaction with this content.
pub(crate) fn credential(content: &[u8]) -> String {
    SignedRequest {
        method: "PUT",
        uri: TARGET,
        origin: &origin(),
        destination: destination().as_str(),
        content: Some(content),
    }
    .sign(&signing_key())
    .to_header()
}

/// Connections to a server on this host, HTTP/1.1 alone.
pub(crate) fn pool(tls: bool) -> Pool {
    let connector = match tls {
        true => Connector::new(ClientTls::danger_accept_any_certificate()),
        false => Connector::danger_without_tls(),
    };
    Pool::new(
        connector.with_guard(AddressGuard::default().allow_loopback()),
        PoolOptions::default().with_protocol(Protocol::Http1),
    )
}

/// The way to a server on this host.
pub(crate) fn route(port: u16) -> Route {
    Route {
        addresses: vec![SocketAddr::from(([127, 0, 0, 1], port))],
        host: destination().as_str().to_owned(),
        certificate_name: destination().as_str().to_owned(),
    }
}

/// A certificate for the server and its key, both PEM.
pub(crate) fn certificate() -> (String, String) {
    certificate_of(&destination())
}

/// A certificate for a server and its key, both PEM.
pub(crate) fn certificate_of(name: &ServerName) -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("there is randomness");
    let names = vec![name.as_str().to_owned()];
    let certificate = rcgen::CertificateParams::new(names)
        .and_then(|params| params.self_signed(&key))
        .expect("it is a DNS name");
    (certificate.pem(), key.serialize_pem())
}
