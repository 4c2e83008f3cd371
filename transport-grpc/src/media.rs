//! Messages of the group `Media`.

use comity_core::{
    api::DownloadMedia,
    endpoint::{Content, EndpointParts},
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec},
    content::{CodecError, ContentFields, RequestFields},
    parameters::{QueryReader, query_of},
};

impl GrpcCodec for DownloadMedia {
    const RPC: &'static str = "comity.federation.v1.Media/DownloadMedia";
    type Request = pb::DownloadMediaRequest;
    const REPLY: ReplyCodec = ReplyCodec::STREAM;

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let mut query = QueryReader::new(&parts.query);
        Some(pb::DownloadMediaRequest {
            media_id: parts.path_parameter(0).to_owned(),
            timeout_ms: query.integer("timeout_ms"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: vec![&message.media_id],
            query: query_of(
                message
                    .timeout_ms
                    .map(|time| ("timeout_ms", time.to_string())),
                &message.extra_query,
            ),
            content: ContentFields::Absent,
        })
    }
}
