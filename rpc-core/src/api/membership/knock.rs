//! Knocking upon a room: asking to be invited (SS "Knocking upon a room").

use super::{event_parts, signed_event};
use crate::{
    call::{Endpoint, MessageForm},
    endpoint::{Content, EndpointParts, PathTemplate, Query},
    error::FederationError,
    event::{Listed, Pdu, listed_values},
    json::{Json, Members, Object, ObjectWriter, ReadError},
};

/// Asks a server in the room for a knock event to fill in and sign (SS "Knocking upon a room"). Room versions from `7` on know knocks.
///
/// Duties: the receiver refuses a user who is not of the origin, and an origin that the room's server ACL denies. The caller signs
/// nothing unseen: room, sender, state key, type and membership of the template have to be those of the knock that it asked for, and the
/// room's version one that it supports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MakeKnock {
    /// The room.
    pub room_id: String,
    /// Who wants to knock: a user of the caller.
    pub user_id: String,
    /// Room versions that the caller supports: at least one.
    pub versions: Vec<String>,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for MakeKnock {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/v1/make_knock/{roomId}/{userId}");
    const REQUIRED_QUERY: &'static [&'static str] = &["ver"];

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
            versions: extra_query.require_all("ver")?,
            extra_query,
        })
    }
}

/// What to make the knock event from.
#[derive(Clone, Debug, PartialEq)]
pub struct MakeKnockReply {
    /// The room's version.
    pub room_version: String,
    /// The template: an event without hashes and signatures. The caller checks it before it signs.
    pub event: Json<serde_json::Value>,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl MessageForm for MakeKnockReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.string("room_version", &self.room_version);
        object.value("event", self.event.value());
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            room_version: reader.string("room_version")?,
            event: Json::from_value(reader.object("event")?),
            extra: reader.rest(),
        })
    }
}

/// Hands a signed knock event to a server in the room (SS "Knocking upon a room").
///
/// Duties: the receiver refuses an event that is not the knock of a user of the origin on this room, or whose ID is not `event_id`, and an
/// origin that the room's server ACL denies; it checks the event as any other, and passes it on to the room's servers.
#[derive(Clone, Debug, PartialEq)]
pub struct SendKnock {
    /// The room.
    pub room_id: String,
    /// ID of the knock event.
    pub event_id: String,
    /// The knock event, signed by the origin.
    pub event: Pdu,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for SendKnock {
    const METHOD: &'static str = "PUT";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/v1/send_knock/{roomId}/{eventId}");

    fn write(&self) -> EndpointParts {
        let query = self.extra_query.clone();
        event_parts(&self.room_id, &self.event_id, &self.event, query)
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            room_id: parts.path_parameter(0).to_owned(),
            event_id: parts.path_parameter(1).to_owned(),
            event: signed_event("the knock event", parts)?,
            extra_query: parts.query.clone(),
        })
    }
}

/// What the knocking user may be told of the room.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SendKnockReply {
    /// State that tells the user what room it is: full events, the create event among them; older servers send fewer members of each. The
    /// caller leaves out those that fail its checks.
    pub knock_room_state: Vec<Listed<Pdu>>,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl SendKnockReply {
    /// A reply of well-formed events.
    pub fn new(state: impl IntoIterator<Item = Pdu>) -> Self {
        Self {
            knock_room_state: state.into_iter().map(Ok).collect(),
            extra: Members::new(),
        }
    }
}

impl MessageForm for SendKnockReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        let state = listed_values(&self.knock_room_state, Pdu::value);
        object.array("knock_room_state", state);
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            knock_room_state: Pdu::judge_all(reader.array("knock_room_state")?),
            extra: reader.rest(),
        })
    }
}
