//! Pulling events (SS "Retrieving events").

use crate::{
    call::{Endpoint, MessageForm},
    endpoint::{Content, EndpointParts, PathTemplate, Query},
    error::FederationError,
    event::{Listed, Pdu, judge_all, listed_values},
    json::{Members, Object, ObjectWriter, ReadError},
};

/// Asks for the events between those the caller has and those it was told of.
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
            events: judge_all(reader.array("events")?, Pdu::judge),
            extra: reader.rest(),
        })
    }
}
