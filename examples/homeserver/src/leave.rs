//! Leaving a room, and rejecting an invitation to one that this server is not in (SS "Leaving Rooms (Rejecting Invites)").

use comity_core::{
    ServerName,
    api::{Calls, MakeLeave, SendLeave, TemplateFault},
    auth::now_ms,
    endpoint::Query,
    error::CallError,
    event::sign_event,
    json::Value,
};
use ruma_common::{RoomId, UserId};

use crate::{ActionError, Draft, Homeserver};

impl Homeserver {
    /// Has one of our users leave a room; one who is only invited rejects that, through the server that the invitation came from.
    ///
    /// An invitation is forgotten even if that server cannot be reached or says no: the user wanted to see no more of it.
    ///
    /// # Errors
    /// The user is neither in the room nor invited, or may not leave (who is banned), or the other server did not take it.
    pub async fn leave(&self, room_id: &RoomId, user: &UserId) -> Result<(), ActionError> {
        self.check_ours(user)?;
        let here = self.with_room(room_id, |room| room.state().has_server(self.name()));
        if here == Some(true) {
            self.forget_invitation(user, room_id);
            let draft = Draft::membership(user, user, "leave");
            return self.send(room_id, &draft).await.map(drop);
        }
        let invitations = self.invitations(user);
        let invitation = invitations
            .into_iter()
            .find(|invitation| invitation.room_id == room_id)
            .ok_or_else(|| ActionError::UnknownRoom(room_id.to_owned()))?;
        self.forget_invitation(user, room_id);
        self.saved().await?;
        self.reject(room_id, user, &invitation.via).await
    }

    async fn reject(
        &self,
        room_id: &RoomId,
        user: &UserId,
        via: &ServerName,
    ) -> Result<(), ActionError> {
        let in_vain = |source: CallError| ActionError::Call {
            server: via.clone(),
            source,
        };
        let request = MakeLeave {
            room_id: room_id.to_string(),
            user_id: user.to_string(),
            extra_query: Query::default(),
        };
        let reply = self.client.make_leave(via, request.clone()).await;
        let reply = reply.map_err(in_vain)?;
        // Lest the other server get a signature under anything it likes.
        let template = request
            .check(&reply, |version| self.versions.get(version).is_some())
            .map_err(|fault| match fault {
                TemplateFault::RoomVersion(version) => ActionError::UnknownVersion(version),
                fault => ActionError::BadAnswer {
                    server: via.clone(),
                    why: fault.to_string(),
                },
            })?;
        let version = self.versions.get(&template.room_version).cloned();
        let version = version.ok_or(ActionError::UnknownVersion(template.room_version))?;
        let unsigned = template
            .event
            .filtered(|name| !matches!(name, "event_id" | "hashes" | "signatures" | "unsigned"))
            .with_member("origin_server_ts", &Value::integer(now_ms()));
        let (event_id, event) =
            sign_event(&*version.format, &unsigned, self.name(), &self.shared.key)?;
        let request = SendLeave {
            room_id: room_id.to_string(),
            event_id,
            event,
            extra_query: Query::default(),
        };
        let reply = self.client.send_leave(via, request).await;
        reply.map(drop).map_err(in_vain)
    }
}
