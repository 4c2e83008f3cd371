//! The closed kinds of an error, and the table from errcode and status to kind and retry.

use std::{fmt, time::Duration};

/// The closed classification of an error: gRPC's codes 1 to 16, with gRPC's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ErrorKind {
    /// The caller gave up.
    Cancelled = 1,
    /// The peer failed and said no more than that (`M_UNKNOWN`).
    Unknown = 2,
    /// The request is wrong, whatever the state of the peer.
    InvalidArgument = 3,
    /// The time ran out.
    DeadlineExceeded = 4,
    /// The thing asked for does not exist (for this caller).
    NotFound = 5,
    /// The thing to create exists.
    AlreadyExists = 6,
    /// The caller is known, and may not.
    PermissionDenied = 7,
    /// A rate limit or a quota.
    ResourceExhausted = 8,
    /// The state of the room or of the peer does not allow it.
    FailedPrecondition = 9,
    /// A conflict with another request.
    Aborted = 10,
    /// The request, or what it asks for, is too large.
    OutOfRange = 11,
    /// The operation does not exist: `M_UNRECOGNIZED`.
    // Never a bare 404, which says nothing of the operation.
    Unimplemented = 12,
    /// The peer failed without a Matrix error.
    Internal = 13,
    /// The peer cannot answer now.
    Unavailable = 14,
    /// Data was lost.
    DataLoss = 15,
    /// The caller did not prove who it is.
    Unauthenticated = 16,
}

impl ErrorKind {
    /// Every kind, by ascending code.
    pub const ALL: [Self; 16] = [
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// gRPC's number of this kind, 1 to 16.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind of a gRPC number; `None` for 0 (no error) and for numbers above 16.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// gRPC's name of this kind, such as `NOT_FOUND`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }

    /// The errcodes that decide the kind, whatever the status.
    pub fn known_errcodes() -> impl Iterator<Item = &'static str> {
        ROWS.iter().flat_map(|row| row.errcodes).copied()
    }

    /// The kind of an answer.
    ///
    /// A known errcode other than `M_UNKNOWN` decides; else the status does. A status of 500 with
    /// any Matrix errcode is the peer's own word ([`Unknown`](Self::Unknown)); without one it is a
    /// crash ([`Internal`](Self::Internal)).
    pub(super) fn of(http_status: u16, errcode: Option<&str>) -> Self {
        match errcode.and_then(row) {
            Some(row) => row.kind,
            None if http_status == 500 && errcode.is_some() => Self::Unknown,
            None => Self::of_status(http_status),
        }
    }

    fn of_status(http_status: u16) -> Self {
        match http_status {
            // A 202 is an error only where nothing came with it: some firewalls answer their
            // challenge that way. It may pass later.
            202 => Self::Unavailable,
            // A redirect that was not followed: the request itself was not looked at.
            300..=399 => Self::FailedPrecondition,
            401 => Self::Unauthenticated,
            403 | 451 => Self::PermissionDenied,
            404 | 410 => Self::NotFound,
            408 => Self::DeadlineExceeded,
            409 => Self::Aborted,
            // Not `Unimplemented`, which stands for `M_UNRECOGNIZED` alone.
            // A circle of gateways (508) is one the next time too.
            405 | 412 | 426 | 501 | 505 | 508 => Self::FailedPrecondition,
            413 | 414 | 416 | 431 => Self::OutOfRange,
            425 => Self::Unavailable,
            429 | 507 => Self::ResourceExhausted,
            499 => Self::Cancelled,
            400..=498 => Self::InvalidArgument,
            // 520 to 530 are a large CDN's names for an origin that it could not reach.
            502 | 503 | 520..=530 => Self::Unavailable,
            504 => Self::DeadlineExceeded,
            500..=599 => Self::Internal,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a caller may do about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Nothing: the same request gets the same answer.
    No,
    /// The same request again, not before this time has passed. The peer did not act on it, so this
    /// holds for requests that are not idempotent too.
    After(Duration),
    /// The same request to another server that is in the room.
    OtherServer,
    /// The same content in smaller requests.
    Split,
    /// The same request again if it is idempotent, with the caller's own backoff; a
    /// [`retry_after`](super::FederationError::retry_after), if given, is the least of it.
    IfIdempotent,
}

/// The wait after a rate limit that names none. Synapse answers so (429 `M_UNKNOWN`) while another
/// transaction of the same origin is in flight; its limiter's window is one second.
pub const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

impl Retry {
    /// The retry of an answer whose kind is `kind`.
    pub(super) fn of(
        kind: ErrorKind,
        http_status: u16,
        errcode: Option<&str>,
        wait: Option<Duration>,
    ) -> Self {
        let rule = match errcode.and_then(row) {
            Some(row) => row.rule,
            None => Rule::of_status(http_status, kind),
        };
        match rule {
            Rule::No => Self::No,
            Rule::After => Self::After(wait.unwrap_or(DEFAULT_RETRY_AFTER)),
            Rule::OtherServer => Self::OtherServer,
            Rule::Split => Self::Split,
            Rule::IfIdempotent => Self::IfIdempotent,
        }
    }
}

/// [`Retry`] before the time is known.
#[derive(Clone, Copy)]
enum Rule {
    No,
    After,
    OtherServer,
    Split,
    IfIdempotent,
}

impl Rule {
    fn of_status(http_status: u16, kind: ErrorKind) -> Self {
        match (http_status, kind) {
            (429, _) => Self::After,
            (413 | 414 | 431, _) => Self::Split,
            (
                _,
                ErrorKind::Unknown
                | ErrorKind::Internal
                | ErrorKind::Unavailable
                | ErrorKind::DeadlineExceeded
                | ErrorKind::Aborted,
            ) => Self::IfIdempotent,
            _ => Self::No,
        }
    }
}

struct Row {
    errcodes: &'static [&'static str],
    kind: ErrorKind,
    rule: Rule,
}

/// The errcodes that decide the kind. `M_UNKNOWN` is absent on purpose: it says nothing.
const ROWS: &[Row] = &[
    Row {
        errcodes: &["M_UNAUTHORIZED", "M_MISSING_TOKEN", "M_UNKNOWN_TOKEN"],
        kind: ErrorKind::Unauthenticated,
        // A receiver fetches keys again before it answers so; nothing is left to try.
        rule: Rule::No,
    },
    Row {
        errcodes: &[
            "M_FORBIDDEN",
            "M_INVITE_BLOCKED",
            "M_SERVER_NOT_TRUSTED",
            "M_USER_SUSPENDED",
            "M_USER_LOCKED",
        ],
        kind: ErrorKind::PermissionDenied,
        rule: Rule::No,
    },
    Row {
        errcodes: &["M_UNABLE_TO_AUTHORISE_JOIN", "M_UNABLE_TO_GRANT_JOIN"],
        kind: ErrorKind::FailedPrecondition,
        rule: Rule::OtherServer,
    },
    Row {
        errcodes: &["M_NOT_FOUND"],
        kind: ErrorKind::NotFound,
        rule: Rule::No,
    },
    Row {
        errcodes: &["M_UNRECOGNIZED"],
        kind: ErrorKind::Unimplemented,
        rule: Rule::No,
    },
    Row {
        errcodes: &[
            "M_BAD_JSON",
            "M_NOT_JSON",
            "M_INVALID_PARAM",
            "M_MISSING_PARAM",
        ],
        kind: ErrorKind::InvalidArgument,
        rule: Rule::No,
    },
    Row {
        errcodes: &[
            "M_INCOMPATIBLE_ROOM_VERSION",
            "M_UNSUPPORTED_ROOM_VERSION",
            "M_BAD_STATE",
        ],
        kind: ErrorKind::FailedPrecondition,
        rule: Rule::No,
    },
    Row {
        errcodes: &["M_LIMIT_EXCEEDED"],
        kind: ErrorKind::ResourceExhausted,
        rule: Rule::After,
    },
    Row {
        errcodes: &["M_RESOURCE_LIMIT_EXCEEDED"],
        kind: ErrorKind::ResourceExhausted,
        rule: Rule::No,
    },
    Row {
        errcodes: &["M_TOO_LARGE"],
        kind: ErrorKind::OutOfRange,
        rule: Rule::Split,
    },
    Row {
        errcodes: &["M_NOT_YET_UPLOADED"],
        kind: ErrorKind::Unavailable,
        rule: Rule::After,
    },
];

fn row(errcode: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.errcodes.contains(&errcode))
}
