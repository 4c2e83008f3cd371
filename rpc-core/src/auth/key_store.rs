//! Where key documents outlive the process.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::ServerName;

/// A key document as it is kept: what was fetched, and when. Whoever loads it checks it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKeys {
    /// The document's canonical JSON text.
    pub document: Bytes,
    /// When it was fetched, in milliseconds since the Unix epoch.
    pub fetched_at: i64,
    /// Whether the server itself gave it, over a connection to it, and not a notary.
    pub direct: bool,
}

/// Keeps the key documents of other servers over a restart, so that it does not make a server ask all others at once.
///
/// A store is bounded and may forget. It proves nothing: a [`KeyRing`](super::KeyRing) checks the self-signature of what it loads. Yet whoever
/// can write to it can put documents with keys of his own there, as a self-signature is all that can be checked.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync + 'static {
    /// The document of `server`, if there is one. Dropping the future is safe.
    ///
    /// # Errors
    /// The store, or this record of it, cannot be read.
    async fn load(&self, server: &ServerName) -> Result<Option<StoredKeys>, KeyStoreError>;

    /// Keeps the document of `server` instead of the one before. Returns when it is durable. Dropping the future does not undo it.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn save(&self, server: &ServerName, keys: StoredKeys) -> Result<(), KeyStoreError>;
}

/// A key store failed.
#[derive(Debug, thiserror::Error)]
#[error("key store: {0}")]
pub struct KeyStoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
