//! Stand-in until `Select` and `Discovery`: peers with a `target` only.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use async_trait::async_trait;
use comity_core::{
    ServerName,
    call::{Call, Reply},
    error::{CallError, Delivery, TransportError},
    transport::{Capabilities, Resolve, Route, Transport},
};

use crate::{
    config::{Peer, PeerBinding},
    verification::Peers,
};

/// A route without addresses: the peer's `target` gives them.
#[derive(Debug)]
pub(crate) struct Named;

#[async_trait]
impl Resolve for Named {
    async fn resolve(&self, destination: &ServerName) -> Result<Route, TransportError> {
        Ok(Route {
            addresses: Vec::new(),
            host: destination.to_string(),
            certificate_name: destination.host().to_owned(),
        })
    }
}

#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) https: Arc<dyn Transport>,
    pub(crate) grpc: Option<Arc<dyn Transport>>,
    pub(crate) peers: Peers,
}

impl Choice {
    fn peer(&self, call: &Call) -> Peer {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        let peers: &BTreeMap<ServerName, Peer> = &peers;
        let destination = call.context().destination.as_ref();
        destination
            .and_then(|destination| peers.get(destination))
            .cloned()
            .unwrap_or_default()
    }
}

#[async_trait]
impl Transport for Choice {
    fn name(&self) -> &'static str {
        "select"
    }

    fn capabilities(&self) -> Capabilities {
        self.https.capabilities()
    }

    async fn send(&self, mut call: Call) -> Result<Reply, CallError> {
        let peer = self.peer(&call);
        call.context_mut().connect_to = peer.target;
        let Some(grpc) = self
            .grpc
            .as_ref()
            .filter(|_| peer.binding == PeerBinding::Grpc)
        else {
            return self.https.send(call).await;
        };
        if peer.required {
            return grpc.send(call).await;
        }
        let again = call.duplicate();
        let repeatable = call.spec().idempotency.is_repeatable();
        match grpc.send(call).await {
            Err(CallError::Transport(error))
                if repeatable || error.delivery() != Delivery::MaybeProcessed =>
            {
                tracing::info!(%error, "falls back");
                self.https.send(again).await
            }
            result => result,
        }
    }
}
