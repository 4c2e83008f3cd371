//! The `multipart/mixed` body of media (Matrix spec, Server-Server API, "Content Repository"; RFC
//! 2046 §5.1): one part of JSON metadata, then one part that is the file or says where it is.
//!
//! The writer is strict, to the letter of what Synapse's parser wants. The reader is tolerant of what
//! other servers write. Both are without input and output; the reader's memory is bounded by its
//! limits, not by the file.

mod boundary;
mod reader;
mod writer;

pub use reader::{HEADERS_LIMIT, METADATA_LIMIT, MultipartEvent, MultipartReader};
pub use writer::{HeaderValueError, MultipartWriter};

/// What the headers of the second part say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartHead {
    /// The file follows.
    Content {
        /// The file's `Content-Type`.
        content_type: Option<String>,
        /// The file's `Content-Disposition`.
        content_disposition: Option<String>,
    },
    /// The file is at this URL, which is fetched without Matrix authentication. Not checked: what
    /// fetches it guards against addresses of its own network.
    Location(String),
}

/// Why a body is no Matrix media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultipartError {
    /// The `Content-Type` is another one.
    #[error("the content type is not multipart/mixed")]
    NotMultipart,
    /// The `Content-Type` has no `boundary`, or none that can be one (RFC 2046 §5.1.1, but for the
    /// length: up to 200 visible bytes or inner spaces).
    #[error("the content type has no usable boundary")]
    Boundary,
    /// A part's headers are over [`HEADERS_LIMIT`].
    #[error("a part's headers are over {HEADERS_LIMIT} bytes")]
    HeadersTooLarge,
    /// The metadata is over [`METADATA_LIMIT`].
    #[error("the metadata is over {METADATA_LIMIT} bytes")]
    MetadataTooLarge,
    /// The last boundary came before the second part.
    #[error("there is no second part")]
    MissingPart,
    /// The body ended before the content of the second part began.
    #[error("the body ended before the second part")]
    Truncated,
}
