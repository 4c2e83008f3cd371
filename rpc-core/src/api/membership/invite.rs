//! Inviting to a room (SS "Inviting to a room").

use super::{event_parts, read_event, signed_event};
use crate::{
    ServerName,
    call::{Endpoint, ListTooLong, MessageForm, Older},
    endpoint::{Content, EndpointParts, PathTemplate, Query},
    error::{CallError, FederationError},
    event::{EventFault, Listed, Pdu, listed_values},
    json::{Kind, Members, Object, ObjectWriter, ReadError, Value},
};

/// Hands a signed invite to the invited user's server, which adds its own signature.
///
/// Duties: the receiver refuses an event that is not the invite of one of its users to this room, or whose ID is not `event_id`, a room version that it
/// does not support, and an origin that the room's server ACL denies, if it is in the room. It adds its signature to the event that it was
/// given, and changes nothing else. The same invite may reach it in a transaction as well, and counts once.
#[derive(Clone, Debug, PartialEq)]
pub struct Invite {
    /// The room.
    pub room_id: String,
    /// ID of the invite event.
    pub event_id: String,
    /// The room's version.
    pub room_version: String,
    /// The invite event.
    pub event: Pdu,
    /// State that tells the invited user what room it is: full events, the create event among them, at most [`Invite::MAX_STATE`]; older servers
    /// send fewer members of each. Absent is not the same as empty: the signature covers the difference.
    pub invite_room_state: Option<Vec<Listed<Pdu>>>,
    /// Members that the operation does not know.
    pub extra: Members,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Invite {
    /// Most elements of `invite_room_state`. Servers send about ten.
    pub const MAX_STATE: usize = 1_000;
}

impl Endpoint for Invite {
    const METHOD: &'static str = "PUT";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/v2/invite/{roomId}/{eventId}");

    fn write(&self) -> EndpointParts {
        let mut object = ObjectWriter::new();
        object.string("room_version", &self.room_version);
        object.value("event", self.event.value());
        object.array_opt(
            "invite_room_state",
            self.invite_room_state
                .as_ref()
                .map(|state| listed_values(state, Pdu::value)),
        );
        object.members(&self.extra);
        EndpointParts {
            path: vec![self.room_id.clone(), self.event_id.clone()],
            query: self.extra_query.clone(),
            content: Content::Json(object.into_object()),
        }
    }

    fn check_lists(&self) -> Result<(), ListTooLong> {
        let state = self.invite_room_state.as_ref().map_or(0, Vec::len);
        ListTooLong::check("invite_room_state", state, Self::MAX_STATE)
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let object = parts.object()?;
        let mut reader = object.reader();
        reader.at_most("invite_room_state", Self::MAX_STATE)?;
        let state = reader.array_opt("invite_room_state")?;
        Ok(Self {
            room_id: parts.path_parameter(0).to_owned(),
            event_id: parts.path_parameter(1).to_owned(),
            room_version: reader.string("room_version")?,
            event: read_event("`event`", reader.object("event")?)?,
            invite_room_state: state.map(|state| Pdu::judge_all(state)),
            extra: reader.rest(),
            extra_query: parts.query.clone(),
        })
    }
}

/// The first version of handing over an invite (SS "Inviting to a room"), for rooms of version `1` or `2` alone: it does not say the version.
///
/// Duties: as those of Invite. The state that tells the invited user what room it is stands in the event, as `invite_room_state` of `unsigned`.
#[derive(Clone, Debug, PartialEq)]
pub struct InviteV1 {
    /// The room.
    pub room_id: String,
    /// ID of the invite event.
    pub event_id: String,
    /// The invite event, signed by the origin.
    pub event: Pdu,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl InviteV1 {
    /// The event with this state in its `unsigned`, for [`event`](Self::event). No signature or hash covers that.
    ///
    /// # Errors
    /// The event becomes too large.
    pub fn event_with_state(event: &Pdu, state: &[Listed<Pdu>]) -> Result<Pdu, EventFault> {
        let event = event.object();
        let unsigned = event.object("unsigned").unwrap_or_default();
        let state = Value::array(listed_values(state, Pdu::value));
        let unsigned = unsigned.with_member("invite_room_state", &state);
        let event = event.with_member("unsigned", &unsigned.to_value());
        Pdu::judge(event.to_value())
    }

    /// State that tells the invited user what room it is, taken out of the event: at most [`Invite::MAX_STATE`] events. Absent is not the same as
    /// empty.
    ///
    /// # Errors
    /// It is no array, or has too many elements.
    pub fn invite_room_state(&self) -> Result<Option<Vec<Listed<Pdu>>>, ReadError> {
        let Some(unsigned) = self.event.object().object("unsigned") else {
            return Ok(None);
        };
        let mut reader = unsigned.reader();
        reader.at_most("invite_room_state", Invite::MAX_STATE)?;
        let state = reader.array_opt("invite_room_state")?;
        Ok(state.map(|state| Pdu::judge_all(state)))
    }
}

impl Endpoint for InviteV1 {
    const METHOD: &'static str = "PUT";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/v1/invite/{roomId}/{eventId}");
    const REPLY_IN_TUPLE: bool = true;

    fn write(&self) -> EndpointParts {
        let query = self.extra_query.clone();
        event_parts(&self.room_id, &self.event_id, &self.event, query)
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            room_id: parts.path_parameter(0).to_owned(),
            event_id: parts.path_parameter(1).to_owned(),
            event: signed_event("the invite event", parts)?,
            extra_query: parts.query.clone(),
        })
    }
}

impl Older for Invite {
    type Older = InviteV1;

    /// None for a room of another version than `1` and `2`, as whoever is invited would take it for one of these; none if the event with the
    /// state in it is too large.
    fn older(&self, _: &ServerName) -> Option<InviteV1> {
        if !matches!(self.room_version.as_str(), "1" | "2") {
            return None;
        }
        let event = match &self.invite_room_state {
            Some(state) => InviteV1::event_with_state(&self.event, state).ok()?,
            None => self.event.clone(),
        };
        Some(InviteV1 {
            room_id: self.room_id.clone(),
            event_id: self.event_id.clone(),
            event,
            extra_query: self.extra_query.clone(),
        })
    }

    fn newer(reply: InviteReply) -> Result<InviteReply, CallError> {
        Ok(reply)
    }
}

/// The invite event with the invited user's server's signature beside the inviting one's.
#[derive(Clone, Debug, PartialEq)]
pub struct InviteReply {
    /// The event.
    pub event: Pdu,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl MessageForm for InviteReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.value("event", self.event.value());
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        let event = Pdu::judge(reader.object("event")?).map_err(|_| {
            let expected = "an event within the limits of size and depth";
            ReadError::wrong_type("event", expected, Kind::Object)
        })?;
        Ok(Self {
            event,
            extra: reader.rest(),
        })
    }
}
