//! Finding an event by its time: a message of the group `Events`.

use comity_core::{
    api::GetEventByTimestamp,
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{CodecError, ContentFields, Fields, RequestFields, extra_json},
    parameters::{QueryReader, query_of},
};

impl GrpcCodec for GetEventByTimestamp {
    const RPC: &'static str = "comity.federation.v1.Events/GetEventByTimestamp";
    type Request = pb::GetEventByTimestampRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::GetEventByTimestampReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let mut query = QueryReader::new(&parts.query);
        Some(pb::GetEventByTimestampRequest {
            room_id: parts.path_parameter(0).to_owned(),
            timestamp: query.integer("ts"),
            direction: query.string("dir"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let timestamp = message.timestamp.map(|time| ("ts", time.to_string()));
        let direction = message.direction.iter().map(|word| ("dir", word.clone()));
        Ok(RequestFields {
            path: vec![&message.room_id],
            query: query_of(timestamp.into_iter().chain(direction), &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl ReplyMessage for pb::GetEventByTimestampReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            event_id: reader.try_string("event_id"),
            origin_server_ts: reader.try_integer("origin_server_ts"),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new()
            .string("event_id", self.event_id.as_ref())
            .integer("origin_server_ts", self.origin_server_ts);
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}
