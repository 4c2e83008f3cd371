//! Knocking upon a room.

use comity_core::{
    api::{MakeKnock, SendKnock},
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_proto as pb;

use super::{event_content, event_field};
use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{CodecError, ContentFields, Fields, RequestFields, extra_json, json, json_list},
    parameters::{QueryReader, query_of},
};

impl GrpcCodec for MakeKnock {
    const RPC: &'static str = "comity.federation.v1.Membership/MakeKnock";
    type Request = pb::MakeKnockRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::MakeKnockReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let mut query = QueryReader::new(&parts.query);
        Some(pb::MakeKnockRequest {
            room_id: parts.path_parameter(0).to_owned(),
            user_id: parts.path_parameter(1).to_owned(),
            versions: query.strings("ver"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let versions = message.versions.iter();
        let versions = versions.map(|version| ("ver", version.clone()));
        Ok(RequestFields {
            path: vec![&message.room_id, &message.user_id],
            query: query_of(versions, &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl ReplyMessage for pb::MakeKnockReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            room_version: reader.try_string("room_version"),
            event: json(reader.try_object("event")),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new()
            .string("room_version", self.room_version.as_ref())
            .json("event", self.event.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}

impl GrpcCodec for SendKnock {
    const RPC: &'static str = "comity.federation.v1.Membership/SendKnock";
    type Request = pb::SendKnockRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::SendKnockReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        Some(pb::SendKnockRequest {
            room_id: parts.path_parameter(0).to_owned(),
            event_id: parts.path_parameter(1).to_owned(),
            event: event_field(&parts.content)?,
            extra_query: QueryReader::new(&parts.query).rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: vec![&message.room_id, &message.event_id],
            query: query_of([], &message.extra_query),
            content: event_content(message.event.as_ref()),
        })
    }
}

impl ReplyMessage for pb::SendKnockReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            knock_room_state: json_list(reader.try_array("knock_room_state")),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new().list("knock_room_state", self.knock_room_state.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}
