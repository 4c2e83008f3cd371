//! Documents that outlive the process.

use std::sync::Arc;

use tokio::time::timeout;

use super::{KeyRing, known::Known};
use crate::{
    ServerName,
    auth::{FetchedKeys, ServerKeys, StoredKeys},
};

impl KeyRing {
    /// The document that the store has of a server, checked again, and remembered.
    pub(super) async fn stored(&self, server: &ServerName) -> Option<Arc<Known>> {
        let store = self.store.as_ref()?;
        let loaded = timeout(self.options.timeout / 4, store.load(server)).await;
        let stored = match loaded {
            Ok(Ok(stored)) => stored?,
            Ok(Err(error)) => {
                tracing::warn!(%server, %error, "stored key document not read");
                return None;
            }
            Err(_) => {
                tracing::warn!(%server, "stored key document not read in time");
                return None;
            }
        };
        let checked = ServerKeys::parse(stored.document).and_then(|keys| {
            keys.check_self_signed(server)?;
            Ok(keys)
        });
        match checked {
            Ok(keys) => {
                let at = stored.fetched_at.min((self.options.now)());
                let keys = Arc::new(keys);
                let known = Arc::new(Known::stored(FetchedKeys { keys, at }, stored.direct));
                self.remember(server, known.clone()).await;
                Some(known)
            }
            Err(error) => {
                tracing::warn!(%server, %error, "stored key document passed over");
                None
            }
        }
    }

    pub(super) async fn save(&self, server: &ServerName, known: &Known) {
        let (Some(store), Some(document)) = (&self.store, &known.document) else {
            return;
        };
        let stored = StoredKeys {
            document: document.keys.document().clone(),
            fetched_at: document.at,
            direct: known.direct,
        };
        match timeout(self.options.timeout, store.save(server, stored)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%server, %error, "key document not stored"),
            Err(_) => tracing::warn!(%server, "key document not stored in time"),
        }
    }
}
