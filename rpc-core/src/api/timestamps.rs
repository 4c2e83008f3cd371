//! Finding an event by its time (SS "Retrieving events").

use crate::{
    call::{Endpoint, MessageForm},
    endpoint::{Content, EndpointParts, PathTemplate, Query, TrailingSlash},
    error::FederationError,
    json::{Members, Object, ObjectWriter, ReadError},
};

/// Asks for the event of a room that is closest to a time (SS "Retrieving events").
///
/// Duties: the receiver answers only an origin that may see the room. The caller asks when it lacks the room's history around the time, and those
/// servers first that have long been in the room; it takes the event only if it is closer than the closest that it has, and then fetches and checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetEventByTimestamp {
    /// The room.
    pub room_id: String,
    /// The time to search from, in milliseconds since the Unix epoch: any integer of 64 bits.
    pub timestamp: i64,
    /// Where to search.
    pub direction: Direction,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

/// Where to search from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `f`: the first event at or after the time.
    Forwards,
    /// `b`: the last event at or before the time.
    Backwards,
}

impl Direction {
    /// `f` or `b`
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forwards => "f",
            Self::Backwards => "b",
        }
    }

    fn read(query: &mut Query) -> Result<Self, FederationError> {
        match query.require("dir")?.as_str() {
            "f" => Ok(Self::Forwards),
            "b" => Ok(Self::Backwards),
            _ => Err(FederationError::invalid_param(
                "query parameter `dir` is neither `f` nor `b`",
            )),
        }
    }
}

impl Endpoint for GetEventByTimestamp {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/v1/timestamp_to_event/{roomId}");
    const TRAILING_SLASH: TrailingSlash = TrailingSlash::Accept;

    fn write(&self) -> EndpointParts {
        let mut query = Query::new();
        query.push("ts", self.timestamp.to_string());
        query.push("dir", self.direction.as_str());
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
            timestamp: extra_query.require_integer("ts")?,
            direction: Direction::read(&mut extra_query)?,
            extra_query,
        })
    }
}

/// The event that was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GetEventByTimestampReply {
    /// The event.
    pub event_id: String,
    /// Its time, in milliseconds since the Unix epoch.
    pub origin_server_ts: i64,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl MessageForm for GetEventByTimestampReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.string("event_id", &self.event_id);
        object.integer("origin_server_ts", self.origin_server_ts);
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            event_id: reader.string("event_id")?,
            origin_server_ts: reader.integer("origin_server_ts")?,
            extra: reader.rest(),
        })
    }
}
