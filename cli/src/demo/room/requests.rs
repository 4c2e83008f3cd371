//! Requests that take more than their members: a join, a knock or a leave on a template, an invite of an event of its own, keys by user and device.

use comity_core::{
    api::{
        Calls, ClaimKeys, Invite, MakeJoin, MakeKnock, MakeLeave, QueryKeys, SendJoin, SendKnock,
        SendLeave,
    },
    endpoint::Query,
    event::{Pdu, room_version::RoomVersions, sign_event},
    json::{Json, Members, Object},
};
use comity_homeserver::{Draft, Homeserver};
use ruma_common::{RoomId, UserId};
use ruma_events::StateEventType;
use serde_json::json;

use super::{
    cast::{ALGORITHM, DEVICE, value},
    large::VERSION,
};
use crate::demo::{calls::show, stage::Actor};

pub(crate) fn make_join(room: &RoomId, user: &UserId) -> MakeJoin {
    MakeJoin {
        room_id: room.to_string(),
        user_id: user.to_string(),
        versions: vec![VERSION.to_owned()],
        extra_query: Query::default(),
    }
}

/// A signed join of `user`, on the template that the resident server gives.
pub(crate) async fn send_join(
    joining: &Actor<Homeserver>,
    resident: &Actor<Homeserver>,
    room: &RoomId,
    user: &UserId,
) -> Result<SendJoin, String> {
    let reply = joining
        .client
        .make_join(resident.name(), make_join(room, user))
        .await
        .map_err(show)?;
    let template = reply.event.ok_or("the template is missing")?;
    let (event_id, event) = signed(joining, &template)?;
    Ok(SendJoin {
        room_id: room.to_string(),
        event_id,
        event,
        omit_members: None,
        extra_query: Query::default(),
    })
}

pub(crate) fn make_knock(room: &RoomId, user: &UserId) -> MakeKnock {
    MakeKnock {
        room_id: room.to_string(),
        user_id: user.to_string(),
        versions: vec!["11".to_owned(), VERSION.to_owned()],
        extra_query: Query::default(),
    }
}

/// A signed knock of `user`, on the template that the resident server gives.
pub(crate) async fn send_knock(
    joining: &Actor<Homeserver>,
    resident: &Actor<Homeserver>,
    room: &RoomId,
    user: &UserId,
) -> Result<SendKnock, String> {
    let reply = joining
        .client
        .make_knock(resident.name(), make_knock(room, user))
        .await
        .map_err(show)?;
    let (event_id, event) = signed(joining, &reply.event)?;
    Ok(SendKnock {
        room_id: room.to_string(),
        event_id,
        event,
        extra_query: Query::default(),
    })
}

pub(crate) fn make_leave(room: &RoomId, user: &UserId) -> MakeLeave {
    MakeLeave {
        room_id: room.to_string(),
        user_id: user.to_string(),
        extra_query: Query::default(),
    }
}

/// A signed leave of `user`, on the template that the resident server gives.
pub(crate) async fn send_leave(
    joining: &Actor<Homeserver>,
    resident: &Actor<Homeserver>,
    room: &RoomId,
    user: &UserId,
) -> Result<SendLeave, String> {
    let reply = joining
        .client
        .make_leave(resident.name(), make_leave(room, user))
        .await
        .map_err(show)?;
    let template = reply.event.ok_or("the template is missing")?;
    let (event_id, event) = signed(joining, &template)?;
    Ok(SendLeave {
        room_id: room.to_string(),
        event_id,
        event,
        extra_query: Query::default(),
    })
}

/// The event of a template, and its ID.
fn signed(
    joining: &Actor<Homeserver>,
    template: &Json<serde_json::Value>,
) -> Result<(String, Pdu), String> {
    let template = Object::from_value(template.value()).ok_or("the template is no object")?;
    let versions = RoomVersions::matrix();
    let version = versions.get(VERSION).expect("it is registered").rules();
    let identity = &joining.identity;
    sign_event(&**version, &template, &identity.name, &identity.key).map_err(show)
}

/// An invite of `user`, put into the inviting server's own room already.
pub(crate) fn invite(
    inviting: &Actor<Homeserver>,
    room: &RoomId,
    sender: &UserId,
    user: &UserId,
) -> Result<Invite, String> {
    let draft = Draft::membership(sender, user, "invite");
    let event = inviting.house.append(room, &draft).map_err(show)?;
    let create = inviting.house.with_room(room, |room| {
        let create = room.state().get(&StateEventType::RoomCreate, "");
        create.map(|event| event.pdu().clone())
    });
    let create = create.flatten().ok_or("the room has no create event")?;
    Ok(Invite {
        room_id: room.to_string(),
        event_id: event.id().to_string(),
        room_version: VERSION.to_owned(),
        event: event.pdu().clone(),
        invite_room_state: Some(vec![Ok(create)]),
        extra: Members::new(),
        extra_query: Query::default(),
    })
}

/// The keys of the user's device.
pub(crate) fn query_keys(user: &UserId) -> QueryKeys {
    QueryKeys {
        device_keys: json_of(&json!({user.as_str(): [DEVICE]})),
        extra: Members::new(),
        extra_query: Query::default(),
    }
}

/// One one-time key of the user's device.
pub(crate) fn claim_keys(user: &UserId) -> ClaimKeys {
    ClaimKeys {
        one_time_keys: json_of(&json!({user.as_str(): {DEVICE: ALGORITHM}})),
        extra: Members::new(),
        extra_query: Query::default(),
    }
}

fn json_of<T>(tree: &serde_json::Value) -> Json<T> {
    Json::from_value(value(tree))
}
