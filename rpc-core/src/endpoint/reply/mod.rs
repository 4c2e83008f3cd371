//! A reply as the specification writes it: status, media type, body. Written and read incrementally where it may be large.

mod blob;
mod body;
mod read;
mod tuple;
mod write;

use std::fmt;

use bytes::Bytes;

pub use read::check_counts;
pub use read::{read_error_body, read_reply};
pub use write::{federation_error, write_error, write_reply};

use super::form::JSON;
use crate::call::ByteStream;

/// A reply as it goes out.
#[derive(Debug)]
pub struct WireReply {
    /// Status, media type, name of a file, retry hint.
    pub head: ReplyHead,
    /// The body.
    pub body: WireBody,
}

/// What stands before a reply's body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplyHead {
    /// HTTP status code.
    pub status: u16,
    /// Media type with its parameters.
    pub content_type: Option<String>,
    /// Value of `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// Value of `Retry-After`.
    pub retry_after: Option<String>,
}

/// A reply's body as it goes out.
pub enum WireBody {
    /// Known whole.
    Whole(Bytes),
    /// Made as it is read. An error aborts the reply: it must never end as if it were complete.
    Stream(ByteStream),
}

impl fmt::Debug for WireBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}
