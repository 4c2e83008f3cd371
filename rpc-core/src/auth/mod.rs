//! Request authentication: keys, the `X-Matrix` scheme, the object a request signs, and key documents.
//!
//! Keys, credentials and documents are pure: no clock, no network. The key ring fetches and remembers other servers' keys; `Sign` and
//! `Verify` are layers; an [`Authenticator`] says what a proof of origin is.
//!
//! | File | Subject | Server-Server API |
//! | --- | --- | --- |
//! | `key` | key IDs, ed25519 keys, signatures | Appendices, "Signing JSON" |
//! | `x_matrix` | the `Authorization: X-Matrix` header | "Request Authentication" |
//! | `signed_request` | the object that is signed | "Request Authentication" |
//! | `server_keys` | reading a server's published keys | "Retrieving server keys" |
//! | `authenticator` | who proves an origin, the layer that verifies | "Request Authentication" |
//! | `sign` | the layer that signs | "Request Authentication" |
//! | `key_ring` | other servers' keys | "Retrieving server keys" |
//! | `key_document` | publishing our own | "Publishing Keys" |
//!
//! **What a signature does not give.** It covers method, target, origin, destination and content, and nothing else:
//! neither a time nor a nonce. Whoever sees a signed request without a body can send it to that destination again for
//! as long as the key is valid; TLS is what keeps it from being seen.

mod authenticator;
mod key;
mod key_document;
mod key_ring;
mod server_keys;
mod sign;
mod signed_request;
mod x_matrix;

pub use authenticator::{Authenticator, Origin, Verify, XMatrixAuthenticator};

pub use key::{
    KeyId, KeyIdError, Signature, SignatureError, SigningKey, SigningKeyError, VerifyKey,
    VerifyKeyError,
};
pub use key_document::{KeyDocument, KeyDocumentError};
pub use key_ring::{FetchedKeys, KeyFault, KeyRing, KeyRingOptions, KeySource, now_ms};
pub use server_keys::{MAX_KEYS, MAX_VALIDITY_MS, OldVerifyKey, ServerKeys, ServerKeysError};
pub use sign::Sign;
pub use signed_request::SignedRequest;
pub use x_matrix::{
    MAX_CREDENTIALS, MAX_HEADER_BYTES, Parsed, XMatrix, XMatrixCredentials, XMatrixError,
};
