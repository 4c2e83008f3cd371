//! Messages of the group `Queries`.

use comity_core::{
    api::QueryProfile,
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{CodecError, ContentFields, Fields, RequestFields, extra_json},
    parameters::{QueryReader, query_of},
};

impl GrpcCodec for QueryProfile {
    const RPC: &'static str = "comity.federation.v1.Queries/QueryProfile";
    type Request = pb::QueryProfileRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::QueryProfileReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let mut query = QueryReader::new(&parts.query);
        Some(pb::QueryProfileRequest {
            user_id: query.string("user_id"),
            field: query.string("field"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let user_id = message.user_id.clone().map(|user_id| ("user_id", user_id));
        let field = message.field.clone().map(|field| ("field", field));
        Ok(RequestFields {
            path: Vec::new(),
            query: query_of(user_id.into_iter().chain(field), &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl ReplyMessage for pb::QueryProfileReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            displayname: reader.try_string("displayname"),
            avatar_url: reader.try_string("avatar_url"),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new()
            .string("displayname", self.displayname.as_ref())
            .string("avatar_url", self.avatar_url.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}
