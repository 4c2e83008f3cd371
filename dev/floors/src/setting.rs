//! What all programs agree on: names, keys, the way to a server on this host.

use std::{net::SocketAddr, sync::Arc};

use comity_core::{ServerName, auth::SigningKey, transport::Route};
use comity_net::{AddressGuard, ClientTls, Connector, Pool, PoolOptions, Protocol};

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

/// The sender's key.
pub fn signing_key() -> Arc<SigningKey> {
    Arc::new(SigningKey::from_seed("a_key", &[7; 32]).expect("it is a key ID"))
}

/// Connections to a server on this host, HTTP/1.1 alone.
pub fn pool(tls: bool) -> Pool {
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
pub fn route(port: u16) -> Route {
    Route {
        addresses: vec![SocketAddr::from(([127, 0, 0, 1], port))],
        host: destination().as_str().to_owned(),
        certificate_name: destination().as_str().to_owned(),
    }
}
