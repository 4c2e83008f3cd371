//! How the Matrix specification writes a call: method, target, content, reply. Pure: no socket.
//!
//! X-Matrix signs this form, so it belongs to the API; the HTTP binding sends it as it is, and other bindings use it
//! where they have nothing of their own.

mod admission;
mod escape;
mod form;
pub mod multipart;
mod reply;
pub mod target;

pub use admission::Admission;
pub use form::{Content, ContentKind, EndpointForm, EndpointParts, read_content};
pub(crate) use form::{is_json, unsendable};
pub use reply::{
    ReplyHead, WireBody, WireReply, check_counts, federation_error, read_error_body, read_reply,
    write_error, write_reply,
};
pub use target::{
    PathTemplate, Query, TrailingSlash, check_target, split_target, unescape_segment,
};
