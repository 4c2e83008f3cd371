//! What the server says of itself.

use async_trait::async_trait;
use comity_core::{
    api::{GetVersion, GetVersionReply, Server, ServerVersion},
    call::CallContext,
    error::FederationError,
    json::{Json, Members},
};

use crate::Homeserver;

#[async_trait]
impl Server for Homeserver {
    async fn get_version(
        &self,
        _: &CallContext,
        _: GetVersion,
    ) -> Result<GetVersionReply, FederationError> {
        let server = ServerVersion {
            name: Some("Comity example homeserver".to_owned()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        };
        Ok(GetVersionReply {
            server: Json::write(&server).ok(),
            extra: Members::new(),
        })
    }
}
