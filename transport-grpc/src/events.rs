//! Messages of the group `Events`.

use comity_core::{
    api::{Backfill, GetEvent, GetEventAuth, GetMissingEvents, GetState, GetStateIds},
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{
        CodecError, ContentFields, Fields, RequestFields, content_reader, extra_json, json_list,
        string_list,
    },
    parameters::{QueryReader, query_of},
};

impl GrpcCodec for GetEvent {
    const RPC: &'static str = "comity.federation.v1.Events/GetEvent";
    type Request = pb::GetEventRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::GetEventReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let query = QueryReader::new(&parts.query);
        Some(pb::GetEventRequest {
            event_id: parts.path_parameter(0).to_owned(),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: vec![&message.event_id],
            query: query_of([], &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl ReplyMessage for pb::GetEventReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            origin: reader.try_string("origin"),
            origin_server_ts: reader.try_integer("origin_server_ts"),
            pdus: json_list(reader.try_array("pdus")),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new()
            .string("origin", self.origin.as_ref())
            .integer("origin_server_ts", self.origin_server_ts)
            .list("pdus", self.pdus.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}

impl GrpcCodec for GetState {
    const RPC: &'static str = "comity.federation.v1.Events/GetState";
    type Request = pb::GetStateRequest;
    const REPLY: ReplyCodec = ReplyCodec::STREAM;

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        let (room_id, event_id, extra_query) = state_parameters(parts)?;
        Some(pb::GetStateRequest {
            room_id,
            event_id,
            extra_query,
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        Ok(state_fields(
            &message.room_id,
            message.event_id.as_ref(),
            &message.extra_query,
        ))
    }
}

impl GrpcCodec for GetStateIds {
    const RPC: &'static str = "comity.federation.v1.Events/GetStateIds";
    type Request = pb::GetStateIdsRequest;
    const REPLY: ReplyCodec = ReplyCodec::STREAM;

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        let (room_id, event_id, extra_query) = state_parameters(parts)?;
        Some(pb::GetStateIdsRequest {
            room_id,
            event_id,
            extra_query,
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        Ok(state_fields(
            &message.room_id,
            message.event_id.as_ref(),
            &message.extra_query,
        ))
    }
}

/// The room, the event, and the other query parameters of a request for a room's state or for its IDs.
fn state_parameters(
    parts: &EndpointParts,
) -> Option<(String, Option<String>, Vec<pb::QueryParameter>)> {
    if !matches!(parts.content, Content::Absent) {
        return None;
    }
    let mut query = QueryReader::new(&parts.query);
    let event_id = query.string("event_id");
    Some((parts.path_parameter(0).to_owned(), event_id, query.rest()))
}

fn state_fields<'m>(
    room_id: &'m str,
    event_id: Option<&String>,
    extra_query: &[pb::QueryParameter],
) -> RequestFields<'m> {
    let event_id = event_id.map(|event_id| ("event_id", event_id.clone()));
    RequestFields {
        path: vec![room_id],
        query: query_of(event_id, extra_query),
        content: ContentFields::Absent,
    }
}

impl GrpcCodec for GetEventAuth {
    const RPC: &'static str = "comity.federation.v1.Events/GetEventAuth";
    type Request = pb::GetEventAuthRequest;
    const REPLY: ReplyCodec = ReplyCodec::STREAM;

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        Some(pb::GetEventAuthRequest {
            room_id: parts.path_parameter(0).to_owned(),
            event_id: parts.path_parameter(1).to_owned(),
            extra_query: QueryReader::new(&parts.query).rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: vec![&message.room_id, &message.event_id],
            query: query_of([], &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl GrpcCodec for Backfill {
    const RPC: &'static str = "comity.federation.v1.Events/Backfill";
    type Request = pb::BackfillRequest;
    const REPLY: ReplyCodec = ReplyCodec::STREAM;

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let mut query = QueryReader::new(&parts.query);
        Some(pb::BackfillRequest {
            room_id: parts.path_parameter(0).to_owned(),
            from: query.strings("v"),
            limit: query.integer("limit"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let from = message.from.iter().map(|event_id| ("v", event_id.clone()));
        let limit = message.limit.map(|limit| ("limit", limit.to_string()));
        Ok(RequestFields {
            path: vec![&message.room_id],
            query: query_of(from.chain(limit), &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl GrpcCodec for GetMissingEvents {
    const RPC: &'static str = "comity.federation.v1.Events/GetMissingEvents";
    type Request = pb::GetMissingEventsRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::GetMissingEventsReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        let mut message = pb::GetMissingEventsRequest {
            room_id: parts.path_parameter(0).to_owned(),
            extra_query: QueryReader::new(&parts.query).rest(),
            ..Default::default()
        };
        let Some(mut reader) = content_reader(&parts.content)? else {
            message.no_content = true;
            return Some(message);
        };
        message.earliest_events = string_list(reader.try_strings("earliest_events"));
        message.latest_events = string_list(reader.try_strings("latest_events"));
        message.limit = reader.try_integer("limit");
        message.min_depth = reader.try_integer("min_depth");
        message.extra_json = extra_json(reader);
        Some(message)
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let fields = Fields::new()
            .strings("earliest_events", message.earliest_events.as_ref())
            .strings("latest_events", message.latest_events.as_ref())
            .integer("limit", message.limit)
            .integer("min_depth", message.min_depth)
            .extra(&message.extra_json)?;
        Ok(RequestFields {
            path: vec![&message.room_id],
            query: query_of([], &message.extra_query),
            content: ContentFields::unless(message.no_content, fields)?,
        })
    }
}

impl ReplyMessage for pb::GetMissingEventsReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            events: json_list(reader.try_array("events")),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new().list("events", self.events.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}
