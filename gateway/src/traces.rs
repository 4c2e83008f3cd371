//! W3C trace context: passed between the homeserver and the peers that are configured, and nobody else.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use comity_core::{
    ServerName,
    call::{Call, Reply, TraceContext},
    error::CallError,
    layers::{Around, AroundLayer, Inner, Side, around},
};
use tracing::Instrument;

use crate::config::Peer;

/// The peers that are configured, as they are now.
pub(crate) type Peers = Arc<RwLock<Arc<BTreeMap<ServerName, Peer>>>>;

/// Drops what strangers say of traces, and says nothing to them. What is left names the span that the call's log lines stand in.
#[derive(Debug)]
pub(crate) struct OwnTraces {
    /// Where the call comes from: the homeserver (client), or a peer (server), whose origin is proven by then.
    side: Side,
    peers: Peers,
}

impl OwnTraces {
    pub(crate) fn outbound(peers: Peers) -> AroundLayer<Self> {
        let side = Side::Client;
        around(Self { side, peers })
    }

    pub(crate) fn inbound(peers: Peers) -> AroundLayer<Self> {
        let side = Side::Server;
        around(Self { side, peers })
    }

    fn is_configured(&self, peer: Option<&ServerName>) -> bool {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        peer.is_some_and(|peer| peers.contains_key(peer))
    }
}

impl Around for OwnTraces {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let operation = call.spec().name;
        let context = call.context_mut();
        let (direction, peer) = match self.side {
            Side::Client => ("outbound", context.destination.as_ref()),
            Side::Server => ("inbound", context.origin()),
        };
        let span = tracing::info_span!(
            "call",
            direction,
            operation,
            peer = peer.map(tracing::field::display),
            traceparent = tracing::field::Empty
        );
        if !self.is_configured(peer) {
            context.trace = TraceContext::default();
        }
        if let Some(parent) = context.trace.parent.as_deref().and_then(plain) {
            span.record("traceparent", parent);
        }
        inner.call(call).instrument(span).await
    }
}

/// A `traceparent` that may stand in a log (W3C Trace Context §3.2: hexadecimal digits and dashes, 55 characters in version 00).
fn plain(parent: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    (parent.len() <= 64 && parent.bytes().all(is_plain)).then_some(parent)
}
