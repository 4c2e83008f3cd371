//! Joining a room (SS "Joining Rooms").

use crate::{
    call::{Endpoint, EventReply, MessageForm},
    endpoint::{Content, EndpointParts, PathTemplate, Query},
    error::FederationError,
    event::{EventFault, Pdu},
    json::{Json, Members, Object, ObjectWriter, ReadError},
};

/// Hands a signed join event to a server in the room.
#[derive(Clone, Debug, PartialEq)]
pub struct SendJoin {
    /// The room.
    pub room_id: String,
    /// ID of the join event.
    pub event_id: String,
    /// The join event; it is the whole content.
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
        EndpointParts {
            path: vec![self.room_id.clone(), self.event_id.clone()],
            query,
            content: Object::from_value(self.event.value()).map_or(Content::Absent, Content::Json),
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let object = parts.object()?;
        let event = Pdu::judge(object.to_value()).map_err(|fault| match fault {
            EventFault::NotAnObject => FederationError::bad_json(format!("the join event {fault}")),
            fault => FederationError::invalid_param(format!("the join event {fault}")),
        })?;
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

/// What stands beside the two arrays of events.
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
