//! What the gateway answers by itself says so.

use std::sync::Arc;

use comity_core::{
    ServerName,
    call::{Call, Reply},
    error::{CallError, FederationError},
    layers::{Around, AroundLayer, Inner, around},
};

/// Makes an answer of what went wrong on the way, and puts the gateway's name in all that is not the peer's word: so a homeserver's operator sees who spoke.
#[derive(Debug)]
pub(crate) struct OwnWords(Arc<str>);

impl OwnWords {
    pub(crate) fn layer(gateway: &ServerName) -> AroundLayer<Self> {
        around(Self(gateway.as_str().into()))
    }
}

impl Around for OwnWords {
    async fn around<S: Inner>(
        self: Arc<Self>,
        call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let operation = call.spec().name;
        inner.call(call).await.map_err(|error| {
            CallError::Federation(match error {
                CallError::Federation(error) => error.spoken_by(&self.0),
                CallError::Transport(error) => {
                    let cause = &error as &(dyn std::error::Error + 'static);
                    tracing::info!(operation, error = cause, "a call was not answered");
                    FederationError::from_transport(&error, &self.0)
                }
            })
        })
    }
}
