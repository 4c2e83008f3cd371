//! Calls that go in a circle.

use std::sync::Arc;

use super::{Around, AroundLayer, Inner, around};
use crate::{
    ServerName,
    call::{Call, Reply, received_by},
    error::{CallError, FederationError},
};

/// Keeps a call that is passed on from coming back for ever: adds this server to those that the call [passed](crate::call::CallContext::via), and refuses it if it
/// stands there already, with 508 (RFC 5842 §7.2) `M_UNKNOWN`.
///
/// For whoever passes calls on, such as a gateway, on the side that receives them. A call that was made here passed nobody, and gets no hop.
#[derive(Debug)]
pub struct Hops {
    name: ServerName,
}

impl Hops {
    /// Goes by this name. Everything that passes calls on for a server may use the server's own.
    pub fn layer(name: ServerName) -> AroundLayer<Self> {
        around(Self { name })
    }

    fn circle(&self) -> FederationError {
        let message = format!(
            "this call passed {} before: it goes in a circle. Where this name leads, or where the call was sent from there, is configured wrongly",
            self.name
        );
        FederationError::new(508, "M_UNKNOWN", message).spoken_by(self.name.as_str())
    }
}

impl Around for Hops {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let context = call.context_mut();
        let own = |hop: &String| received_by(hop) == Some(self.name.as_str());
        if context.via.iter().any(own) {
            return Err(self.circle().into());
        }
        if !context.binding.is_empty() {
            // `received-protocol SP received-by`: a binding's name has the form of a protocol's name and version.
            context
                .via
                .push(format!("{} {}", context.binding, self.name));
        }
        inner.call(call).await
    }
}
