//! Inviting a user of another server, and being invited (SS "Inviting to a room").

use std::{collections::BTreeMap, sync::Arc};

use comity_core::{
    ServerName,
    api::{Calls, Invite},
    auth::now_ms,
    endpoint::Query,
    event::Pdu,
    json::Members,
};
use ruma_common::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use ruma_events::StateEventType;

use crate::{
    ActionError, Draft, Event, Homeserver, Refused, Room, Sent,
    homeserver::lock,
    storage::{put_invitation, remove_invitation},
};

/// Most invitations that are kept. Beyond it, the server of which most are kept loses its oldest one.
pub const MAX_INVITATIONS: usize = 2_000;

/// Most invitations of one server that are kept. Beyond it, it loses its oldest one.
pub const MAX_INVITATIONS_OF_ONE: usize = 500;

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

/// The invitations of all our users.
///
/// Who is a user is not asked: a stranger to this server may become one. So no server can use up the places of the others.
#[derive(Default)]
pub(crate) struct Invitations {
    /// With the order in which they came.
    kept: BTreeMap<(OwnedUserId, OwnedRoomId), (u64, Invitation)>,
    count: u64,
}

impl Invitations {
    /// Keeps one, and gives its place in the order and whose had to go for it.
    pub(crate) fn insert(
        &mut self,
        user: OwnedUserId,
        invitation: Invitation,
    ) -> (u64, Option<(OwnedUserId, OwnedRoomId)>) {
        let via = invitation.via.clone();
        let place = (user, invitation.room_id.clone());
        self.count += 1;
        self.kept.insert(place, (self.count, invitation));
        let of_each = self.of_each();
        let forgotten = if of_each
            .get(&via)
            .is_some_and(|count| *count > MAX_INVITATIONS_OF_ONE)
        {
            self.forget_oldest(&via)
        } else if self.kept.len() > MAX_INVITATIONS
            && let Some((most, _)) = of_each.into_iter().max_by_key(|(_, count)| *count)
        {
            self.forget_oldest(&most)
        } else {
            None
        };
        (self.count, forgotten)
    }

    /// Puts one back in its place.
    pub(crate) fn restore(&mut self, order: u64, user: OwnedUserId, invitation: Invitation) {
        self.count = self.count.max(order);
        let place = (user, invitation.room_id.clone());
        self.kept.insert(place, (order, invitation));
    }

    fn of_each(&self) -> BTreeMap<ServerName, usize> {
        let mut of_each = BTreeMap::new();
        for (_, invitation) in self.kept.values() {
            *of_each.entry(invitation.via.clone()).or_default() += 1;
        }
        of_each
    }

    fn forget_oldest(&mut self, via: &ServerName) -> Option<(OwnedUserId, OwnedRoomId)> {
        let of_server = self
            .kept
            .iter()
            .filter(|(_, (_, invitation))| invitation.via == *via);
        let oldest = of_server.min_by_key(|(_, (order, _))| *order);
        let place = oldest.map(|(place, _)| place.clone())?;
        self.kept.remove(&place);
        Some(place)
    }
}

impl Room {
    /// The state that an invited user is shown (SS "Inviting to a room"): what names the room, the create event first.
    pub(crate) fn invite_state(&self) -> Vec<Arc<Event>> {
        const SHOWN: [StateEventType; 7] = [
            StateEventType::RoomCreate,
            StateEventType::RoomJoinRules,
            StateEventType::RoomName,
            StateEventType::RoomTopic,
            StateEventType::RoomAvatar,
            StateEventType::RoomCanonicalAlias,
            StateEventType::RoomEncryption,
        ];
        let shown = SHOWN.iter().filter_map(|kind| self.state().get(kind, ""));
        shown.cloned().collect()
    }
}

impl Homeserver {
    /// The invitations of one of our users.
    pub fn invitations(&self, user: &UserId) -> Vec<Invitation> {
        let invitations = lock(&self.shared.invitations);
        let kept = invitations.kept.iter();
        let of_user = kept.filter(|((invited, _), _)| invited == user);
        of_user
            .map(|(_, (_, invitation))| invitation.clone())
            .collect()
    }

    pub(crate) fn keep_invitation(&self, user: OwnedUserId, invitation: Invitation) {
        let mut invitations = lock(&self.shared.invitations);
        let (order, forgotten) = invitations.insert(user.clone(), invitation.clone());
        self.record(|| put_invitation(user, order, &invitation));
        if let Some((user, room)) = forgotten {
            self.record(|| remove_invitation(user, room));
        }
    }

    pub(crate) fn forget_invitation(&self, user: &UserId, room: &RoomId) {
        let place = (user.to_owned(), room.to_owned());
        let mut invitations = lock(&self.shared.invitations);
        if let Some(((user, room), _)) = invitations.kept.remove_entry(&place) {
            self.record(|| remove_invitation(user, room));
        }
    }

    /// Invites a user. The user's server signs the invite before it is put into the room, so that nobody is invited who cannot know of it.
    ///
    /// # Errors
    /// The invite has no place in the room, or not any more when the answer came; or the user's server does not sign it.
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
        let signed = self
            .countersigned(&version, &event, &server, &reply.event)
            .await
            .map_err(bad)?;
        let added = lock(&room).add(signed)?;
        if let Some(why) = added.soft_failed {
            return Err(Refused::from(why).into());
        }
        self.saved().await?;
        let event = added.event;
        let deliveries = self.deliver(room_id, &[Arc::clone(&event)]).await;
        Ok(Sent { event, deliveries })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use comity_core::json::Value;

    use super::*;

    /// An invitation of the user with this number, sent by this server.
    fn invite(invitations: &mut Invitations, via: &str, number: usize) {
        let invitation = Invitation {
            room_id: RoomId::parse(format!("!room:{via}")).unwrap(),
            room_version: "11".to_owned(),
            event: Pdu::judge(Value::parse("{}".into(), 2).unwrap()).unwrap(),
            room_state: Vec::new(),
            via: via.parse().unwrap(),
        };
        invitations.insert(user(number), invitation);
    }

    fn user(number: usize) -> OwnedUserId {
        UserId::parse(format!("@user{number}:invited.example")).unwrap()
    }

    fn users_invited_by(invitations: &Invitations, via: &str) -> Vec<OwnedUserId> {
        let kept = invitations.kept.iter();
        let kept = kept.filter(|(_, (_, invitation))| invitation.via.as_str() == via);
        kept.map(|((user, _), _)| user.clone()).collect()
    }

    #[test]
    fn a_server_that_invites_too_many_loses_its_own_oldest_invitation() {
        let mut invitations = Invitations::default();
        invite(&mut invitations, "quiet.example", 0);
        for number in 0..=MAX_INVITATIONS_OF_ONE {
            invite(&mut invitations, "loud.example", number);
        }
        let of_loud = users_invited_by(&invitations, "loud.example");
        assert_eq!(of_loud.len(), MAX_INVITATIONS_OF_ONE);
        assert!(!of_loud.contains(&user(0)));
        assert!(of_loud.contains(&user(MAX_INVITATIONS_OF_ONE)));
        assert_eq!(users_invited_by(&invitations, "quiet.example"), [user(0)]);
    }

    #[test]
    fn many_servers_together_do_not_push_out_the_invitation_of_another() {
        let mut invitations = Invitations::default();
        invite(&mut invitations, "quiet.example", 0);
        for server in 0..=MAX_INVITATIONS / MAX_INVITATIONS_OF_ONE {
            for number in 0..MAX_INVITATIONS_OF_ONE {
                invite(&mut invitations, &format!("loud{server}.example"), number);
            }
        }
        assert_eq!(invitations.kept.len(), MAX_INVITATIONS);
        assert_eq!(users_invited_by(&invitations, "quiet.example"), [user(0)]);
    }
}
