//! Messages of the group `Server`.

use comity_core::{
    api::GetVersion,
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{CodecError, ContentFields, Fields, RequestFields, extra_json, json},
    parameters::{QueryReader, query_of},
};

impl GrpcCodec for GetVersion {
    const RPC: &'static str = "comity.federation.v1.Server/GetVersion";
    type Request = pb::GetVersionRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::GetVersionReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        matches!(parts.content, Content::Absent).then(|| pb::GetVersionRequest {
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

impl ReplyMessage for pb::GetVersionReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            server: json(reader.try_object("server")),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new().json("server", self.server.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}
