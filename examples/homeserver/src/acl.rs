//! Which servers a room does not talk to: what [`Acl`](comity_core::layers::Acl) asks.

use std::sync::Arc;

use async_trait::async_trait;
use comity_core::{
    acl::{ServerAcl, ServerAcls},
    error::FederationError,
    event::room_version::RoomVersion,
};
use ruma_common::RoomId;
use ruma_events::StateEventType;

use crate::Homeserver;

#[async_trait]
impl ServerAcls for Homeserver {
    async fn server_acl(&self, room_id: &str) -> Result<Option<Arc<ServerAcl>>, FederationError> {
        let acl = RoomId::parse(room_id).ok().and_then(|id| {
            self.with_room(&id, |room| {
                let event = room.state().get(&StateEventType::RoomServerAcl, "")?;
                let content = event.pdu().content()?;
                Some(Arc::new(ServerAcl::from_content(&content)))
            })?
        });
        Ok(acl)
    }

    async fn room_version(&self, room_id: &str) -> Option<Arc<dyn RoomVersion>> {
        let id = RoomId::parse(room_id).ok()?;
        self.with_room(&id, |room| room.version().format.clone())
    }
}
