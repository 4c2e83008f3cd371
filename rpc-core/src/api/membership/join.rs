//! Joining a room (SS "Joining Rooms").

use super::{event_parts, signed_event};
use crate::{
    ServerName,
    call::{Endpoint, EventReply, MessageForm, Older},
    endpoint::{Content, EndpointParts, PathTemplate, Query},
    error::{CallError, FederationError},
    event::Pdu,
    json::{Json, Members, Object, ObjectWriter, ReadError},
};

/// Asks a server in the room for a join event to fill in and sign.
///
/// Duties: the receiver refuses a user who is not of the origin, and an origin that the room's server ACL denies. The caller signs
/// nothing unseen: room, sender, state key, type and membership of the template have to be those of the join that it asked for, and the
/// room's version one that it supports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MakeJoin {
    /// The room.
    pub room_id: String,
    /// Who wants to join: a user of the caller.
    pub user_id: String,
    /// Room versions that the caller supports. None stands for `1` alone.
    pub versions: Vec<String>,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for MakeJoin {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/v1/make_join/{roomId}/{userId}");

    fn write(&self) -> EndpointParts {
        let mut query = Query::new();
        for version in &self.versions {
            query.push("ver", version);
        }
        query.extend(&self.extra_query);
        EndpointParts {
            path: vec![self.room_id.clone(), self.user_id.clone()],
            query,
            content: Content::Absent,
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let mut extra_query = parts.query.clone();
        Ok(Self {
            room_id: parts.path_parameter(0).to_owned(),
            user_id: parts.path_parameter(1).to_owned(),
            versions: extra_query.take_all("ver"),
            extra_query,
        })
    }
}

/// What to make the join event from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MakeJoinReply {
    /// The room's version; `1` if absent.
    pub room_version: Option<String>,
    /// The template: an event without hashes and signatures. The caller checks it before it signs.
    pub event: Option<Json<serde_json::Value>>,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl MessageForm for MakeJoinReply {
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
            room_version: reader.string_opt("room_version")?,
            event: reader.object_opt("event")?.map(Json::from_value),
            extra: reader.rest(),
        })
    }
}

/// Hands a signed join event to a server in the room.
///
/// Duties: the receiver refuses an event that is not the join of a user of the origin to this room, or whose ID is not `event_id`, and an origin
/// that the room's server ACL denies; it checks the event as any other, and passes it on to the room's servers.
///
/// The caller trusts nothing that it is given: it verifies every event of both lists anew, and leaves out those that fail alone. With
/// members omitted, an event of the state need not stand in the auth chain as well, so what it builds on is the union of the two. A join that
/// names the user who grants it goes to that user's server, whose signature it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct SendJoin {
    /// The room.
    pub room_id: String,
    /// ID of the join event.
    pub event_id: String,
    /// The join event, signed by the origin.
    pub event: Pdu,
    /// Whether membership events that are not needed may be left out of the state.
    pub omit_members: Option<bool>,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl SendJoin {
    /// Arrays of the reply: the auth chain of the state, and the state before the join.
    pub const ARRAYS: &'static [&'static str] = &["auth_chain", "state"];
}

impl Endpoint for SendJoin {
    const METHOD: &'static str = "PUT";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/v2/send_join/{roomId}/{eventId}");

    fn write(&self) -> EndpointParts {
        let mut query = Query::default();
        if let Some(omit) = self.omit_members {
            query.push("omit_members", if omit { "true" } else { "false" });
        }
        query.extend(&self.extra_query);
        event_parts(&self.room_id, &self.event_id, &self.event, query)
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let event = signed_event("the join event", parts)?;
        let mut extra_query = parts.query.clone();
        Ok(Self {
            room_id: parts.path_parameter(0).to_owned(),
            event_id: parts.path_parameter(1).to_owned(),
            event,
            omit_members: extra_query.take_boolean("omit_members")?,
            extra_query,
        })
    }
}

/// The first version of handing over a join event (SS "Joining Rooms", up to v1.17). Servers that lack the second still take it.
///
/// Duties: as those of SendJoin.
#[derive(Clone, Debug, PartialEq)]
pub struct SendJoinV1 {
    /// The room.
    pub room_id: String,
    /// ID of the join event.
    pub event_id: String,
    /// The join event, signed by the origin.
    pub event: Pdu,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl SendJoinV1 {
    /// Arrays of the reply: the auth chain of the state, and the state before the join.
    pub const ARRAYS: &'static [&'static str] = SendJoin::ARRAYS;
}

impl Endpoint for SendJoinV1 {
    const METHOD: &'static str = "PUT";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/v1/send_join/{roomId}/{eventId}");
    const REPLY_IN_TUPLE: bool = true;

    fn write(&self) -> EndpointParts {
        let query = self.extra_query.clone();
        event_parts(&self.room_id, &self.event_id, &self.event, query)
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            room_id: parts.path_parameter(0).to_owned(),
            event_id: parts.path_parameter(1).to_owned(),
            event: signed_event("the join event", parts)?,
            extra_query: parts.query.clone(),
        })
    }
}

impl Older for SendJoin {
    type Older = SendJoinV1;

    fn older(&self, _: &ServerName) -> Option<SendJoinV1> {
        // Nothing is left out of the first version's state.
        Some(SendJoinV1 {
            room_id: self.room_id.clone(),
            event_id: self.event_id.clone(),
            event: self.event.clone(),
            extra_query: self.extra_query.clone(),
        })
    }

    fn newer(reply: SendJoinReply) -> Result<SendJoinReply, CallError> {
        Ok(reply)
    }
}

/// What stands beside the two arrays of events. Of the first version's, the specification knew none; servers send them all the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SendJoinMembers {
    /// The join event with the resident server's signature, if that was needed.
    pub event: Option<Json<serde_json::Value>>,
    /// Whether membership events were left out.
    pub members_omitted: Option<bool>,
    /// Servers in the room, if membership events were left out.
    pub servers_in_room: Option<Vec<String>>,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl MessageForm for SendJoinMembers {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.value_opt("event", self.event.as_ref().map(Json::value));
        object.boolean_opt("members_omitted", self.members_omitted);
        object.strings_opt(
            "servers_in_room",
            self.servers_in_room
                .as_ref()
                .map(|servers| servers.iter().map(String::as_str)),
        );
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            event: reader.object_opt("event")?.map(Json::from_value),
            members_omitted: reader.boolean_opt("members_omitted")?,
            servers_in_room: reader.strings_opt("servers_in_room")?,
            extra: reader.rest(),
        })
    }
}

/// The room's state and auth chain, streamed, and what stands beside them.
pub type SendJoinReply = EventReply<SendJoinMembers>;
