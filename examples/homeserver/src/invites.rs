//! Inviting a user of another server, and being invited (SS "Inviting to a room").

use std::sync::Arc;

use comity_core::{
    ServerName,
    api::{Calls, Invite},
    auth::now_ms,
    endpoint::Query,
    event::{Pdu, check_event},
    json::Members,
};
use ruma_common::{OwnedRoomId, RoomId, UserId};

use crate::{ActionError, Draft, Homeserver, Sent, homeserver::lock};

/// Most invitations of other servers that are kept.
pub const MAX_INVITATIONS: usize = 1_000;

/// An invitation of one of our users to a room that this server may not be in.
#[derive(Clone, Debug, PartialEq)]
pub struct Invitation {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub room_version: String,
    /// The invite, signed by both servers.
    pub event: Pdu,
    /// What tells the user which room it is.
    pub room_state: Vec<Pdu>,
    /// The server that sent it: one that the room can be joined through.
    pub via: ServerName,
}

impl Homeserver {
    /// The invitations of one of our users.
    pub fn invitations(&self, user: &UserId) -> Vec<Invitation> {
        let invitations = lock(&self.shared.invitations);
        let of_user = invitations
            .iter()
            .filter(|((invited, _), _)| invited == user);
        of_user.map(|(_, invitation)| invitation.clone()).collect()
    }

    /// Invites a user. The user's server signs the invite before it is put into the room, so that nobody is invited who cannot know of it.
    ///
    /// # Errors
    /// The invite has no place in the room, or the user's server does not sign it.
    pub async fn invite(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        user: &UserId,
    ) -> Result<Sent, ActionError> {
        let draft = Draft::membership(sender, user, "invite");
        if self.is_ours(user) {
            return self.send(room_id, &draft).await;
        }
        self.check_ours(sender)?;
        let room = self
            .room(room_id)
            .ok_or_else(|| ActionError::UnknownRoom(room_id.to_owned()))?;
        let server: ServerName = user
            .server_name()
            .as_str()
            .parse()
            .map_err(|_| ActionError::NotOurs(user.to_owned()))?;
        let (version, event, state) = {
            let room = lock(&room);
            let event = room.sign(&draft, self.name(), &self.shared.key, now_ms())?;
            room.check_own(&event)?;
            (room.version().clone(), event, room.invite_state())
        };
        let request = Invite {
            room_id: room_id.to_string(),
            event_id: event.id().to_string(),
            room_version: version.id.clone(),
            event: event.pdu().clone(),
            invite_room_state: Some(state.iter().map(|event| Ok(event.pdu().clone())).collect()),
            extra: Members::new(),
            extra_query: Query::default(),
        };
        let reply = self.client.invite(&server, request).await;
        let reply = reply.map_err(|source| ActionError::Call {
            server: server.clone(),
            source,
        })?;
        let bad = |why: String| ActionError::BadAnswer {
            server: server.clone(),
            why,
        };
        let mut checked = self.check(&version, vec![reply.event], check_event).await;
        let signed = checked
            .pop()
            .expect("one event gives one result")
            .map_err(bad)?;
        // The ID covers all but signatures, and what the hash covers was checked with them.
        if signed.id() != event.id() {
            return Err(bad(format!("it signed {} instead", signed.id())));
        }
        let event = lock(&room).add(signed)?;
        let deliveries = self.deliver(room_id, &[Arc::clone(&event)]).await;
        Ok(Sent { event, deliveries })
    }
}
