//! The server's own keys. A server that gives out the keys of others as well puts a [`Notary`](comity_core::auth::Notary) in this place, as
//! `comity serve` does.

use async_trait::async_trait;
use comity_core::{
    api::{GetServerKeys, GetServerKeysReply, Keys},
    call::CallContext,
    error::FederationError,
};

use crate::Homeserver;

#[async_trait]
impl Keys for Homeserver {
    async fn get_server_keys(
        &self,
        cx: &CallContext,
        request: GetServerKeys,
    ) -> Result<GetServerKeysReply, FederationError> {
        self.shared.published.get_server_keys(cx, request).await
    }
}
