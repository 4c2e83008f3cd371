//! Joining and inviting, on the side of the server that is asked.

use std::collections::HashSet;

use async_trait::async_trait;
use comity_core::{
    api::{
        Invite, InviteReply, MakeJoin, MakeJoinReply, Membership, SendJoin, SendJoinMembers,
        SendJoinReply,
    },
    auth::now_ms,
    call::{Authenticated, EventReply},
    error::FederationError,
    event::{Listed, Pdu, add_signature, check_event, check_past_event},
    json::{Json, Members, Value},
};
use ruma_common::{RoomId, UserId};
use ruma_events::{StateEventType, TimelineEventType, room::member::MembershipState};

use crate::{
    Draft, Event, Homeserver, Invitation, Refused, Room, Version,
    events::{Snapshot, pdus},
    homeserver::lock,
};

/// Most events that may describe a room to an invited user.
pub const MAX_INVITE_STATE: usize = 100;

#[async_trait]
impl Membership for Homeserver {
    async fn make_join(
        &self,
        cx: &Authenticated,
        request: MakeJoin,
    ) -> Result<MakeJoinReply, FederationError> {
        let user = UserId::parse(&request.user_id)
            .map_err(|_| FederationError::invalid_param("`userId` is no user ID"))?;
        request.check_user(cx.origin())?;
        let room = self.room_asked_for(&request.room_id)?;
        let room = lock(&room);
        let version = &room.version().id;
        // SS: a caller that names no version speaks version 1.
        if !request.versions.contains(version) {
            return Err(FederationError::incompatible_room_version(version));
        }
        let draft = Draft::membership(&user, &user, "join");
        let template = room
            .compose(&draft, now_ms())
            .map_err(|error| FederationError::internal(error.to_string()))?;
        room.check_template(&template)
            .map_err(|refused| refused_join(&room, &user, &refused))?;
        Ok(MakeJoinReply {
            room_version: Some(version.clone()),
            event: Some(Json::from_value(template.to_value())),
            extra: Members::new(),
        })
    }

    async fn send_join(
        &self,
        cx: &Authenticated,
        request: SendJoin,
    ) -> Result<SendJoinReply, FederationError> {
        let room = self.room_asked_for(&request.room_id)?;
        let version = lock(&room).version().clone();
        request.check(cx.origin(), Some(&*version.format))?;
        let event = self.check_pushed(&version, request.event).await?;
        let user = event.sender().to_owned();
        let (event, mut snapshot) = {
            let mut room = lock(&room);
            let added = room.add(event);
            let added = added.map_err(|refused| refused_join(&room, &user, &refused))?;
            if let Some(why) = added.soft_failed {
                // A ban came in between, say: the join stands beside it, and nobody is to be told of it by this server.
                return Err(refused_join(&room, &user, &why.into()));
            }
            let event = added.event;
            let snapshot = Snapshot::before(&room, event.id(), Some(&event));
            let snapshot = snapshot.expect("an event that was added has a place");
            (event, snapshot)
        };
        if let Ok(room_id) = RoomId::parse(&request.room_id) {
            self.deliver_later(&room_id, event, cx.origin());
        }
        if request.omit_members == Some(true) {
            // The members are not left out, but what stands in the state need not stand in the chain as well.
            let state: HashSet<_> = snapshot.state.iter().map(|event| event.id()).collect();
            snapshot
                .auth_chain
                .retain(|event| !state.contains(event.id()));
        }
        let arrays = vec![
            ("auth_chain", pdus(snapshot.auth_chain)),
            ("state", pdus(snapshot.state)),
        ];
        let members = SendJoinMembers {
            members_omitted: Some(false),
            ..SendJoinMembers::default()
        };
        Ok(EventReply::new(arrays, members))
    }

    async fn invite(
        &self,
        cx: &Authenticated,
        request: Invite,
    ) -> Result<InviteReply, FederationError> {
        let version = self.versions.get(&request.room_version).cloned();
        let version = version
            .ok_or_else(|| FederationError::incompatible_room_version(&request.room_version))?;
        request.check(cx.origin(), self.name(), Some(&*version.format))?;
        let event = self.check_pushed(&version, request.event).await?;
        let (user, _) = event.membership().ok_or_else(|| {
            FederationError::invalid_param("the event's `state_key` is no user ID")
        })?;
        let room_state = request.invite_room_state.unwrap_or_default();
        let room_state = self
            .check_invite_state(&version, room_state, &request.room_id)
            .await?;
        let signed = add_signature(&*version.format, event.pdu(), self.name(), &self.shared.key)
            .map_err(|error| FederationError::invalid_param(error.to_string()))?;
        let room_id = RoomId::parse(&request.room_id)
            .map_err(|_| FederationError::invalid_param("`roomId` is no room ID"))?;
        let invitation = Invitation {
            room_id,
            room_version: version.id,
            event: signed.clone(),
            room_state,
            via: cx.origin().clone(),
        };
        lock(&self.shared.invitations).insert(user, invitation);
        Ok(InviteReply {
            event: signed,
            extra: Members::new(),
        })
    }
}

impl Homeserver {
    /// Checks 1 to 3 for an event that is pushed by itself.
    async fn check_pushed(&self, version: &Version, pdu: Pdu) -> Result<Event, FederationError> {
        let mut checked = self.check(version, vec![pdu], check_event).await;
        let checked = checked.pop().expect("one event gives one result");
        checked.map_err(FederationError::invalid_param)
    }

    /// What describes the room to an invited user. From room version 12 on it has to prove which room it is (SS, MSC4311): the room's ID is
    /// the hash of the create event.
    async fn check_invite_state(
        &self,
        version: &Version,
        state: Vec<Listed<Pdu>>,
        room_id: &str,
    ) -> Result<Vec<Pdu>, FederationError> {
        let invalid =
            |why: String| FederationError::invalid_param(format!("`invite_room_state` {why}"));
        if state.len() > MAX_INVITE_STATE {
            return Err(invalid(format!(
                "has {} elements, over this server's limit of {MAX_INVITE_STATE}",
                state.len()
            )));
        }
        // Older servers describe a room of an older version by stripped events, which nothing proves.
        if !version.room_id_is_hash() {
            return Ok(state.iter().flatten().map(Pdu::detached).collect());
        }
        let state: Result<Vec<Pdu>, _> = state.into_iter().collect();
        let state = state.map_err(|bad| invalid(format!("has an element that {}", bad.fault)))?;
        let mut has_create = false;
        for checked in self.check(version, state.clone(), check_past_event).await {
            let event = checked.map_err(&invalid)?;
            let id = match *event.kind() == TimelineEventType::RoomCreate {
                true => Some(event.id().as_str().replacen('$', "!", 1)),
                false => event.pdu().room_id(),
            };
            if id.as_deref() != Some(room_id) {
                return Err(invalid(format!("has {}, of another room", event.id())));
            }
            has_create |= event.is_state(&TimelineEventType::RoomCreate, "");
        }
        match has_create {
            // They are kept, and the body that they came in should not be.
            true => Ok(state.iter().map(Pdu::detached).collect()),
            false => Err(invalid("lacks the `m.room.create` event".to_owned())),
        }
    }
}

fn refused_join(room: &Room, user: &UserId, refused: &Refused) -> FederationError {
    let why = refused.to_string();
    if !matches!(refused, Refused::Unauthorized(_)) {
        return FederationError::invalid_param(why);
    }
    let member = room.state().get(&StateEventType::RoomMember, user.as_str());
    let membership = member.and_then(|event| event.membership());
    let rules = room.state().get(&StateEventType::RoomJoinRules, "");
    let rule = rules.and_then(|event| event.pdu().content()?.get("join_rule"));
    match rule.as_ref().and_then(Value::as_str).as_deref() {
        _ if membership.is_some_and(|(_, is)| is == MembershipState::Ban) => {
            FederationError::forbidden(why)
        }
        // Whether the user is in one of the rooms that it names is not looked up here.
        Some("restricted" | "knock_restricted") => {
            FederationError::new(400, "M_UNABLE_TO_AUTHORISE_JOIN", why)
        }
        _ => FederationError::forbidden(why),
    }
}
