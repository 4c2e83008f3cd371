//! Messages of the group `Policy`.

use comity_core::{
    api::PolicySign,
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{CodecError, ContentFields, RequestFields},
    parameters::{QueryReader, query_of},
};

impl GrpcCodec for PolicySign {
    const RPC: &'static str = "comity.federation.v1.Policy/PolicySign";
    type Request = pb::PolicySignRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::PolicySignReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        Some(pb::PolicySignRequest {
            event: match &parts.content {
                Content::Absent => None,
                Content::Json(object) => Some(object.text().clone()),
                Content::Opaque { .. } => return None,
            },
            extra_query: QueryReader::new(&parts.query).rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: Vec::new(),
            query: query_of([], &message.extra_query),
            content: match &message.event {
                Some(text) => ContentFields::Whole {
                    name: "event",
                    text,
                },
                None => ContentFields::Absent,
            },
        })
    }
}

impl ReplyMessage for pb::PolicySignReply {
    fn from_content(content: &Object) -> Self {
        Self {
            signatures: content.text().clone(),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        Ok(ContentFields::Whole {
            name: "signatures",
            text: &self.signatures,
        })
    }
}
