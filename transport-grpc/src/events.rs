//! Messages of the group `Events`.

use comity_core::{
    api::GetMissingEvents,
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{
        CodecError, ContentFields, Fields, QueryReader, RequestFields, extra_json, json_list,
        query_of, string_list,
    },
};

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
        match &parts.content {
            Content::Absent => message.no_content = true,
            Content::Json(object) => {
                let mut reader = object.reader();
                message.earliest_events = string_list(reader.try_strings("earliest_events"));
                message.latest_events = string_list(reader.try_strings("latest_events"));
                message.limit = reader.try_integer("limit");
                message.min_depth = reader.try_integer("min_depth");
                message.extra_json = extra_json(reader);
            }
            Content::Opaque { .. } => return None,
        }
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
