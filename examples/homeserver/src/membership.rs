//! Joining, leaving, knocking and inviting, on the side of the server that is asked.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use comity_core::{
    api::{
        Invite, InviteReply, MakeJoin, MakeJoinReply, MakeKnock, MakeKnockReply, MakeLeave,
        MakeLeaveReply, Membership, SendJoin, SendJoinMembers, SendJoinReply, SendJoinV1,
        SendKnock, SendKnockReply, SendLeave, SendLeaveReply, SendLeaveV1,
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
        request.check_user(cx.origin())?;
        // SS: a caller that names no version speaks version 1.
        let speaks = |version: &str| request.versions.iter().any(|spoken| spoken == version);
        let template = self.template(&request.room_id, &request.user_id, Change::Join, speaks)?;
        Ok(MakeJoinReply {
            room_version: Some(template.room_version),
            event: Some(template.event),
            extra: Members::new(),
        })
    }

    async fn send_join(
        &self,
        cx: &Authenticated,
        request: SendJoin,
    ) -> Result<SendJoinReply, FederationError> {
        let (room, version) = self.room_and_version(&request.room_id)?;
        request.check(cx.origin(), Some(&*version.format))?;
        let event = request.event;
        let event = self
            .take_change(cx, &room, &version, event, Change::Join)
            .await?;
        let snapshot = Snapshot::before(&lock(&room), event.id(), Some(&event));
        let mut snapshot = snapshot.expect("an event that was added has a place");
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

    async fn send_join_v1(
        &self,
        cx: &Authenticated,
        request: SendJoinV1,
    ) -> Result<SendJoinReply, FederationError> {
        let request = SendJoin {
            room_id: request.room_id,
            event_id: request.event_id,
            event: request.event,
            omit_members: None,
            extra_query: request.extra_query,
        };
        self.send_join(cx, request).await
    }

    async fn make_leave(
        &self,
        cx: &Authenticated,
        request: MakeLeave,
    ) -> Result<MakeLeaveReply, FederationError> {
        request.check_user(cx.origin())?;
        // Who was invited was told the version, and did not have to say that it speaks it.
        let template =
            self.template(&request.room_id, &request.user_id, Change::Leave, |_| true)?;
        Ok(MakeLeaveReply {
            room_version: Some(template.room_version),
            event: Some(template.event),
            extra: Members::new(),
        })
    }

    async fn send_leave(
        &self,
        cx: &Authenticated,
        request: SendLeave,
    ) -> Result<SendLeaveReply, FederationError> {
        let (room, version) = self.room_and_version(&request.room_id)?;
        request.check(cx.origin(), Some(&*version.format))?;
        self.take_change(cx, &room, &version, request.event, Change::Leave)
            .await?;
        Ok(SendLeaveReply::default())
    }

    async fn send_leave_v1(
        &self,
        cx: &Authenticated,
        request: SendLeaveV1,
    ) -> Result<SendLeaveReply, FederationError> {
        let request = SendLeave {
            room_id: request.room_id,
            event_id: request.event_id,
            event: request.event,
            extra_query: request.extra_query,
        };
        self.send_leave(cx, request).await
    }

    async fn make_knock(
        &self,
        cx: &Authenticated,
        request: MakeKnock,
    ) -> Result<MakeKnockReply, FederationError> {
        request.check_user(cx.origin())?;
        let speaks = |version: &str| request.versions.iter().any(|spoken| spoken == version);
        let template = self.template(&request.room_id, &request.user_id, Change::Knock, speaks)?;
        Ok(MakeKnockReply {
            room_version: template.room_version,
            event: template.event,
            extra: Members::new(),
        })
    }

    async fn send_knock(
        &self,
        cx: &Authenticated,
        request: SendKnock,
    ) -> Result<SendKnockReply, FederationError> {
        let (room, version) = self.room_and_version(&request.room_id)?;
        request.check(cx.origin(), Some(&*version.format))?;
        self.take_change(cx, &room, &version, request.event, Change::Knock)
            .await?;
        let shown = lock(&room).invite_state();
        Ok(SendKnockReply::new(
            shown.iter().map(|event| event.pdu().clone()),
        ))
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
        self.keep_invitation(user, invitation);
        self.saved().await?;
        Ok(InviteReply {
            event: signed,
            extra: Members::new(),
        })
    }
}

/// What a user of another server may do with their own membership by asking a server in the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Join,
    Leave,
    Knock,
}

impl Change {
    fn membership(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Knock => "knock",
        }
    }
}

/// An event for another server to sign, and the version of the room that it is for.
struct Template {
    room_version: String,
    event: Json<serde_json::Value>,
}

impl Homeserver {
    fn room_and_version(
        &self,
        room_id: &str,
    ) -> Result<(Arc<Mutex<Room>>, Version), FederationError> {
        let room = self.room_asked_for(room_id)?;
        let version = lock(&room).version().clone();
        Ok((room, version))
    }

    /// What make_join, make_leave and make_knock have in common. `speaks` says whether the caller speaks the room's version.
    fn template(
        &self,
        room_id: &str,
        user_id: &str,
        change: Change,
        speaks: impl FnOnce(&str) -> bool,
    ) -> Result<Template, FederationError> {
        let user = UserId::parse(user_id)
            .map_err(|_| FederationError::invalid_param("`userId` is no user ID"))?;
        let room = self.room_asked_for(room_id)?;
        let room = lock(&room);
        let version = &room.version().id;
        if !speaks(version) {
            return Err(FederationError::incompatible_room_version(version));
        }
        let draft = Draft::membership(&user, &user, change.membership());
        let template = room
            .compose(&draft, now_ms())
            .map_err(|error| FederationError::internal(error.to_string()))?;
        room.check_template(&template)
            .map_err(|why| refused(&room, &user, change, &why))?;
        Ok(Template {
            room_version: version.clone(),
            event: Json::from_value(template.to_value()),
        })
    }

    /// What send_join, send_leave and send_knock have in common: the event is in the room, and the others will be told.
    async fn take_change(
        &self,
        cx: &Authenticated,
        room: &Mutex<Room>,
        version: &Version,
        event: Pdu,
        change: Change,
    ) -> Result<Arc<Event>, FederationError> {
        let event = self.check_pushed(version, event).await?;
        let user = event.sender().to_owned();
        let (room_id, event) = {
            let mut room = lock(room);
            let added = room.add(event);
            let added = added.map_err(|why| refused(&room, &user, change, &why))?;
            if let Some(why) = added.soft_failed {
                // A ban came in between, say: the event stands beside it, and nobody is to be told of it by this server.
                return Err(refused(&room, &user, change, &why.into()));
            }
            (room.id().to_owned(), added.event)
        };
        self.saved().await?;
        self.deliver_later(&room_id, event.clone(), cx.origin());
        Ok(event)
    }

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

fn refused(room: &Room, user: &UserId, change: Change, refused: &Refused) -> FederationError {
    let why = refused.to_string();
    if !matches!(refused, Refused::Unauthorized(_)) {
        return FederationError::invalid_param(why);
    }
    if change != Change::Join {
        return FederationError::forbidden(why);
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
