//! The layer that signs.

use std::sync::Arc;

use super::{KeyId, PublishedKeys, SignedRequest, SigningKey};
use crate::{
    ServerName,
    call::{Authentication, Call, Reply},
    endpoint::{Content, EndpointForm},
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    layers::{Around, AroundLayer, Inner, around},
};

/// Gives each call whose row asks for a server's authentication its [`Signer`]. The signature is made where the call is handed to its transport: by X-Matrix over the endpoint
/// form that will be sent, unless that transport [binds proofs to its connections](crate::transport::Capabilities::channel_binding) and proves the origin itself.
///
/// A call that carries credentials already is left alone: it is somebody else's, being passed on.
#[derive(Debug)]
pub struct Sign {
    signer: Signer,
}

/// Who signs a call. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Signer {
    origin: ServerName,
    key: Key,
}

#[derive(Clone, Debug)]
enum Key {
    Fixed(Arc<SigningKey>),
    Published(PublishedKeys),
}

/// How a call of this side proved its origin, when it was sent last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnProof {
    /// By an X-Matrix signature of its own.
    XMatrix {
        /// The key that signed.
        key: KeyId,
        /// A session was wanted, and the connection has no keying material, or its other end refused one.
        instead_of_session: bool,
    },
    /// By a session of its connection.
    Session {
        /// The key that signed.
        key: KeyId,
        /// When that was, in milliseconds since the Unix epoch.
        created: i64,
        /// From when on it counts no more, likewise.
        expires: i64,
    },
}

impl Sign {
    /// Signs for `origin` by `key`.
    pub fn layer(origin: ServerName, key: Arc<SigningKey>) -> AroundLayer<Self> {
        around(Self {
            signer: Signer::new(origin, key),
        })
    }

    /// Signs by the current one of a server's published keys: after a rotation, by the new one.
    pub fn with_published(keys: PublishedKeys) -> AroundLayer<Self> {
        around(Self {
            signer: Signer {
                origin: keys.server_name().clone(),
                key: Key::Published(keys),
            },
        })
    }
}

impl Signer {
    /// Signs for `origin` by `key`.
    pub fn new(origin: ServerName, key: Arc<SigningKey>) -> Self {
        let key = Key::Fixed(key);
        Self { origin, key }
    }

    /// The server.
    pub fn origin(&self) -> &ServerName {
        &self.origin
    }

    /// The ID of the key that signs now.
    pub fn key_id(&self) -> KeyId {
        self.signing_key().key_id().clone()
    }

    /// The key that signs now.
    pub(super) fn signing_key(&self) -> Arc<SigningKey> {
        match &self.key {
            Key::Fixed(key) => key.clone(),
            Key::Published(keys) => keys.signing_key(),
        }
    }

    /// The X-Matrix header for a request to `destination` in this form.
    ///
    /// # Errors
    /// X-Matrix cannot sign it: nothing was sent.
    pub fn x_matrix(
        &self,
        destination: &ServerName,
        form: &EndpointForm,
    ) -> Result<String, TransportError> {
        let content = signable(form)?;
        let request = SignedRequest {
            method: form.method(),
            uri: form.target(),
            origin: &self.origin,
            destination: destination.as_str(),
            content,
        };
        Ok(request.sign(&self.signing_key()).to_header())
    }
}

/// The content as it is signed.
fn signable(form: &EndpointForm) -> Result<Option<&[u8]>, TransportError> {
    match form.content() {
        Content::Absent => Ok(None),
        Content::Json(object) => Ok(Some(&object.text()[..])),
        Content::Opaque { .. } => Err(unsignable("X-Matrix can sign JSON content only")),
    }
}

fn unsignable(why: &str) -> TransportError {
    TransportError::new(TransportErrorKind::Unsupported, Delivery::NotSent, why)
}

impl Around for Sign {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let context = call.context();
        if call.spec().authentication == Authentication::Server
            && context.credentials.is_empty()
            && context.signer().is_none()
        {
            if context.destination.is_none() {
                return Err(unsignable("the call has no destination").into());
            }
            // A session would prove it, but proves no more than X-Matrix does.
            signable(call.make_form()?)?;
            call.context_mut().set_signer(self.signer.clone());
        }
        inner.call(call).await
    }
}
