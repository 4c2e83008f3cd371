//! Messages of the group `Keys`.

use comity_core::{
    api::GetServerKeys,
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{CodecError, ContentFields, RequestFields},
    parameters::{QueryReader, query_of},
};

impl GrpcCodec for GetServerKeys {
    const RPC: &'static str = "comity.federation.v1.Keys/GetServerKeys";
    type Request = pb::GetServerKeysRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::GetServerKeysReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        matches!(parts.content, Content::Absent).then(|| pb::GetServerKeysRequest {
            extra_query: QueryReader::new(&parts.query).rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: Vec::new(),
            query: query_of([], &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl ReplyMessage for pb::GetServerKeysReply {
    fn from_content(content: &Object) -> Self {
        Self {
            document: content.text().clone(),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        Ok(ContentFields::Whole {
            name: "document",
            text: &self.document,
        })
    }
}
