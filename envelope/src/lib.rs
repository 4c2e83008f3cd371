//! A call and its reply as bytes, for bindings that have no messages of their own: what is left to such a binding is framing.
//!
//! A binding sends one request envelope, gets reply frames, and has to keep them apart from those of other calls; nothing else.
//! `examples/unix-socket-transport` is one in a hundred lines. Four functions do the work: [`write_request`] and [`read_reply`] on the calling side,
//! [`answer`] (or [`read_request`] and [`write_reply`], for a server that does more between them) on the other.
//!
//! # The form
//!
//! Each envelope and each frame is one CBOR map (RFC 8949) of definite length with integer keys. Keys that are not in the tables are ignored, so that a later version may
//! add some; a key that is no integer refuses the whole, and so does one from 0 to 63 that is there twice; others are not compared. Texts are UTF-8, bytes are taken as they are: method, target, content and
//! credentials cross exactly as they were signed.
//!
//! | request key | value | meaning |
//! | --- | --- | --- |
//! | 1 | text | method |
//! | 2 | text | target: path and query, as signed |
//! | 3 | bytes | content; absent if there was no body |
//! | 4 | text | media type of the content, if it is not JSON |
//! | 5 | text | destination |
//! | 6 | array of texts | credentials, in order |
//! | 7 | unsigned integer | deadline: milliseconds that are left for the whole call |
//! | 8 | array of texts | intermediaries that the call passed (`via`), oldest first |
//! | 9, 10 | text | `traceparent`, `tracestate`: believed of configured peers only ([`read_request_of_peer`]) |
//! | 11 | text | who the caller says it is (`From`, RFC 9110 §10.1.2) |
//!
//! A reply is a head, data as often as there is some, and the end; each frame has exactly one of these keys:
//!
//! | frame key | value | meaning |
//! | --- | --- | --- |
//! | 1 | map | head: 1 status (unsigned), 2 media type, 3 `Retry-After`, 4 `Content-Disposition` (texts) |
//! | 2 | bytes | the next bytes of the body |
//! | 3 | `true` | the body is complete |
//! | 4 | text | the body was broken off, and why. Nothing follows, and what came is not the reply |
//!
//! A reply that ends without 3 or 4 was broken off on the way.
//!
//! # Limits
//!
//! Content 16 MiB ([`MAX_CONTENT`]), or what the operation's row says if that is less. All texts of a request together 64 KiB ([`MAX_METADATA`]), credentials
//! and hops 64 each ([`MAX_ITEMS`]), a member that nobody knows 64 KiB. Data of one frame 1 MiB ([`MAX_DATA`]). So a binding bounds what it reads by [`MAX_REQUEST`] and
//! [`MAX_FRAME`], before it gives memory for it. Each error names its limit.

#![forbid(unsafe_code)]

mod exchange;
mod frame;
mod map;
mod request;

pub use exchange::{
    answer, read_reply, read_request, read_request_of_peer, write_reply, write_request,
};
pub use frame::Frame;
pub use map::EnvelopeError;
pub use request::RequestEnvelope;

/// Most bytes of a request's content.
pub const MAX_CONTENT: usize = 16 << 20;

/// Most bytes of everything in a request that is not its content, in a frame's head, and of a member that this version does not know.
pub const MAX_METADATA: usize = 64 << 10;

/// Most credentials of a request, and most hops.
pub const MAX_ITEMS: usize = 64;

/// Most bytes of the body in one frame.
pub const MAX_DATA: usize = 1 << 20;

/// Most bytes of a request envelope: what a binding may allow for one.
pub const MAX_REQUEST: usize = MAX_CONTENT + 2 * MAX_METADATA;

/// Most bytes of a reply frame: what a binding may allow for one.
pub const MAX_FRAME: usize = MAX_DATA + 2 * MAX_METADATA;
