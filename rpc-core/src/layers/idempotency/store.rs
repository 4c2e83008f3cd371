//! Where answers are kept.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::ServerName;

/// What identifies a keyed call at its receiver, whatever binding it comes by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey {
    /// Who called.
    pub origin: ServerName,
    /// The operation's name.
    pub operation: &'static str,
    /// The value of the parameter that is the key: from a peer, of any length up to a target's, and with any character.
    pub key: String,
}

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin,
            operation,
            key,
        } = self;
        // A peer chose it: a log line has room for so much of it.
        let shown: String = key.chars().take(64).collect();
        let more = if shown.len() < key.len() { ".." } else { "" };
        write!(f, "{operation} {shown:?}{more} of {origin}")
    }
}

/// What a call was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// SHA-256 over the request.
    pub digest: [u8; 32],
    /// The reply, canonical JSON.
    pub content: Bytes,
    /// When it was given, in milliseconds since the Unix epoch.
    pub at: i64,
}

/// Keeps answers, of a bounded number and size, for a day or less. What it forgets is processed again.
#[async_trait]
pub trait IdempotencyStore: fmt::Debug + Send + Sync + 'static {
    /// The answer that was kept for a call.
    ///
    /// # Errors
    /// It cannot be read.
    async fn find(&self, key: &CallKey) -> Result<Option<Answer>, StoreFault>;

    /// Keeps an answer, in the place of an earlier one for the same key. When it returns, the answer survives what the store survives.
    ///
    /// # Errors
    /// It is not kept.
    async fn keep(&self, key: &CallKey, answer: Answer) -> Result<(), StoreFault>;
}

/// A store does not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreFault(pub String);
