//! Pulling events and state (SS "Retrieving events", "Backfilling and retrieving missing events").

use crate::{
    call::{Endpoint, EventReply, MessageForm},
    endpoint::{Content, EndpointParts, PathTemplate, Query, TrailingSlash},
    error::FederationError,
    event::{Listed, Pdu, listed_values},
    json::{Members, Object, ObjectWriter, ReadError},
};

/// Asks for one event.
///
/// Duties: the caller checks the event, also that it is the one asked for. Of a room that the origin may not see in full, the receiver may give
/// it redacted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetEvent {
    /// The event.
    pub event_id: String,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for GetEvent {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/event/{eventId}");
    const TRAILING_SLASH: TrailingSlash = TrailingSlash::Accept;

    fn write(&self) -> EndpointParts {
        EndpointParts {
            path: vec![self.event_id.clone()],
            query: self.extra_query.clone(),
            content: Content::Absent,
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            event_id: parts.path_parameter(0).to_owned(),
            extra_query: parts.query.clone(),
        })
    }
}

/// One event, in the form of a transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GetEventReply {
    /// Who answers. Says nothing that the caller does not know.
    pub origin: Option<String>,
    /// When it was answered, in milliseconds since the Unix epoch.
    pub origin_server_ts: Option<i64>,
    /// The event: one element.
    pub pdus: Vec<Listed<Pdu>>,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl GetEventReply {
    /// A reply of this event.
    pub fn new(origin: &crate::ServerName, origin_server_ts: i64, event: Pdu) -> Self {
        Self {
            origin: Some(origin.to_string()),
            origin_server_ts: Some(origin_server_ts),
            pdus: vec![Ok(event)],
            extra: Members::new(),
        }
    }
}

impl MessageForm for GetEventReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.string_opt("origin", self.origin.as_deref());
        object.integer_opt("origin_server_ts", self.origin_server_ts);
        object.array("pdus", listed_values(&self.pdus, Pdu::value));
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            // As in a transaction: of another type, they trouble nobody and stay among the unknown members.
            origin: reader.try_string("origin"),
            origin_server_ts: reader.try_integer("origin_server_ts"),
            pdus: Pdu::judge_all(reader.array("pdus")?),
            extra: reader.rest(),
        })
    }
}

/// Asks for the events of a room's state before an event.
///
/// Duties: the receiver refuses an origin that the room's server ACL denies. The caller checks every event that it is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetState {
    /// The room.
    pub room_id: String,
    /// The event; the state is that before it.
    pub event_id: String,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl GetState {
    /// Arrays of the reply: the auth chain of the state, and the state.
    pub const ARRAYS: &'static [&'static str] = &["auth_chain", "pdus"];
}

impl Endpoint for GetState {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/state/{roomId}");
    const TRAILING_SLASH: TrailingSlash = TrailingSlash::Accept;
    const REQUIRED_QUERY: &'static [&'static str] = &["event_id"];

    fn write(&self) -> EndpointParts {
        state_parts(&self.room_id, &self.event_id, &self.extra_query)
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let (room_id, event_id, extra_query) = read_state(parts)?;
        Ok(Self {
            room_id,
            event_id,
            extra_query,
        })
    }
}

/// The state and its auth chain, streamed in no particular order, and what stands beside them.
pub type GetStateReply = EventReply<NoMembers>;

/// Asks for the IDs of the events of a room's state before an event.
///
/// Duties: the receiver refuses an origin that the room's server ACL denies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetStateIds {
    /// The room.
    pub room_id: String,
    /// The event; the state is that before it.
    pub event_id: String,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl GetStateIds {
    /// Arrays of the reply: IDs of the auth chain of the state, and of the state.
    pub const ARRAYS: &'static [&'static str] = &["auth_chain_ids", "pdu_ids"];
}

impl Endpoint for GetStateIds {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/state_ids/{roomId}");
    const TRAILING_SLASH: TrailingSlash = TrailingSlash::Accept;
    const REQUIRED_QUERY: &'static [&'static str] = &["event_id"];

    fn write(&self) -> EndpointParts {
        state_parts(&self.room_id, &self.event_id, &self.extra_query)
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let (room_id, event_id, extra_query) = read_state(parts)?;
        Ok(Self {
            room_id,
            event_id,
            extra_query,
        })
    }
}

/// IDs of the state and of its auth chain, streamed in no particular order, and what stands beside them.
pub type GetStateIdsReply = EventReply<NoMembers, String>;

fn state_parts(room_id: &str, event_id: &str, extra_query: &Query) -> EndpointParts {
    let mut query = Query::new();
    query.push("event_id", event_id);
    query.extend(extra_query);
    EndpointParts {
        path: vec![room_id.to_owned()],
        query,
        content: Content::Absent,
    }
}

/// Room, event and what is left of the query.
fn read_state(parts: &EndpointParts) -> Result<(String, String, Query), FederationError> {
    let mut extra_query = parts.query.clone();
    let event_id = extra_query.require("event_id")?;
    Ok((parts.path_parameter(0).to_owned(), event_id, extra_query))
}

/// Nothing that the operation knows, in a reply or beside its arrays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NoMembers {
    /// Members that the operation does not know.
    pub extra: Members,
}

impl MessageForm for NoMembers {
    fn write(&self) -> Object {
        self.extra.to_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        Ok(Self {
            extra: Members::from_object(object),
        })
    }
}

/// Asks for the whole auth chain of an event (SS "Retrieving event authorization information").
///
/// Duties: the receiver refuses an origin that the room's server ACL denies. The caller checks every event that it is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetEventAuth {
    /// The room.
    pub room_id: String,
    /// The event.
    pub event_id: String,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl GetEventAuth {
    /// Arrays of the reply: the auth chain.
    pub const ARRAYS: &'static [&'static str] = &["auth_chain"];
}

impl Endpoint for GetEventAuth {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/v1/event_auth/{roomId}/{eventId}");

    fn write(&self) -> EndpointParts {
        EndpointParts {
            path: vec![self.room_id.clone(), self.event_id.clone()],
            query: self.extra_query.clone(),
            content: Content::Absent,
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            room_id: parts.path_parameter(0).to_owned(),
            event_id: parts.path_parameter(1).to_owned(),
            extra_query: parts.query.clone(),
        })
    }
}

/// The auth chain, streamed in no particular order, and what stands beside it.
pub type GetEventAuthReply = EventReply<NoMembers>;

/// Asks for events before the given ones, themselves included.
///
/// Duties: the receiver refuses an origin that the room's server ACL denies, and gives the events asked from as well as those before them. The
/// caller checks every event that it is given; old ones may have more than 20 events before them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backfill {
    /// The room.
    pub room_id: String,
    /// Event IDs to walk back from: at least one.
    pub from: Vec<String>,
    /// Most events to give, any integer of 64 bits; receivers cap it, usually at 100. What 0 and less mean is the receiver's affair.
    pub limit: i64,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Backfill {
    /// Arrays of the reply: the events.
    pub const ARRAYS: &'static [&'static str] = &["pdus"];
}

impl Endpoint for Backfill {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/backfill/{roomId}");
    const TRAILING_SLASH: TrailingSlash = TrailingSlash::Accept;
    const REQUIRED_QUERY: &'static [&'static str] = &["v"];

    fn write(&self) -> EndpointParts {
        let mut query = Query::new();
        for event_id in &self.from {
            query.push("v", event_id);
        }
        query.push("limit", self.limit.to_string());
        query.extend(&self.extra_query);
        EndpointParts {
            path: vec![self.room_id.clone()],
            query,
            content: Content::Absent,
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let mut extra_query = parts.query.clone();
        Ok(Self {
            room_id: parts.path_parameter(0).to_owned(),
            from: extra_query.require_all("v")?,
            limit: extra_query.require_integer("limit")?,
            extra_query,
        })
    }
}

/// What stands beside the events of a backfill.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackfillMembers {
    /// Who answers. Says nothing that the caller does not know.
    pub origin: Option<String>,
    /// When it was answered, in milliseconds since the Unix epoch.
    pub origin_server_ts: Option<i64>,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl MessageForm for BackfillMembers {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.string_opt("origin", self.origin.as_deref());
        object.integer_opt("origin_server_ts", self.origin_server_ts);
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            origin: reader.try_string("origin"),
            origin_server_ts: reader.try_integer("origin_server_ts"),
            extra: reader.rest(),
        })
    }
}

/// The events, streamed, and what stands beside them.
pub type BackfillReply = EventReply<BackfillMembers>;

/// Asks for the events between those the caller has and those it was told of.
///
/// Duties: the receiver refuses an origin that the room's server ACL denies. The caller checks every event that it is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GetMissingEvents {
    /// The room.
    pub room_id: String,
    /// Latest event IDs that the caller has; the walk stops there.
    pub earliest_events: Vec<String>,
    /// Event IDs to walk back from. They are not part of the reply.
    pub latest_events: Vec<String>,
    /// Most events to give. 10 if absent; receivers cap it.
    pub limit: Option<i64>,
    /// Least depth of an event to give. 0 if absent.
    pub min_depth: Option<i64>,
    /// Members that the operation does not know.
    pub extra: Members,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for GetMissingEvents {
    const METHOD: &'static str = "POST";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/v1/get_missing_events/{roomId}");

    fn write(&self) -> EndpointParts {
        let mut object = ObjectWriter::new();
        object.strings(
            "earliest_events",
            self.earliest_events.iter().map(String::as_str),
        );
        object.strings(
            "latest_events",
            self.latest_events.iter().map(String::as_str),
        );
        object.integer_opt("limit", self.limit);
        object.integer_opt("min_depth", self.min_depth);
        object.members(&self.extra);
        EndpointParts {
            path: vec![self.room_id.clone()],
            query: self.extra_query.clone(),
            content: Content::Json(object.into_object()),
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let object = parts.object()?;
        let mut reader = object.reader();
        Ok(Self {
            room_id: parts.path_parameter(0).to_owned(),
            earliest_events: reader.strings("earliest_events")?,
            latest_events: reader.strings("latest_events")?,
            limit: reader.integer_opt("limit")?,
            min_depth: reader.integer_opt("min_depth")?,
            extra: reader.rest(),
            extra_query: parts.query.clone(),
        })
    }
}

/// The missing events. One that is malformed spoils no other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GetMissingEventsReply {
    /// The events, in no particular order.
    pub events: Vec<Listed<Pdu>>,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl GetMissingEventsReply {
    /// A reply of well-formed events.
    pub fn new(events: impl IntoIterator<Item = Pdu>) -> Self {
        Self {
            events: events.into_iter().map(Ok).collect(),
            extra: Members::new(),
        }
    }
}

impl MessageForm for GetMissingEventsReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.array("events", listed_values(&self.events, Pdu::value));
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            events: Pdu::judge_all(reader.array("events")?),
            extra: reader.rest(),
        })
    }
}
