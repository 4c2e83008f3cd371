//! Why bytes are no JSON, why a member is not what was expected, why an object cannot be written.

use std::fmt;

use super::Kind;

/// The largest text that any pass takes, whatever limit was asked for: positions are kept in 31 bits.
pub(super) const LARGEST_TEXT: usize = (1 << 31) - 1;

/// Bytes that were refused: the reason, and the offset in bytes of the place where it showed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct IngestError {
    kind: IngestErrorKind,
    offset: usize,
}

/// The reasons for which JSON is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IngestErrorKind {
    /// The bytes are not UTF-8 (RFC 8259 §8.1).
    Utf8,
    /// An escaped surrogate without its partner: no Unicode string can hold it.
    LoneSurrogate,
    /// The grammar of RFC 8259 is broken; what was expected instead.
    Syntax(&'static str),
    /// Something other than white space follows the value.
    TrailingBytes,
    /// The text is larger than the limit in bytes.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// JSON, but no object where an object is required.
    NotAnObject,
    /// A streamed object repeats a top-level member: what was passed on already cannot be taken back.
    DuplicateMember {
        /// The decoded name.
        name: String,
    },
    /// A member of a streamed object that is read as a whole is larger than its limit.
    MemberTooLarge {
        /// The decoded name; empty if the name itself is too large.
        name: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The bytes end within the value.
    Truncated,
    /// Our own output failed our own check. This is a bug in Comity, and refusing is the safe answer.
    Internal,
}

impl IngestError {
    pub(super) fn new(kind: IngestErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    pub(super) fn syntax(expected: &'static str, offset: usize) -> Self {
        Self::new(IngestErrorKind::Syntax(expected), offset)
    }

    /// The same error in a text that begins at `start` of another one.
    pub(super) fn behind(mut self, start: usize) -> Self {
        self.offset = self.offset.saturating_add(start);
        self
    }

    /// The reason.
    pub fn kind(&self) -> &IngestErrorKind {
        &self.kind
    }

    /// The offset in bytes, counted from the start of the body or stream.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

/// The error at a place: the text ends, or something else was expected.
#[cold]
#[inline(never)]
pub(super) fn expected(source: &[u8], expected: &'static str, at: usize) -> IngestError {
    if at >= source.len() {
        IngestError::new(IngestErrorKind::Truncated, source.len())
    } else {
        IngestError::syntax(expected, at)
    }
}

impl fmt::Display for IngestErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf8 => f.write_str("bad UTF-8"),
            Self::LoneSurrogate => f.write_str("lone surrogate"),
            Self::Syntax(expected) => write!(f, "bad JSON: expected {expected}"),
            Self::TrailingBytes => f.write_str("bytes after the JSON value"),
            Self::TooLarge { limit } => write!(f, "JSON larger than {limit} bytes"),
            Self::NotAnObject => f.write_str("JSON, but no object"),
            Self::DuplicateMember { name } => write!(f, "repeated member {name:?}"),
            Self::MemberTooLarge { name, limit } => {
                write!(f, "member {name:?} larger than {limit} bytes")
            }
            Self::Truncated => f.write_str("JSON ends too early"),
            Self::Internal => f.write_str("re-encoded JSON failed its check (a bug in Comity)"),
        }
    }
}

/// A member that is absent, not of the expected type, or a list that is too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("member `{member}`: {kind}")]
pub struct ReadError {
    member: String,
    kind: ReadErrorKind,
}

/// What is wrong with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// A required member is not there.
    Missing {
        /// What was expected, for example "a string".
        expected: &'static str,
    },
    /// The member is there, but of another type, or a number out of range.
    WrongType {
        /// What was expected, for example "an integer".
        expected: &'static str,
        /// What was found.
        found: Kind,
    },
    /// The member is an array of too many elements.
    TooMany {
        /// How many there are.
        elements: usize,
        /// How many there may be.
        limit: usize,
    },
}

impl ReadError {
    /// An error about the member with this decoded name: for a type of one's own that a reader has no method for.
    pub fn new(member: &str, kind: ReadErrorKind) -> Self {
        Self {
            member: member.to_owned(),
            kind,
        }
    }

    /// A member that is of another type than expected, or outside its bounds.
    pub fn wrong_type(member: &str, expected: &'static str, found: Kind) -> Self {
        Self::new(member, ReadErrorKind::WrongType { expected, found })
    }

    /// The decoded name of the member.
    pub fn member(&self) -> &str {
        &self.member
    }

    /// What is wrong with it.
    pub fn kind(&self) -> ReadErrorKind {
        self.kind
    }
}

impl fmt::Display for ReadErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { expected } => write!(f, "expected {expected}, but it is missing"),
            Self::WrongType { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::TooMany { elements, limit } => {
                write!(f, "{elements} elements, over the limit of {limit}")
            }
        }
    }
}

/// What an object has too much of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TooMany {
    /// Members.
    #[error("{members} members, over the limit of {limit}")]
    Members {
        /// How many there are.
        members: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Elements of one array; says which.
    #[error("{0}")]
    Elements(ReadError),
}

/// A name that was written twice into one object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("member {name:?} written twice")]
pub struct DuplicateMember {
    pub(super) name: String,
}

impl DuplicateMember {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A Rust value that could not be turned into canonical JSON.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SerializeError {
    /// Its `Serialize` implementation failed.
    #[error("value cannot be serialised")]
    Serialize(#[source] serde_json::Error),
    /// What it wrote is no JSON that we would take from a peer.
    #[error("serialised value is refused")]
    Refused(#[source] IngestError),
}

/// A call of a [`StreamWriter`](super::StreamWriter) that would break the object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamWriteError {
    /// The name was written before.
    #[error("member {name:?} written twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// An item was given while no array is open.
    #[error("no array is open")]
    NoArray,
    /// The object was closed before.
    #[error("the object is finished")]
    Finished,
}
