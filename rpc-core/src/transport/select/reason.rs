//! Why a call left a binding, and whether it may.

use std::fmt;

use crate::{
    call::Idempotency,
    error::{Delivery, TransportError, TransportErrorKind},
};

/// Why a call goes by another binding than the one that was chosen first. A closed set, fit for a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FallbackReason {
    /// The binding failed before, and is left alone for a while. Nothing was tried.
    BackingOff,
    /// It is offered and has never answered there; another call is finding out. Nothing was tried.
    Unproven,
    /// It leads to no address.
    Unresolved,
    /// No connection came about.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// This side does not connect there.
    Refused,
    /// The binding cannot carry the call, or is not spoken there.
    Unsupported,
    /// The call is too large for it.
    TooLarge,
    /// One side has too much under way on it.
    Busy,
    /// The peer, or what stands before it, said that it does not process the call.
    Rejected,
    /// The connection ended in the middle of the call.
    Closed,
    /// The peer broke the binding's rules.
    Protocol,
    /// What carries the call answered in the peer's place.
    Carrier,
    /// The connection stopped answering.
    Timeout,
    /// No reply came while there was time for another attempt.
    NoReply,
}

impl FallbackReason {
    /// Every reason.
    pub const ALL: [Self; 15] = [
        Self::BackingOff,
        Self::Unproven,
        Self::Unresolved,
        Self::Connect,
        Self::Tls,
        Self::Refused,
        Self::Unsupported,
        Self::TooLarge,
        Self::Busy,
        Self::Rejected,
        Self::Closed,
        Self::Protocol,
        Self::Carrier,
        Self::Timeout,
        Self::NoReply,
    ];

    /// The name, for a label: `backing_off`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BackingOff => "backing_off",
            Self::Unproven => "unproven",
            Self::Unresolved => "unresolved",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
            Self::TooLarge => "too_large",
            Self::Busy => "busy",
            Self::Rejected => "rejected",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Carrier => "carrier",
            Self::Timeout => "timeout",
            Self::NoReply => "no_reply",
        }
    }

    /// The reason to send a call of this idempotency by another binding after `error`; `None` if it may not be.
    ///
    /// What was surely not processed may go again, whatever it is; what may have been, only if a repetition is the same call. Nothing goes
    /// again that its caller gave up, nor what met a limit after it was sent: the limits are the operation's, the same on every binding.
    pub(super) fn of(error: &TransportError, idempotency: Idempotency) -> Option<Self> {
        use TransportErrorKind as Kind;
        let sent = error.delivery() == Delivery::MaybeProcessed;
        if sent && !idempotency.is_repeatable() {
            return None;
        }
        Some(match error.kind() {
            Kind::Cancelled => return None,
            Kind::LimitExceeded | Kind::Refused if sent => return None,
            Kind::LimitExceeded => Self::TooLarge,
            Kind::Refused => Self::Refused,
            Kind::Busy => Self::Busy,
            Kind::Unsupported => Self::Unsupported,
            _ if error.delivery() == Delivery::Rejected => Self::Rejected,
            Kind::Resolve => Self::Unresolved,
            Kind::Connect => Self::Connect,
            Kind::Tls => Self::Tls,
            Kind::Closed => Self::Closed,
            Kind::Protocol => Self::Protocol,
            Kind::Timeout if sent => Self::Timeout,
            Kind::Timeout => Self::Connect,
            Kind::Carrier => Self::Carrier,
        })
    }
}

impl fmt::Display for FallbackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
