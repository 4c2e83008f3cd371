//! What all programs agree on: names, keys, the transaction, the way to a server on this host.

use std::{net::SocketAddr, sync::Arc};

use comity_core::{
    ServerName,
    auth::{SignedRequest, SigningKey},
    transport::Route,
};
use comity_net::{AddressGuard, ClientTls, Connector, Pool, PoolOptions, Protocol};
use tokio::runtime::{Builder, Runtime};

/// Where the transaction goes.
pub const TARGET: &str = "/_matrix/federation/v1/send/m1763000000000.42";

/// The server that sends.
pub fn origin() -> ServerName {
    "origin.example.org".parse().expect("it is a server name")
}

/// The server that is measured.
pub fn destination() -> ServerName {
    "destination.example.org"
        .parse()
        .expect("it is a server name")
}

/// What the sender's key is made of.
pub const SEED: [u8; 32] = [7; 32];

/// The sender's key.
pub fn signing_key() -> Arc<SigningKey> {
    Arc::new(SigningKey::from_seed("a_key", &SEED).expect("it is a key ID"))
}

/// The credential of a `PUT` with this content.
pub fn credential(target: &str, content: &[u8]) -> String {
    SignedRequest {
        method: "PUT",
        uri: target,
        origin: &origin(),
        destination: destination().as_str(),
        content: Some(content),
    }
    .sign(&signing_key())
    .to_header()
}

/// All of a program on one thread.
pub fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts")
}

/// Connects to servers on this host.
pub fn connector(tls: bool) -> Connector {
    let connector = match tls {
        true => Connector::new(ClientTls::danger_accept_any_certificate()),
        false => Connector::danger_without_tls(),
    };
    connector.with_guard(AddressGuard::default().allow_loopback())
}

/// Connections by this protocol alone. Made within a runtime.
pub fn pool(connector: Connector, protocol: Protocol) -> Pool {
    Pool::new(connector, PoolOptions::default().with_protocol(protocol))
}

/// The way to a server on this host.
pub fn route(port: u16) -> Route {
    Route {
        addresses: vec![SocketAddr::from(([127, 0, 0, 1], port))],
        host: destination().as_str().to_owned(),
        certificate_name: destination().as_str().to_owned(),
    }
}
