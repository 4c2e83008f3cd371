//! Request authentication: keys, the `X-Matrix` scheme, the object a request signs, and key documents.
//!
//! Keys, credentials and documents are pure: no clock, no network. The key ring fetches and remembers other servers' keys; `Sign` and
//! `Verify` are layers; an [`Authenticator`] says what a proof of origin is.
//!
//! | File | Subject | Server-Server API |
//! | --- | --- | --- |
//! | `key` | key IDs, ed25519 keys, signatures | Appendices, "Signing JSON" |
//! | `prepared_keys`, `multiples` | cheaper checks with keys that are used often | |
//! | `crafted` | signatures that no honest signer makes, for tests | |
//! | `x_matrix` | the `Authorization: X-Matrix` header | "Request Authentication" |
//! | `signed_request` | the object that is signed | "Request Authentication" |
//! | `server_keys` | reading a server's published keys | "Retrieving server keys" |
//! | `authenticator` | who proves an origin, the layer that verifies | "Request Authentication" |
//! | `sign` | the layer that signs | "Request Authentication" |
//! | `session` | one signature for a connection | |
//! | `key_source` | what asks for other servers' keys sees | "Retrieving server keys" |
//! | `key_ring` | other servers' keys, from themselves or through notaries | "Retrieving server keys" |
//! | `key_store` | where they outlive the process | |
//! | `key_document` | making a document of our own | "Publishing Keys" |
//! | `published_keys` | our own keys as they change | "Publishing Keys" |
//! | `notary` | giving other servers' keys to others | "Querying keys through another server" |
//!
//! **What a signature does not give.** It covers method, target, origin, destination and content, and nothing else:
//! neither a time nor a nonce. Whoever sees a signed request without a body can send it to that destination again for
//! as long as the key is valid; TLS is what keeps it from being seen. A session is bound to its connection, and has a time.

mod authenticator;
#[cfg(test)]
pub(crate) mod crafted;
mod key;
mod key_document;
mod key_ring;
mod key_source;
mod key_store;
mod multiples;
mod notary;
mod prepared_keys;
mod published_keys;
mod server_keys;
mod session;
mod sign;
mod signed_request;
mod x_matrix;

pub use authenticator::{Authenticator, Origin, Verify, XMatrixAuthenticator};

pub use key::{
    KeyId, KeyIdError, Signature, SignatureError, SigningKey, SigningKeyError, VerifyKey,
    VerifyKeyError,
};
pub use key_document::{KeyDocument, KeyDocumentError};
pub use key_ring::{FetchOrder, KeyRing, KeyRingOptions, MAX_NOTARIES, TrustedNotary};
pub use key_source::{FetchedKeys, KeyFault, KeySource, now_ms};
pub use key_store::{KeyStore, KeyStoreError, StoredKeys};
pub use notary::{Notary, NotaryOptions};
pub use prepared_keys::PreparedKeys;
pub use published_keys::{MAX_PUBLISHED_BYTES, PublishedKeys, PublishedKeysOptions};
pub use server_keys::{
    MAX_DOCUMENT_BYTES, MAX_KEYS, MAX_VALIDITY_MS, OldVerifyKey, ServerKeys, ServerKeysError,
};
pub use session::{
    Channel, ChannelProofs, EXPORTER_BYTES, MAX_SESSION_BYTES, MAX_SESSION_LIFETIME,
    MAX_SESSION_SKEW, OwnSession, SESSION_EXPORTER_LABEL, SESSION_REFUSED, SESSION_SCHEME,
    SessionAuthenticator, SessionCredential, SessionError, SessionOptions, SessionUse,
};
pub(crate) use session::{no_session, session_setting};
pub use sign::{OwnProof, Sign, Signer};
pub use signed_request::SignedRequest;
pub use x_matrix::{
    MAX_CREDENTIALS, MAX_HEADER_BYTES, Parsed, XMatrix, XMatrixCredentials, XMatrixError,
};
