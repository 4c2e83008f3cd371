//! The server's own keys.

use async_trait::async_trait;
use comity_core::{
    api::{GetServerKeys, GetServerKeysReply, Keys},
    auth::{KeyDocument, now_ms},
    call::CallContext,
    error::FederationError,
    json::Object,
};

use crate::Homeserver;

/// How long others may keep the key document, in milliseconds: a day.
const VALIDITY_MS: i64 = 24 * 60 * 60 * 1000;

impl Homeserver {
    /// The key document, signed now.
    ///
    /// # Errors
    /// Why there is none.
    pub fn key_document(&self) -> Result<Object, Box<dyn std::error::Error + Send + Sync>> {
        let document = KeyDocument::new(self.name().clone(), now_ms() + VALIDITY_MS);
        let text = document.sign(&[&self.shared.key])?;
        let size = text.len();
        Ok(Object::parse(text, size)?)
    }
}

#[async_trait]
impl Keys for Homeserver {
    async fn get_server_keys(
        &self,
        _: &CallContext,
        _: GetServerKeys,
    ) -> Result<GetServerKeysReply, FederationError> {
        let document = self.key_document();
        let document = document.map_err(|error| FederationError::internal(error.to_string()))?;
        Ok(GetServerKeysReply { document })
    }
}
