//! Where peers are: where the configuration says, else where discovery finds them.

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use comity_core::{
    ServerName,
    error::TransportError,
    transport::{ConnectTo, Resolve, Route},
};

use crate::{config::Peer, traces::Peers};

/// Asks nobody about a peer that the operator has given a place. All others are resolved by the specification's steps.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) discovery: Arc<dyn Resolve>,
    pub(crate) peers: Peers,
}

impl Places {
    fn peer(&self, name: &ServerName) -> Option<Peer> {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        peers.get(name).cloned()
    }
}

#[async_trait]
impl Resolve for Places {
    async fn resolve(&self, destination: &ServerName) -> Result<Route, TransportError> {
        self.discovery.resolve(destination).await
    }

    async fn resolve_at(
        &self,
        destination: &ServerName,
        to: &ConnectTo,
    ) -> Result<Route, TransportError> {
        let peer = self.peer(destination);
        let Some(peer) = peer.filter(|peer| peer.target.as_ref() == Some(to)) else {
            return self.discovery.resolve_at(destination, to).await;
        };
        let addresses = match to.address() {
            Some(address) => vec![address],
            // A name with a port is a server name of step 2, which leads to its addresses and nowhere else.
            None => {
                let place: ServerName = to
                    .to_string()
                    .parse()
                    .expect("a host and port are a server name");
                self.discovery.resolve(&place).await?.addresses
            }
        };
        let shown = peer.delegated.as_ref().unwrap_or(destination);
        let host = shown.host().trim_start_matches('[').trim_end_matches(']');
        Ok(Route {
            addresses,
            host: shown.to_string(),
            certificate_name: host.to_owned(),
        })
    }
}
