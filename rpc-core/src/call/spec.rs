//! The facts about an operation that every binding and layer obeys. They stand in its row and are never inferred.

use std::{fmt, time::Duration};

/// Everything that is known about an operation besides the shape of its request and reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationSpec {
    /// Name, unique over all groups: `SendTransaction`.
    pub name: &'static str,
    /// Group the operation belongs to: `Transactions`.
    pub group: &'static str,
    /// Who has to prove what before the handler runs.
    pub authentication: Authentication,
    /// What a repetition does.
    pub idempotency: Idempotency,
    /// How many may be in flight to one destination.
    pub flow: Flow,
    /// What comes back.
    pub reply: ReplyShape,
    /// Size limits.
    pub limits: SizeLimits,
    /// How long a caller waits for what.
    pub clocks: Clocks,
    /// The errors that the specification documents for it, beside those that any call may be answered with.
    pub errors: &'static [DocumentedError],
    /// What the room's server ACL means for it.
    pub server_acl: AclDuty,
    /// The editions of the protocol that have it, and the releases in which each has it. Empty for a third party's own.
    pub editions: &'static [EditionSpan],
}

impl OperationSpec {
    /// The releases in which an edition has the operation.
    pub fn edition(&self, edition: Edition) -> Option<EditionSpan> {
        self.editions
            .iter()
            .copied()
            .find(|span| span.edition == edition)
    }
}

/// What a receiver does for a room's `m.room.server_acl` (SS "Server Access Control Lists (ACLs)").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AclDuty {
    /// An origin that the ACL of the room in the path denies is answered 403 `M_FORBIDDEN`.
    Room,
    /// Each PDU, and each EDU that belongs to a room, is judged by the ACL of its own room, and dropped alone.
    Items,
    /// No duty.
    Unchecked,
}

/// The releases of an edition in which an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EditionSpan {
    /// Whose releases.
    pub edition: Edition,
    /// The first one: `v1.6`, or the number of a draft.
    pub since: &'static str,
    /// The first one without it, if it was taken out. Servers in use may still call it.
    pub until: Option<&'static str>,
}

impl fmt::Display for EditionSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            edition,
            since,
            until,
        } = self;
        write!(f, "{edition} (since {since}")?;
        if let Some(until) = until {
            write!(f, ", removed in {until}")?;
        }
        f.write_str(")")
    }
}

/// An error that an operation's specification names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentedError {
    /// The status that HTTP gives it; other bindings carry it along.
    pub http_status: u16,
    /// The error code: `M_FORBIDDEN`.
    pub errcode: &'static str,
    /// When it is the answer, as the end of "answered if ..": `the user is not of the calling server`.
    pub when: &'static str,
}

/// Who publishes a version of the protocol, or of a room (MSC3923): one server may speak several editions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Edition {
    /// The Matrix specification.
    Matrix,
    /// The IETF's drafts (draft-ralston-mimi-matrix-framework).
    Ietf,
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Matrix => "Matrix",
            Self::Ietf => "IETF",
        })
    }
}

/// Who has to prove what before the handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// Anyone may call; a credential that is there is ignored.
    None,
    /// The calling server proves its name.
    Server,
    /// An access token in the request is the proof (`GetOpenIdUserInfo`); the handler checks it.
    AccessToken,
}

/// What a repetition of a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotency {
    /// Changes nothing at the receiver: repeat at will.
    Safe,
    /// The same origin and the named parameter identify the call: a repetition is the same call.
    Keyed {
        /// Path parameter that is the key.
        by: &'static str,
    },
    /// Each call has an effect of its own: never repeat silently.
    None,
}

impl Idempotency {
    /// Whether a call may be repeated when nobody knows if it was processed.
    pub fn is_repeatable(self) -> bool {
        !matches!(self, Self::None)
    }
}

/// How many calls of an operation may be in flight to one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Any number, within the transport's permits.
    Concurrent,
    /// One at a time (transactions: SS "Transactions").
    OnePerDestination,
}

/// What comes back from a successful call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyShape {
    /// One message, read whole.
    Message,
    /// One JSON object with arrays that may be huge, read as they arrive.
    Events {
        /// Names of those arrays.
        arrays: &'static [&'static str],
    },
    /// Metadata and a stream of bytes.
    Blob,
    /// A stream of bytes with a media type, and nothing around it.
    Body,
}

/// Size limits of an operation, in bytes unless it says otherwise. Each can be lowered or raised where a binding or layer is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeLimits {
    /// The request's content.
    pub request: usize,
    /// A reply that is one message, and the members beside the arrays of a streamed one.
    pub message: usize,
    /// One element of an array in a streamed reply. Larger ones are skipped and reported, the others pass.
    pub item: usize,
    /// A streamed reply in all, a blob or a body.
    pub stream: u64,
    /// How many members the object of a request or of a reply that is one message may have, and how many elements each of its
    /// arrays. Counted before any is given memory.
    pub elements: usize,
}

impl SizeLimits {
    /// 16 MiB requests and messages, 1 MiB elements, 1 GiB streams; 100,000 elements of a list.
    pub const DEFAULT: Self = Self {
        request: 16 << 20,
        message: 16 << 20,
        item: 1 << 20,
        stream: 1 << 30,
        elements: 100_000,
    };
    /// For requests and replies of a few members: 64 KiB and 1 MiB.
    pub const SMALL: Self = Self {
        request: 64 << 10,
        message: 1 << 20,
        ..Self::DEFAULT
    };
}

/// How long a caller waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// From sending to the reply's head.
    pub head: Duration,
    /// Between two parts of a streamed reply, counted only while waiting for the peer.
    pub idle: Duration,
    /// From sending to the reply's end. `None`: as long as parts keep arriving.
    pub total: Option<Duration>,
}

impl Clocks {
    /// 60 s to the head, 60 s between parts, no total.
    pub const DEFAULT: Self = Self {
        head: Duration::from_secs(60),
        idle: Duration::from_secs(60),
        total: None,
    };

    /// `seconds` for the whole call.
    pub const fn short(seconds: u64) -> Self {
        Self {
            head: Duration::from_secs(seconds),
            idle: Duration::from_secs(seconds),
            total: Some(Duration::from_secs(seconds)),
        }
    }
}
