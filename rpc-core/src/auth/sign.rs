//! The layer that signs.

use std::sync::Arc;

use super::{PublishedKeys, SignedRequest, SigningKey};
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
    key: Key,
}

#[derive(Debug)]
enum Key {
    Fixed(Arc<SigningKey>),
    Published(PublishedKeys),
}

impl Sign {
    /// Signs for `origin` by `key`.
    pub fn layer(origin: ServerName, key: Arc<SigningKey>) -> AroundLayer<Self> {
        let key = Key::Fixed(key);
        around(Self { origin, key })
    }

    /// Signs by the current one of a server's published keys: after a rotation, by the new one.
    pub fn with_published(keys: PublishedKeys) -> AroundLayer<Self> {
        around(Self {
            origin: keys.server_name().clone(),
            key: Key::Published(keys),
        })
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
        let key = match &self.key {
            Key::Fixed(key) => key.clone(),
            Key::Published(keys) => keys.signing_key(),
        };
        let header = SignedRequest {
            method: form.method(),
            uri: form.target(),
            origin: &self.origin,
            destination: destination.as_str(),
            content,
        }
        .sign(&key)
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
