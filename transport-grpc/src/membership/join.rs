//! Joining a room.

use comity_core::{
    api::{MakeJoin, SendJoin, SendJoinV1},
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

impl GrpcCodec for MakeJoin {
    const RPC: &'static str = "comity.federation.v1.Membership/MakeJoin";
    type Request = pb::MakeJoinRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::MakeJoinReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let mut query = QueryReader::new(&parts.query);
        Some(pb::MakeJoinRequest {
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

impl ReplyMessage for pb::MakeJoinReply {
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

impl GrpcCodec for SendJoin {
    const RPC: &'static str = "comity.federation.v1.Membership/SendJoin";
    type Request = pb::SendJoinRequest;
    const REPLY: ReplyCodec = ReplyCodec::STREAM;

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        let mut query = QueryReader::new(&parts.query);
        Some(pb::SendJoinRequest {
            room_id: parts.path_parameter(0).to_owned(),
            event_id: parts.path_parameter(1).to_owned(),
            event: event_field(&parts.content)?,
            omit_members: query.boolean("omit_members"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: vec![&message.room_id, &message.event_id],
            query: query_of(
                message
                    .omit_members
                    .map(|omit| ("omit_members", omit.to_string())),
                &message.extra_query,
            ),
            content: event_content(message.event.as_ref()),
        })
    }
}

impl GrpcCodec for SendJoinV1 {
    const RPC: &'static str = "comity.federation.v1.Membership/SendJoinV1";
    type Request = pb::SendJoinV1Request;
    const REPLY: ReplyCodec = ReplyCodec::STREAM;

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        Some(pb::SendJoinV1Request {
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
