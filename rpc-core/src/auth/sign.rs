//! The layer that signs.

use std::sync::Arc;

use super::{SignedRequest, SigningKey};
use crate::{
    ServerName,
    call::{Authentication, Call, Credentials, Reply},
    endpoint::Content,
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    layers::{Around, AroundLayer, Inner, around},
};

/// Signs each call whose row asks for a server's authentication by X-Matrix, over the endpoint form that will be sent.
///
/// A call that carries credentials already is left alone: it is somebody else's, being passed on.
#[derive(Debug)]
pub struct Sign {
    origin: ServerName,
    key: Arc<SigningKey>,
}

impl Sign {
    /// Signs for `origin` by `key`.
    pub fn layer(origin: ServerName, key: Arc<SigningKey>) -> AroundLayer<Self> {
        around(Self { origin, key })
    }

    fn sign(&self, call: &mut Call) -> Result<(), CallError> {
        let destination = call.context().destination.clone();
        let form = call.make_form()?;
        let unsignable = |why: &str| {
            CallError::from(TransportError::new(
                TransportErrorKind::Unsupported,
                Delivery::NotSent,
                why,
            ))
        };
        let destination = destination.ok_or_else(|| unsignable("the call has no destination"))?;
        let content = match form.content() {
            Content::Absent => None,
            Content::Json(object) => Some(&object.text()[..]),
            Content::Opaque { .. } => {
                return Err(unsignable("X-Matrix can sign JSON content only"));
            }
        };
        let header = SignedRequest {
            method: form.method(),
            uri: form.target(),
            origin: &self.origin,
            destination: destination.as_str(),
            content,
        }
        .sign(&self.key)
        .to_header();
        call.context_mut().credentials = Credentials::new(vec![header]);
        Ok(())
    }
}

impl Around for Sign {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        if call.spec().authentication == Authentication::Server
            && call.context().credentials.is_empty()
        {
            self.sign(&mut call)?;
        }
        inner.call(call).await
    }
}
