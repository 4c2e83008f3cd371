//! Messages of the group `Membership`.

use comity_core::{
    api::SendJoin,
    endpoint::{Content, EndpointParts},
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec},
    content::{CodecError, ContentFields, QueryReader, RequestFields, query_of},
};

impl GrpcCodec for SendJoin {
    const RPC: &'static str = "comity.federation.v1.Membership/SendJoin";
    type Request = pb::SendJoinRequest;
    const REPLY: ReplyCodec = ReplyCodec::STREAM;

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        let mut query = QueryReader::new(&parts.query);
        Some(pb::SendJoinRequest {
            room_id: parts.path_parameter(0).to_owned(),
            event_id: parts.path_parameter(1).to_owned(),
            event: match &parts.content {
                Content::Absent => None,
                Content::Json(object) => Some(object.text().clone()),
                Content::Opaque { .. } => return None,
            },
            omit_members: query.boolean("omit_members"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: vec![&message.room_id, &message.event_id],
            query: query_of(
                [(
                    "omit_members",
                    message.omit_members.map(|omit| omit.to_string()),
                )],
                &message.extra_query,
            ),
            content: message
                .event
                .as_ref()
                .map_or(ContentFields::Absent, ContentFields::Whole),
        })
    }
}
