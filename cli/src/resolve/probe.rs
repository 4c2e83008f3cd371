//! Connecting to each address, to see who is there. Nothing is sent to whom the certificate does not prove.

use std::{net::SocketAddr, time::Instant};

use comity_core::{error::TransportErrorKind, transport::Route};
use comity_net::{ClientTls, Connected, Connector, Protocol};
use futures_util::future::join_all;
use serde::Serialize;

use super::certificate::Certificate;
use crate::{failure::chain, network::Reach};

/// Most addresses that are connected to.
const MAX_ADDRESSES: usize = 16;

/// What is at an address.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Probe {
    pub(super) address: SocketAddr,
    /// The version of TLS.
    pub(super) tls: Option<String>,
    /// What ALPN chose: `h2`, `http/1.1`.
    pub(super) protocol: Option<String>,
    /// The certificate that was shown, whether it was accepted or not.
    pub(super) certificate: Option<Certificate>,
    pub(super) took_ms: f64,
    pub(super) fault: Option<String>,
    #[serde(skip)]
    pub(super) kind: Option<TransportErrorKind>,
}

/// Connects to the addresses of a route, to all of them at once.
pub(super) async fn probe(reach: &Reach, route: &Route) -> Vec<Probe> {
    let addresses = route.addresses.iter().take(MAX_ADDRESSES);
    let probes = addresses.map(|&address| one(reach, address, route));
    join_all(probes).await
}

async fn one(reach: &Reach, address: SocketAddr, route: &Route) -> Probe {
    let route = &Route {
        addresses: vec![address],
        ..route.clone()
    };
    let begun = Instant::now();
    let connected = reach.connector.connect(route, Protocol::Http1Or2).await;
    let took_ms = (begun.elapsed().as_secs_f64() * 1e4).round() / 10.0;
    let mut probe = Probe {
        address,
        tls: None,
        protocol: None,
        certificate: None,
        took_ms,
        fault: None,
        kind: None,
    };
    match connected {
        Ok(connected) => probe.saw(&connected),
        Err(error) => {
            if error.kind() == TransportErrorKind::Tls
                && let Some(unproven) = look(reach, route).await
            {
                probe.saw(&unproven);
            }
            probe.fault = Some(chain(&error));
            probe.kind = Some(error.kind());
        }
    }
    probe
}

/// Connects to whoever is there, to read the certificate and hang up.
async fn look(reach: &Reach, route: &Route) -> Option<Connected> {
    let connector =
        Connector::new(ClientTls::danger_accept_any_certificate()).with_guard(reach.guard.clone());
    connector.connect(route, Protocol::Http1Or2).await.ok()
}

impl Probe {
    fn saw(&mut self, connected: &Connected) {
        let Some(tls) = connected.info.tls() else {
            return;
        };
        self.tls = Some(format!("{:?}", tls.version).replace('_', "."));
        let alpn = tls.alpn.as_ref();
        self.protocol = alpn.map(|name| String::from_utf8_lossy(name).into_owned());
        let own = tls.peer_certificates.first();
        self.certificate = own.and_then(|own| Certificate::read(own));
    }
}
