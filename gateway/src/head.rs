//! HEAD.

use std::sync::Arc;

use comity_core::{
    call::{Call, CallContext, Reply, Unregistered},
    error::CallError,
    layers::{Around, AroundLayer, Inner, around},
};

/// Passes a HEAD on as what it is: a call whose reply has no body to be read. A binding's server takes it for the operation's GET, which signs otherwise and is answered
/// otherwise.
#[derive(Debug)]
pub(crate) struct Heads;

impl Heads {
    pub(crate) fn layer() -> AroundLayer<Self> {
        around(Self)
    }
}

impl Around for Heads {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        if call.make_form()?.method() == "HEAD" && call.operation() != Unregistered::operation() {
            let form = call.make_form()?.clone();
            let request = Unregistered::new("HEAD", form.target(), form.content().clone())
                .map_err(CallError::from)?;
            let context: CallContext = call.context().clone();
            call = Call::received(Box::new(request), form, context);
        }
        inner.call(call).await
    }
}
