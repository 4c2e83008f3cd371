//! Request authentication: keys, the `X-Matrix` scheme, the object a request signs, and key documents.
//!
//! Everything here is pure: no clock, no network. What has to be fetched or remembered (other servers' keys) lives in
//! the key ring, which is given the time and asks a transport for documents.
//!
//! | File | Subject | Server-Server API |
//! | --- | --- | --- |
//! | `key` | key IDs, ed25519 keys, signatures | Appendices, "Signing JSON" |
//! | `x_matrix` | the `Authorization: X-Matrix` header | "Request Authentication" |
//! | `signed_request` | the object that is signed | "Request Authentication" |
//! | `server_keys` | reading a server's published keys | "Retrieving server keys" |
//! | `key_document` | publishing our own | "Publishing Keys" |
//!
//! **What a signature does not give.** It covers method, target, origin, destination and content, and nothing else:
//! neither a time nor a nonce. Whoever sees a signed request without a body can send it to that destination again for
//! as long as the key is valid; TLS is what keeps it from being seen.

mod key;
mod key_document;
mod server_keys;
mod signed_request;
mod x_matrix;

pub use key::{
    KeyId, KeyIdError, Signature, SignatureError, SigningKey, SigningKeyError, VerifyKey,
    VerifyKeyError,
};
pub use key_document::{KeyDocument, KeyDocumentError};
pub use server_keys::{MAX_KEYS, MAX_VALIDITY_MS, OldVerifyKey, ServerKeys, ServerKeysError};
pub use signed_request::SignedRequest;
pub use x_matrix::{Credentials, MAX_CREDENTIALS, MAX_HEADER_BYTES, Parsed, XMatrix, XMatrixError};
