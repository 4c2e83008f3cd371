//! Inviting by a third-party identifier.

use comity_core::{api::ExchangeThirdPartyInvite, endpoint::EndpointParts, json::Object};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{CodecError, ContentFields, Fields, RequestFields, content_reader, extra_json, json},
    parameters::{QueryReader, query_of},
};

impl GrpcCodec for ExchangeThirdPartyInvite {
    const RPC: &'static str = "comity.federation.v1.Membership/ExchangeThirdPartyInvite";
    type Request = pb::ExchangeThirdPartyInviteRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::ExchangeThirdPartyInviteReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        let mut message = pb::ExchangeThirdPartyInviteRequest {
            room_id: parts.path_parameter(0).to_owned(),
            extra_query: QueryReader::new(&parts.query).rest(),
            ..Default::default()
        };
        let Some(mut reader) = content_reader(&parts.content)? else {
            message.no_content = true;
            return Some(message);
        };
        message.event_type = reader.try_string("type");
        message.event_room_id = reader.try_string("room_id");
        message.sender = reader.try_string("sender");
        message.state_key = reader.try_string("state_key");
        message.content = json(reader.try_object("content"));
        message.extra_json = extra_json(reader);
        Some(message)
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let fields = Fields::new()
            .string("type", message.event_type.as_ref())
            .string("room_id", message.event_room_id.as_ref())
            .string("sender", message.sender.as_ref())
            .string("state_key", message.state_key.as_ref())
            .json("content", message.content.as_ref())
            .extra(&message.extra_json)?;
        Ok(RequestFields {
            path: vec![&message.room_id],
            query: query_of([], &message.extra_query),
            content: ContentFields::unless(message.no_content, fields)?,
        })
    }
}

impl ReplyMessage for pb::ExchangeThirdPartyInviteReply {
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
