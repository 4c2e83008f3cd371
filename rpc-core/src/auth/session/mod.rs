//! Session authentication: one signature for a connection, in place of one for each request.
//!
//! The client signs, once for each connection, who it is, whom it means, which key signs, from when to when that counts, and 32 bytes that TLS exports for this
//! connection alone (RFC 5705 §4, RFC 8446 §7.5). Every call on the connection carries that credential. It is worth nothing on any other: there the exporter's
//! bytes are others. Both sides take these from their own end; nothing on the wire says them.
//!
//! - `credential.rs`: what travels, and the text that is signed
//! - `channel.rs`: what an authenticator sees of a connection, and what it remembers of it
//! - `authenticator.rs`: judging a session, and X-Matrix beside it
//! - `own.rs`: the session that this side proves itself by
//! - `required.rs`: the error of a call that has to go by one
//!
//! **What it gives and what not.** A session proves who is at the other end of this connection. It covers no request: what TLS carries is what was sent, and the binding checks
//! it as strictly as if it were signed. It cannot be passed on, so a gateway that holds no key of its homeserver neither offers nor accepts it.

mod authenticator;
mod channel;
mod credential;
mod own;
mod required;

use std::time::Duration;

pub use authenticator::SessionAuthenticator;
pub use channel::{Channel, ChannelProofs, EXPORTER_BYTES};
pub use credential::{MAX_SESSION_BYTES, SESSION_SCHEME, SessionCredential, SessionError};
pub use own::{OwnSession, SessionOptions, SessionUse};
pub(crate) use required::{no_session, session_setting};

/// The label that the keying material is exported with. Unregistered, so it begins as RFC 5705 §4 asks.
pub const SESSION_EXPORTER_LABEL: &[u8] = b"EXPERIMENTAL dev.comity.session/1";

/// The longest time from a credential's creation to its expiry.
pub const MAX_SESSION_LIFETIME: Duration = Duration::from_secs(3600);

/// How far in the future of the receiver's clock a credential may have been created. Clocks differ.
pub const MAX_SESSION_SKEW: Duration = Duration::from_secs(60);

/// The errcode (401) of a call whose session is refused: nothing was done, and the same call may be sent with X-Matrix. Unstable: the only place where it is written.
pub const SESSION_REFUSED: &str = "DEV.COMITY.SESSION_REFUSED";
