//! Leaving a room by a server that is in it: giving up an invite or a knock (SS "Leaving Rooms (Rejecting Invites)").

use super::{event_parts, signed_event};
use crate::{
    ServerName,
    api::NoMembers,
    call::{Endpoint, MessageForm, Older},
    endpoint::{Content, EndpointParts, PathTemplate, Query},
    error::{CallError, FederationError},
    event::Pdu,
    json::{Json, Members, Object, ObjectWriter, ReadError},
};

/// Asks a server in the room for a leave event to fill in and sign (SS "Leaving Rooms (Rejecting Invites)"): to reject an invite or to take back
/// a knock, when the caller is not in the room itself.
///
/// Duties: the receiver refuses a user who is not of the origin, and an origin that the room's server ACL denies. The caller signs
/// nothing unseen: room, sender, state key, type and membership of the template have to be those of the leave that it asked for, and the
/// room's version one that it supports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MakeLeave {
    /// The room.
    pub room_id: String,
    /// Who wants to leave: a user of the caller.
    pub user_id: String,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for MakeLeave {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/v1/make_leave/{roomId}/{userId}");

    fn write(&self) -> EndpointParts {
        EndpointParts {
            path: vec![self.room_id.clone(), self.user_id.clone()],
            query: self.extra_query.clone(),
            content: Content::Absent,
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            room_id: parts.path_parameter(0).to_owned(),
            user_id: parts.path_parameter(1).to_owned(),
            extra_query: parts.query.clone(),
        })
    }
}

/// What to make the leave event from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MakeLeaveReply {
    /// The room's version; `1` or `2`, which write events alike, if absent.
    pub room_version: Option<String>,
    /// The template: an event without hashes and signatures. The caller checks it before it signs.
    pub event: Option<Json<serde_json::Value>>,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl MessageForm for MakeLeaveReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.string_opt("room_version", self.room_version.as_deref());
        object.value_opt("event", self.event.as_ref().map(Json::value));
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            // Servers built on ruma write `null` for a version that they do not name; it stays among the unknown members.
            room_version: reader.try_string("room_version"),
            event: reader.object_opt("event")?.map(Json::from_value),
            extra: reader.rest(),
        })
    }
}

/// Hands a signed leave event to a server in the room (SS "Leaving Rooms (Rejecting Invites)").
///
/// Duties: the receiver refuses an event that is not the leave of a user of the origin from this room, or whose ID is not `event_id`, and an
/// origin that the room's server ACL denies; it checks the event as any other, and passes it on to the room's servers. The event's depth is
/// not to be trusted.
#[derive(Clone, Debug, PartialEq)]
pub struct SendLeave {
    /// The room.
    pub room_id: String,
    /// ID of the leave event.
    pub event_id: String,
    /// The leave event, signed by the origin.
    pub event: Pdu,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for SendLeave {
    const METHOD: &'static str = "PUT";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/v2/send_leave/{roomId}/{eventId}");

    fn write(&self) -> EndpointParts {
        let query = self.extra_query.clone();
        event_parts(&self.room_id, &self.event_id, &self.event, query)
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            room_id: parts.path_parameter(0).to_owned(),
            event_id: parts.path_parameter(1).to_owned(),
            event: signed_event("the leave event", parts)?,
            extra_query: parts.query.clone(),
        })
    }
}

/// The first version of handing over a leave event (SS "Leaving Rooms (Rejecting Invites)", up to v1.17). Servers that lack the second still
/// take it.
///
/// Duties: as those of SendLeave.
#[derive(Clone, Debug, PartialEq)]
pub struct SendLeaveV1 {
    /// The room.
    pub room_id: String,
    /// ID of the leave event.
    pub event_id: String,
    /// The leave event, signed by the origin.
    pub event: Pdu,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for SendLeaveV1 {
    const METHOD: &'static str = "PUT";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/v1/send_leave/{roomId}/{eventId}");
    const REPLY_IN_TUPLE: bool = true;

    fn write(&self) -> EndpointParts {
        let query = self.extra_query.clone();
        event_parts(&self.room_id, &self.event_id, &self.event, query)
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            room_id: parts.path_parameter(0).to_owned(),
            event_id: parts.path_parameter(1).to_owned(),
            event: signed_event("the leave event", parts)?,
            extra_query: parts.query.clone(),
        })
    }
}

impl Older for SendLeave {
    type Older = SendLeaveV1;

    fn older(&self, _: &ServerName) -> Option<SendLeaveV1> {
        Some(SendLeaveV1 {
            room_id: self.room_id.clone(),
            event_id: self.event_id.clone(),
            event: self.event.clone(),
            extra_query: self.extra_query.clone(),
        })
    }

    fn newer(reply: SendLeaveReply) -> Result<SendLeaveReply, CallError> {
        Ok(reply)
    }
}

/// The leave was taken. Nothing else is said.
pub type SendLeaveReply = NoMembers;
