//! What travels beside a request.

use std::{
    any::Any,
    fmt,
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use tokio::time::Instant;

use crate::{
    ServerName,
    auth::{Channel, Origin, OwnProof, SessionUse, Signer, XMatrixCredentials, XMatrixError},
    call::Authentication,
    endpoint::EndpointForm,
    error::FederationError,
    layers::{NotedBinding, Notes},
    transport::ConnectTo,
};

/// What travels beside a request: to whom, from whom, until when, over what.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct CallContext {
    /// The server that the call is for. A binding's server sets it if the wire says so; verification fills it in.
    pub destination: Option<ServerName>,
    /// Where to connect instead of where the destination's name leads.
    pub connect_to: Option<ConnectTo>,
    /// Credentials as they arrived or as the sign layer made them.
    pub credentials: Credentials,
    /// Who the caller says it is, where its family of calls says so beside the credentials (`From`, RFC 9110 §10.1.2; MIMI). It proves nothing.
    pub from: Option<String>,
    /// When the caller stops waiting for the whole call.
    pub deadline: Option<Instant>,
    /// Intermediaries that the call passed, oldest first, each as an element of `Via` (RFC 9110 §7.6.3); see [`received_by`](super::received_by).
    pub via: Vec<String>,
    /// Trace context, if the peer may set one.
    pub trace: TraceContext,
    /// The binding it arrived over.
    pub binding: &'static str,
    /// What a binding knows of the connection it arrived on.
    pub connection: Option<Arc<dyn Any + Send + Sync>>,
    /// The connection it arrived on, if a proof can be bound to it.
    pub channel: Option<Arc<dyn Channel>>,
    /// Whether it is to prove its origin by a session, if this side says: the operator of this destination, else the caller. A transport that can does so.
    pub sessions: Option<SessionUse>,
    /// Whether the destination's signed offer says that it takes sessions, over the binding that carries the call. It counts where this side says nothing: see
    /// [`SessionOptions::use_for`](crate::auth::SessionOptions::use_for).
    pub sessions_offered: bool,
    /// The setting that required a session of this attempt, as a `Select` found it. `None`: what `sessions` says is the caller's own word.
    pub(crate) sessions_said_by: Option<&'static str>,
    /// The address that it came from, as the listener saw it or a proxy that is trusted said it: for logs, and for the next server's. It proves nothing.
    pub client: Option<IpAddr>,
    pub(crate) form: Option<EndpointForm>,
    pub(crate) origin: Option<Origin>,
    signer: Option<Signer>,
    /// When the caller stops waiting for the reply's head, if a clock further out says so.
    pub(crate) head_by: Option<Instant>,
    /// What a layer further out wants to be told.
    pub(crate) notes: Option<Arc<Notes>>,
}

impl CallContext {
    /// The context of a call that a client makes to `destination`.
    pub fn to(destination: ServerName) -> Self {
        Self {
            destination: Some(destination),
            ..Self::default()
        }
    }

    /// The context of a call that arrived over `binding`.
    pub fn received(binding: &'static str) -> Self {
        Self {
            binding,
            ..Self::default()
        }
    }

    /// The calling server, if it was proven.
    pub fn origin(&self) -> Option<&ServerName> {
        self.origin.as_ref().map(Origin::server_name)
    }

    /// Who the caller is, as an authenticator proved it, and how.
    pub fn proof(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Records a proven origin. Only an authenticator can make an [`Origin`].
    pub fn set_proof(&mut self, origin: Origin) {
        if let Some(notes) = &self.notes {
            notes.origin(origin.server_name());
        }
        self.origin = Some(origin);
    }

    /// Who signs the call, if that is still to be done: for a transport that [binds proofs to its connections](crate::transport::Capabilities::channel_binding). A call
    /// that came with credentials has none.
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    pub(crate) fn set_signer(&mut self, signer: Signer) {
        self.signer = Some(signer);
    }

    /// Puts a credential in the signer's place.
    pub(crate) fn set_signed(&mut self, credential: String) {
        self.signer = None;
        self.credentials = Credentials::new(vec![credential]);
    }

    /// Drops what signs, or is to sign, a request that is another now.
    pub(crate) fn unsign(&mut self) {
        self.signer = None;
        self.credentials = Credentials::default();
    }

    /// Method, target and content as they arrived, for a handler that wants what was signed. A layer may have taken out of the request what
    /// the handler is not to act upon ([`Acl`](crate::layers::Acl) does); it still stands here.
    pub fn form(&self) -> Option<&EndpointForm> {
        self.form.as_ref()
    }

    /// Says which binding carries the call from here.
    pub(crate) fn note_binding(&self, name: &'static str) {
        if let Some(notes) = &self.notes {
            notes.binding(name);
        }
    }

    /// Says how the call proves its origin: for a transport that [binds proofs to its connections](crate::transport::Capabilities::channel_binding). It counts in place of what
    /// was said before. `proof` is not called if nobody [observes](crate::layers::Observe) the call.
    pub fn note_proof(&self, proof: impl FnOnce() -> Option<OwnProof>) {
        if let Some(notes) = &self.notes {
            notes.proof(proof());
        }
    }

    /// What this side says of sessions, and the setting that says it.
    pub(crate) fn said_of_sessions(&self) -> Option<(SessionUse, &'static str)> {
        let setting = self.sessions_said_by.unwrap_or("CallContext::sessions");
        self.sessions.map(|said| (said, setting))
    }

    /// Where it is noted which binding carries the call: for a layer that answers it with what came to another.
    pub fn noted_binding(&self) -> NotedBinding {
        NotedBinding::new(self.notes.clone())
    }

    /// Shortens the deadline to `deadline`, never lengthens it.
    pub fn limit_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(self.deadline.map_or(deadline, |own| own.min(deadline)));
    }
}

impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A target can hold an access token, so the form is left out.
        f.debug_struct("CallContext")
            .field("destination", &self.destination)
            .field("connect_to", &self.connect_to)
            .field("origin", &self.origin)
            .field("credentials", &self.credentials)
            .field("from", &self.from)
            .field("deadline", &self.deadline)
            .field("via", &self.via)
            .field("client", &self.client)
            .field("sessions", &self.sessions)
            .field("sessions_offered", &self.sessions_offered)
            .field("binding", &self.binding)
            .finish_non_exhaustive()
    }
}

/// Values of `Authorization`, in order, literally. `Debug` shows only how many there are.
#[derive(Clone, Default)]
pub struct Credentials {
    values: Vec<String>,
    /// What X-Matrix says in them, once somebody has asked.
    x_matrix: OnceLock<Result<XMatrixCredentials, XMatrixError>>,
}

impl Credentials {
    /// These header values.
    pub fn new(values: Vec<String>) -> Self {
        Self {
            values,
            x_matrix: OnceLock::new(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Each value.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.values.iter().map(String::as_str)
    }

    /// Adds one.
    pub fn push(&mut self, value: String) {
        self.x_matrix = OnceLock::new();
        self.values.push(value);
    }

    /// What X-Matrix says in them. They are read once: for the look at a request's head, and again when it is verified.
    ///
    /// # Errors
    /// As [`XMatrixCredentials::from_headers`].
    pub(crate) fn x_matrix(&self) -> Result<&XMatrixCredentials, &XMatrixError> {
        let read = || XMatrixCredentials::from_headers(self.iter().map(str::as_bytes));
        self.x_matrix.get_or_init(read).as_ref()
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl Eq for Credentials {}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} redacted)", self.values.len())
    }
}

/// W3C trace context, carried and never interpreted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`.
    pub parent: Option<String>,
    /// `tracestate`.
    pub state: Option<String>,
}

/// The context of a call whose origin is proven: what handlers of server-authenticated operations get.
///
/// Nothing but a proof makes one:
/// ```compile_fail
/// let cx = comity_core::call::CallContext::default();
/// let forged = comity_core::call::Authenticated { context: cx, origin: todo!() };
/// ```
#[derive(Debug, Clone)]
pub struct Authenticated {
    context: CallContext,
    origin: Origin,
}

impl Authenticated {
    /// The calling server.
    pub fn origin(&self) -> &ServerName {
        self.origin.server_name()
    }

    /// The whole context.
    pub fn context(&self) -> &CallContext {
        &self.context
    }
}

impl std::ops::Deref for Authenticated {
    type Target = CallContext;
    fn deref(&self) -> &CallContext {
        &self.context
    }
}

/// The two kinds of context that a handler can ask for; the row's authentication picks one.
pub trait FromContext: Sized + Send + Sync + 'static {
    /// Makes it, or says why the caller may not go on.
    ///
    /// # Errors
    /// 401 `M_UNAUTHORIZED` if a proof is needed and there is none.
    fn from_context(context: CallContext) -> Result<Self, FederationError>;
}

impl FromContext for CallContext {
    fn from_context(context: CallContext) -> Result<Self, FederationError> {
        Ok(context)
    }
}

impl FromContext for Authenticated {
    fn from_context(context: CallContext) -> Result<Self, FederationError> {
        match context.origin.clone() {
            Some(origin) => Ok(Self { context, origin }),
            None => Err(FederationError::unauthorized(format!(
                "this operation needs authentication: {:?}",
                Authentication::Server
            ))),
        }
    }
}
