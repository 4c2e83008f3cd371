//! Calls that go in a circle, counted.

use std::sync::Arc;

use comity_core::{
    ServerName,
    call::{Call, Reply, received_by},
    error::CallError,
    layers::{Around, AroundLayer, Inner, around},
};

use crate::admin::{Direction, Metrics};

/// Counts what [`Hops`](comity_core::layers::Hops) refuses behind it. By what the call passed, not by the answer: a peer refuses with the same status.
#[derive(Debug)]
pub(crate) struct Circles {
    own_name: ServerName,
    direction: Direction,
    metrics: Metrics,
}

impl Circles {
    pub(crate) fn layer(
        own_name: ServerName,
        direction: Direction,
        metrics: Metrics,
    ) -> AroundLayer<Self> {
        around(Self {
            own_name,
            direction,
            metrics,
        })
    }
}

impl Around for Circles {
    async fn around<S: Inner>(
        self: Arc<Self>,
        call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let own = |hop: &String| received_by(hop) == Some(self.own_name.as_str());
        if call.context().via.iter().any(own) {
            self.metrics.refused(self.direction, "loop");
            tracing::warn!(
                operation = call.spec().name,
                "a call goes in a circle: it is refused"
            );
        }
        inner.call(call).await
    }
}
