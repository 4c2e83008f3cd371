//! What can go wrong in a call: a peer's answer, or a failure on the way.
//!
//! - [`FederationError`] is an answer: a status, and with luck Matrix's `{"errcode", "error"}`.
//! - [`TransportError`] is the lack of one. Its [`Delivery`] says whether the peer may have acted.
//! - [`CallError`] is either of them: what a caller gets.
//!
//! The `errcode` of an answer is open and authoritative; [`ErrorKind`] is closed and drives retries.
//! The table from one to the other is in `kind.rs`, the reading of real servers' malformed answers
//! in `body.rs`.

mod answers;
mod body;
mod federation;
mod kind;
mod transport;
mod wait;

pub use federation::{BODY_LIMIT, ErrorOrigin, ErrorParts, FederationError};
pub use kind::{DEFAULT_RETRY_AFTER, ErrorKind, Retry};
pub use transport::{CallError, Delivery, TransportError, TransportErrorKind};
pub use wait::MAX_RETRY_AFTER;
