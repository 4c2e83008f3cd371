//! The homeserver beside the gateway, as somebody to call.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use comity_core::{
    ServerName,
    call::CallContext,
    error::{Delivery, TransportError, TransportErrorKind},
    transport::{Resolve, Route, Transport},
};
use comity_http::{HttpTransport, HttpTransportOptions, request::PeerHeaders};
use comity_net::{AddressGuard, Connector, Counters, Pool, PoolOptions, Protocol};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{Config, HomeserverAddress};

/// How long connecting to it may take. It is near.
const CONNECT: Duration = Duration::from_secs(3);

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client that calls the homeserver: plain HTTP/1.1, with the credentials and the target that the peer sent.
pub(crate) fn delivery(config: &Config, counters: Counters) -> Arc<dyn Transport> {
    let (connector, place) = match &config.homeserver.address {
        HomeserverAddress::Unix(path) => (Connector::to_unix(path), Place::Socket),
        HomeserverAddress::Tcp { host, port } => {
            // The operator wrote down where it is.
            let anywhere = AddressGuard::default()
                .allow("0.0.0.0/0")
                .and_then(|guard| guard.allow("::/0"))
                .expect("both are ranges of addresses");
            let connector = Connector::danger_without_tls().with_guard(anywhere);
            (connector, Place::Port(host.clone(), *port))
        }
    };
    let options = PoolOptions {
        max_in_flight: config.limits.calls,
        ..PoolOptions::default().with_protocol(Protocol::Http1)
    };
    let connector = connector
        .with_total_timeout(CONNECT)
        .with_counters(counters);
    let pool = Pool::new(connector, options);
    let resolve = BesideUs {
        own_name: config.server_name.clone(),
        place,
    };
    let options = HttpTransportOptions {
        peer: PeerHeaders {
            trace: true,
            ..PeerHeaders::default()
        },
        ..HttpTransportOptions::default()
    };
    let options = options.with_headers(Arc::new(say_who_calls));
    Arc::new(HttpTransport::with_options(
        Arc::new(resolve),
        pool,
        options,
    ))
}

/// In place of what the peer wrote there, which a homeserver would believe.
fn say_who_calls(context: &CallContext, headers: &mut HeaderMap) {
    headers.remove(FORWARDED_FOR);
    if let Some(client) = context.client
        && let Ok(client) = HeaderValue::try_from(client.to_string())
    {
        headers.insert(FORWARDED_FOR, client);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
}

/// Every call leads to the homeserver, whatever its destination.
#[derive(Debug)]
struct BesideUs {
    own_name: ServerName,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// The connector knows where.
    Socket,
    /// A name or IP literal, and a port.
    Port(String, u16),
}

impl Place {
    async fn addresses(&self) -> Result<Vec<SocketAddr>, TransportError> {
        let Self::Port(host, port) = self else {
            return Ok(Vec::new());
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, *port)]);
        }
        let found = tokio::net::lookup_host((bare, *port)).await;
        found.map(Iterator::collect).map_err(|error| {
            TransportError::new(
                TransportErrorKind::Resolve,
                Delivery::NotSent,
                format!("the homeserver's host {host} cannot be looked up"),
            )
            .with_source(error)
        })
    }
}

#[async_trait]
impl Resolve for BesideUs {
    async fn resolve(&self, _: &ServerName) -> Result<Route, TransportError> {
        Ok(Route {
            addresses: self.place.addresses().await?,
            host: self.own_name.to_string(),
            certificate_name: self.own_name.host().to_owned(),
        })
    }
}
