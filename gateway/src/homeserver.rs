//! The homeserver beside the gateway, as a place to connect to.

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use comity_core::{
    ServerName,
    error::{Delivery, TransportError, TransportErrorKind},
    transport::{Resolve, Route},
};

/// Every call leads to the homeserver, whatever its destination.
#[derive(Debug)]
pub(crate) struct BesideUs {
    own_name: ServerName,
    host: String,
    port: u16,
}

impl BesideUs {
    /// A homeserver at this host, a name or an IP literal, and port.
    pub(crate) fn new(own_name: ServerName, host: String, port: u16) -> Self {
        Self {
            own_name,
            host,
            port,
        }
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, TransportError> {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let found = tokio::net::lookup_host((bare, self.port)).await;
        found.map(Iterator::collect).map_err(|error| {
            TransportError::new(
                TransportErrorKind::Resolve,
                Delivery::NotSent,
                format!("the homeserver's host {} cannot be looked up", self.host),
            )
            .with_source(error)
        })
    }
}

#[async_trait]
impl Resolve for BesideUs {
    async fn resolve(&self, _: &ServerName) -> Result<Route, TransportError> {
        Ok(Route {
            addresses: self.addresses().await?,
            host: self.own_name.to_string(),
            certificate_name: self.own_name.host().to_owned(),
        })
    }
}
