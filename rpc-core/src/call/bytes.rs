//! Replies that are bytes: a blob with its metadata, and a body with nothing around it.

use std::{
    fmt::{self, Debug},
    pin::Pin,
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};

use super::{
    Reply,
    reply::{ReplyForm, wrong_shape},
};
use crate::{error::CallError, json::Object};

/// Bytes as they arrive. An error is the last item; an end without error is a complete blob.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, CallError>> + Send>>;

/// Where a blob's bytes are. `Debug` leaves out the query of a location, which can be a permission to fetch it.
#[derive(Clone, PartialEq, Eq)]
pub enum BlobSource {
    /// Here, in the stream.
    Here {
        /// Media type.
        content_type: Option<String>,
        /// The name to save the file under and whether to show it, as RFC 6266 writes them.
        content_disposition: Option<String>,
    },
    /// At this URL, to be fetched without authentication. The stream is empty.
    Location(String),
}

impl Debug for BlobSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here {
                content_type,
                content_disposition,
            } => f
                .debug_struct("Here")
                .field("content_type", content_type)
                .field("content_disposition", content_disposition)
                .finish(),
            Self::Location(url) => {
                let shown = url.split('?').next().unwrap_or_default();
                f.debug_tuple("Location").field(&shown).finish()
            }
        }
    }
}

/// Metadata and a stream of bytes (SS "Content Repository").
pub struct Blob {
    /// The JSON object that precedes the bytes. `{}` today.
    pub metadata: Object,
    /// Where the bytes are.
    pub source: BlobSource,
    /// The bytes.
    pub bytes: ByteStream,
}

impl Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob")
            .field("metadata", &self.metadata)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl ReplyForm for Blob {
    fn into_reply(self) -> Reply {
        Reply::Blob(self)
    }

    fn from_reply(reply: Reply) -> Result<Self, CallError> {
        match reply {
            Reply::Blob(blob) => Ok(blob),
            other => Err(wrong_shape("blob", &other)),
        }
    }
}

/// Bytes with a media type and nothing around them: what HTTP calls a body. Replies of other families of calls, and of calls that no
/// row knows, are these.
pub struct Body {
    /// The HTTP status, 200 to 299. Another is a fault of the handler, and answered 500.
    pub status: u16,
    /// Media type with its parameters.
    pub content_type: Option<String>,
    /// The name to save the bytes under and whether to show them, as RFC 6266 writes it.
    pub content_disposition: Option<String>,
    /// The bytes.
    pub bytes: ByteStream,
}

impl Body {
    /// A body that is known whole, with status 200.
    pub fn new(content_type: Option<String>, bytes: Bytes) -> Self {
        Self {
            status: 200,
            content_type,
            content_disposition: None,
            bytes: stream::once(std::future::ready(Ok(bytes))).boxed(),
        }
    }
}

impl Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("content_disposition", &self.content_disposition)
            .finish_non_exhaustive()
    }
}

impl ReplyForm for Body {
    fn into_reply(self) -> Reply {
        Reply::Body(self)
    }

    fn from_reply(reply: Reply) -> Result<Self, CallError> {
        match reply {
            Reply::Body(body) => Ok(body),
            other => Err(wrong_shape("body", &other)),
        }
    }
}
