//! One line per call.

use std::{sync::Arc, time::Instant};

use super::{Around, AroundLayer, Inner, Side, around, stream};
use crate::{
    call::{Call, Reply},
    error::CallError,
};

/// Emits a `tracing` event for each call when its reply has ended: operation, peer, size of the streamed part, time, outcome.
/// Targets and credentials are left out.
#[derive(Debug, Clone)]
pub struct Trace {
    side: Side,
}

impl Trace {
    /// For one side.
    pub fn layer(side: Side) -> AroundLayer<Self> {
        around(Self { side })
    }
}

impl Around for Trace {
    async fn around<S: Inner>(
        self: Arc<Self>,
        call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let mut line = Line {
            side: self.side,
            operation: call.spec().name,
            peer: match self.side {
                Side::Client => call.context().destination.as_ref().map(ToString::to_string),
                Side::Server => None,
            },
            begun: Instant::now(),
            streamed: 0,
        };
        match inner.call(call).await {
            Ok(reply) => stream::watch(reply, line),
            Err(error) => {
                stream::Watch::ended(&mut line, Some(&error));
                Err(error)
            }
        }
    }
}

struct Line {
    side: Side,
    operation: &'static str,
    peer: Option<String>,
    begun: Instant,
    streamed: u64,
}

impl stream::Watch for Line {
    fn arrived(&mut self, bytes: usize) -> Result<(), CallError> {
        self.streamed += bytes as u64;
        Ok(())
    }

    fn ended(&mut self, error: Option<&CallError>) {
        tracing::debug!(
            side = ?self.side,
            operation = self.operation,
            peer = self.peer.as_deref().unwrap_or_default(),
            elapsed = ?self.begun.elapsed(),
            streamed_bytes = self.streamed,
            error = error.map(tracing::field::display),
            "call"
        );
    }
}
