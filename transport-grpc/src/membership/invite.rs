//! Inviting to a room.

use comity_core::{
    api::{Invite, InviteV1},
    endpoint::EndpointParts,
    json::Object,
};
use comity_proto as pb;

use super::{event_content, event_field};
use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{
        CodecError, ContentFields, Fields, RequestFields, content_reader, extra_json, json,
        json_list,
    },
    parameters::{QueryReader, query_of},
};

impl GrpcCodec for Invite {
    const RPC: &'static str = "comity.federation.v1.Membership/Invite";
    type Request = pb::InviteRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::InviteReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        let mut message = pb::InviteRequest {
            room_id: parts.path_parameter(0).to_owned(),
            event_id: parts.path_parameter(1).to_owned(),
            extra_query: QueryReader::new(&parts.query).rest(),
            ..Default::default()
        };
        let Some(mut reader) = content_reader(&parts.content)? else {
            message.no_content = true;
            return Some(message);
        };
        message.room_version = reader.try_string("room_version");
        message.event = json(reader.try_object("event"));
        message.invite_room_state = json_list(reader.try_array("invite_room_state"));
        message.extra_json = extra_json(reader);
        Some(message)
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let fields = Fields::new()
            .string("room_version", message.room_version.as_ref())
            .json("event", message.event.as_ref())
            .list("invite_room_state", message.invite_room_state.as_ref())
            .extra(&message.extra_json)?;
        Ok(RequestFields {
            path: vec![&message.room_id, &message.event_id],
            query: query_of([], &message.extra_query),
            content: ContentFields::unless(message.no_content, fields)?,
        })
    }
}

impl ReplyMessage for pb::InviteReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            event: json(reader.try_object("event")),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new().json("event", self.event.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}

impl GrpcCodec for InviteV1 {
    const RPC: &'static str = "comity.federation.v1.Membership/InviteV1";
    type Request = pb::InviteV1Request;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::InviteReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        Some(pb::InviteV1Request {
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
