//! What a binding's author writes, and what stands between a binding and the network.

mod memory;
mod offer;
mod route;
mod select;

use std::{fmt::Debug, sync::Arc, task::Poll};

use async_trait::async_trait;
use tower::Service;

pub use memory::{MemoryMode, MemoryTransport};
pub use offer::{BINDINGS_MEMBER, MAX_OFFERS, Offer, Offered, Offers};
pub use route::{BadConnectTo, ConnectTo, FixedRoutes, Resolve, Route, route_of};
pub use select::{
    BindingStatus, DestinationStatus, FallbackReason, LatencySummary, Policies, Policy, Preference,
    Select, SelectOptions, Why,
};

use crate::{
    Boxed,
    auth::{OwnProof, no_session, session_setting},
    call::{Authentication, Call, Reply},
    error::CallError,
};

/// A binding's client: sends a call and gives its reply.
///
/// Contract:
/// - *target verbatim*: where the wire carries method and target, they are those of [`Call::form`], byte for byte;
/// - *credentials verbatim*: every value of the context's credentials travels, in order, unchanged. A call that came with some is never put on a session;
/// - *lossless*: unknown members of request and reply arrive;
/// - *honest delivery*: a [`TransportError`](crate::error::TransportError) says `NotSent` or `Rejected` only where the peer cannot have acted;
/// - *whole or aborted*: a streamed reply that ends without error is complete;
/// - *drop cancels*: dropping the future or the reply's stream ends the exchange.
#[async_trait]
pub trait Transport: Send + Sync + Debug + 'static {
    /// The binding's name and version: `http/1`.
    fn name(&self) -> &'static str;

    /// What the binding can do.
    fn capabilities(&self) -> Capabilities;

    /// Sends a call. Dropping the future cancels it.
    ///
    /// # Errors
    /// The peer's answer if it is an error, or what happened on the way and how far the call got.
    async fn send(&self, call: Call) -> Result<Reply, CallError>;
}

/// What a binding can do. Callers and tests rely on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Replies arrive while they are produced.
    pub streaming: bool,
    /// Several calls share a connection without waiting for one another.
    pub multiplexed: bool,
    /// The caller's deadline reaches the receiver.
    pub deadline_propagation: bool,
    /// The receiver learns that the caller stopped waiting.
    pub cancellation: bool,
    /// Failures tell `NotSent` and `Rejected` from `MaybeProcessed`.
    pub delivery_certainty: bool,
    /// A proof can be bound to the connection: the transport is handed calls that have a [signer](crate::call::CallContext::signer) and no credentials, and proves their
    /// origin itself, by a session of the connection or by the signer's X-Matrix header. Others are handed that header as a credential.
    pub channel_binding: bool,
    /// Where neither the operator nor the caller says anything of sessions, they are [required](crate::auth::SessionUse::Required). One binding that says so binds all that a [`Select`] has.
    pub requires_session: bool,
    /// Largest request message in bytes, if the binding has a limit of its own.
    pub max_message: Option<usize>,
}

impl Capabilities {
    /// Nothing that is not asked for: a starting point for a binding's own.
    pub const NONE: Self = Self {
        streaming: false,
        multiplexed: false,
        deadline_propagation: false,
        cancellation: false,
        delivery_certainty: false,
        channel_binding: false,
        requires_session: false,
        max_message: None,
    };

    /// With streaming.
    #[must_use]
    pub const fn streaming(mut self) -> Self {
        self.streaming = true;
        self
    }

    /// With several calls on one connection.
    #[must_use]
    pub const fn multiplexed(mut self) -> Self {
        self.multiplexed = true;
        self
    }

    /// With the deadline on the wire.
    #[must_use]
    pub const fn deadline_propagation(mut self) -> Self {
        self.deadline_propagation = true;
        self
    }

    /// With cancellation that arrives.
    #[must_use]
    pub const fn cancellation(mut self) -> Self {
        self.cancellation = true;
        self
    }

    /// With failures that say how far the call got.
    #[must_use]
    pub const fn delivery_certainty(mut self) -> Self {
        self.delivery_certainty = true;
        self
    }

    /// With proofs bound to the connection.
    #[must_use]
    pub const fn channel_binding(mut self) -> Self {
        self.channel_binding = true;
        self
    }

    /// With sessions that are required where nobody says otherwise.
    #[must_use]
    pub const fn requires_session(mut self) -> Self {
        self.requires_session = true;
        self
    }

    /// With a limit for one request message, in bytes.
    #[must_use]
    pub const fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = Some(bytes);
        self
    }
}

/// A transport as a tower service, for layers.
#[derive(Debug, Clone)]
pub struct TransportService(Arc<dyn Transport>);

impl TransportService {
    /// Wraps a transport.
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self(transport)
    }
}

impl Service<Call> for TransportService {
    type Response = Reply;
    type Error = CallError;
    type Future = Boxed<'static, Result<Reply, CallError>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        let transport = self.0.clone();
        call.context().note_binding(transport.name());
        // An attempt before this one says nothing of it.
        call.context().note_proof(|| None);
        Box::pin(async move {
            let usually = transport.capabilities().requires_session;
            let required = session_setting(None, call.context().said_of_sessions(), usually);
            sign_for(&*transport, &mut call, required)?;
            let notes = call.context().notes.clone();
            let result = transport.send(call).await;
            if let Some(notes) = notes {
                notes.attempted(&result);
            }
            result
        })
    }
}

/// Signs a call that is handed to a transport, if that transport does not prove its origin itself. `required` is the setting that requires a session, if one does.
///
/// # Errors
/// It cannot be signed, or it has to be proven by a session, which this transport has none of: nothing was sent.
pub(crate) fn sign_for(
    transport: &dyn Transport,
    call: &mut Call,
    required: Option<&'static str>,
) -> Result<(), CallError> {
    if call.spec().authentication != Authentication::Server {
        return Ok(());
    }
    let context = call.context();
    let binds = transport.capabilities().channel_binding;
    if let Some(setting) = required
        && !(binds && context.signer().is_some())
    {
        let why = match binds {
            true => "which a call has none of that nobody signs here",
            false => "which it has none of",
        };
        let sent = format_args!("over {}", transport.name());
        return Err(no_session(sent, setting, why).into());
    }
    let (Some(signer), Some(destination)) = (context.signer(), &context.destination) else {
        return Ok(());
    };
    if !binds {
        let (signer, destination) = (signer.clone(), destination.clone());
        let credential = signer.x_matrix(&destination, call.make_form()?)?;
        let context = call.context_mut();
        context.note_proof(|| {
            Some(OwnProof::XMatrix {
                key: signer.key_id(),
                instead_of_session: false,
            })
        });
        context.set_signed(credential);
    }
    Ok(())
}
