//! Leaving a room.

use comity_core::{
    api::{MakeLeave, SendLeave, SendLeaveV1},
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_proto as pb;

use super::{event_content, event_field};
use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{CodecError, ContentFields, Fields, RequestFields, extra_json, json},
    parameters::{QueryReader, query_of},
};

impl GrpcCodec for MakeLeave {
    const RPC: &'static str = "comity.federation.v1.Membership/MakeLeave";
    type Request = pb::MakeLeaveRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::MakeLeaveReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        Some(pb::MakeLeaveRequest {
            room_id: parts.path_parameter(0).to_owned(),
            user_id: parts.path_parameter(1).to_owned(),
            extra_query: QueryReader::new(&parts.query).rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: vec![&message.room_id, &message.user_id],
            query: query_of([], &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl ReplyMessage for pb::MakeLeaveReply {
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

impl GrpcCodec for SendLeave {
    const RPC: &'static str = "comity.federation.v1.Membership/SendLeave";
    type Request = pb::SendLeaveRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::SendLeaveReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        Some(pb::SendLeaveRequest {
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

impl ReplyMessage for pb::SendLeaveReply {
    fn from_content(content: &Object) -> Self {
        Self {
            extra_json: extra_json(content.reader()),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new().extra(&self.extra_json)?;
        Ok(ContentFields::Members(fields))
    }
}

impl GrpcCodec for SendLeaveV1 {
    const RPC: &'static str = "comity.federation.v1.Membership/SendLeaveV1";
    type Request = pb::SendLeaveV1Request;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::SendLeaveReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        Some(pb::SendLeaveV1Request {
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
