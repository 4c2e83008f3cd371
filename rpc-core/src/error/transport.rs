//! Failures on the way to an answer, and the error of a call.

use std::{error::Error, fmt, sync::Arc};

use super::{ErrorKind, FederationError, Retry};

/// Whether the peer may have acted on a request that got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// No byte of the request reached the peer's application.
    NotSent,
    /// The peer said that it did not process it (HTTP/2 `REFUSED_STREAM`, a GOAWAY, …).
    Rejected,
    /// Anything else: only an idempotent request may be sent again.
    MaybeProcessed,
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSent => "not sent",
            Self::Rejected => "rejected",
            Self::MaybeProcessed => "maybe processed",
        })
    }
}

/// Where on the way a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The destination has no address.
    Resolve,
    /// No connection came about.
    Connect,
    /// The TLS handshake failed, or the certificate is not the destination's.
    Tls,
    /// The connection ended before the answer did.
    Closed,
    /// The peer's answer breaks the rules of the binding or of JSON.
    Protocol,
    /// The deadline passed.
    Timeout,
    /// The caller gave up.
    Cancelled,
    /// A limit of this side: the request or the answer is too large.
    LimitExceeded,
    /// This side has too much under way.
    Busy,
    /// The binding cannot carry this call.
    Unsupported,
    /// This side does not want to: address guard, loop, policy.
    Refused,
    /// Something that carries the call answered in the peer's place, without a Matrix error.
    Carrier,
}

impl fmt::Display for TransportErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolving failed",
            Self::Connect => "connecting failed",
            Self::Tls => "TLS failed",
            Self::Closed => "connection closed",
            Self::Protocol => "protocol violation",
            Self::Timeout => "timed out",
            Self::Cancelled => "cancelled",
            Self::LimitExceeded => "limit exceeded",
            Self::Busy => "busy",
            Self::Unsupported => "not supported",
            Self::Refused => "refused",
            Self::Carrier => "carrier failed",
        })
    }
}

/// A call that got no answer from the peer. One pointer wide, cheap enough to clone for every caller
/// that waits on one shared attempt.
#[derive(Clone)]
pub struct TransportError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: TransportErrorKind,
    delivery: Delivery,
    message: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl TransportError {
    /// An error without a cause.
    pub fn new(kind: TransportErrorKind, delivery: Delivery, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            delivery,
            message: message.into(),
            source: None,
        }))
    }

    /// With the cause that [`Error::source`] gives.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Where it failed.
    pub fn kind(&self) -> TransportErrorKind {
        self.0.kind
    }

    /// Whether the peer may have acted.
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// What happened, without its cause.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether the same request may be sent again to the same peer.
    ///
    /// Never where this side's own rule or the caller ended the call, or where the peer's answer
    /// breaks the rules. Else if it was not processed, or if it is idempotent.
    pub fn is_retryable(&self, idempotent: bool) -> bool {
        use TransportErrorKind as Kind;
        match self.0.kind {
            Kind::Protocol
            | Kind::Cancelled
            | Kind::LimitExceeded
            | Kind::Unsupported
            | Kind::Refused => false,
            Kind::Resolve
            | Kind::Connect
            | Kind::Tls
            | Kind::Closed
            | Kind::Timeout
            | Kind::Busy
            | Kind::Carrier => idempotent || self.0.delivery != Delivery::MaybeProcessed,
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.kind)?;
        if !self.0.message.is_empty() {
            write!(f, ": {}", self.0.message)?;
        }
        write!(f, " ({})", self.0.delivery)
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportError")
            .field("kind", &self.0.kind)
            .field("delivery", &self.0.delivery)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

/// Why a call failed.
#[derive(Clone, Debug)]
pub enum CallError {
    /// The peer answered with an error.
    Federation(FederationError),
    /// There is no answer.
    Transport(TransportError),
}

impl CallError {
    /// As the gateway of this name answers it: its own errors, and the lack of an answer to a call that it passed on, are said in its name
    /// ([`FederationError::spoken_by`], [`FederationError::from_transport`]); what a server behind it said stays as it is.
    #[must_use]
    pub fn spoken_by(self, gateway: &str) -> Self {
        match self {
            Self::Federation(error) => Self::Federation(error.spoken_by(gateway)),
            Self::Transport(error) => {
                Self::Federation(FederationError::from_transport(&error, gateway))
            }
        }
    }

    /// The closed kind; for a failure on the way the kind closest to it.
    pub fn kind(&self) -> ErrorKind {
        use TransportErrorKind as Kind;
        match self {
            Self::Federation(error) => error.kind(),
            Self::Transport(error) => match error.kind() {
                Kind::Resolve
                | Kind::Connect
                | Kind::Tls
                | Kind::Closed
                | Kind::Busy
                | Kind::Carrier => ErrorKind::Unavailable,
                Kind::Protocol => ErrorKind::Internal,
                Kind::Timeout => ErrorKind::DeadlineExceeded,
                Kind::Cancelled => ErrorKind::Cancelled,
                Kind::LimitExceeded => ErrorKind::OutOfRange,
                Kind::Unsupported | Kind::Refused => ErrorKind::FailedPrecondition,
            },
        }
    }

    /// Whether the peer may have acted; `None` if it answered.
    pub fn delivery(&self) -> Option<Delivery> {
        match self {
            Self::Federation(_) => None,
            Self::Transport(error) => Some(error.delivery()),
        }
    }

    /// Whether the same request may be sent again to the same server, after whatever wait.
    ///
    /// [`Retry::OtherServer`] and [`Retry::Split`] are no: the same request would fail again.
    pub fn is_retryable(&self, idempotent: bool) -> bool {
        match self {
            Self::Federation(error) => match error.retry() {
                Retry::After(_) => true,
                Retry::IfIdempotent => idempotent,
                Retry::No | Retry::OtherServer | Retry::Split => false,
            },
            Self::Transport(error) => error.is_retryable(idempotent),
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Federation(error) => error.fmt(f),
            Self::Transport(error) => error.fmt(f),
        }
    }
}

impl Error for CallError {
    // The variants are shown as themselves, so their cause is ours.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Federation(error) => error.source(),
            Self::Transport(error) => error.source(),
        }
    }
}

impl From<FederationError> for CallError {
    fn from(error: FederationError) -> Self {
        Self::Federation(error)
    }
}

impl From<TransportError> for CallError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}
