//! Messages of the group `Media`.

use comity_core::{
    api::{DownloadMedia, DownloadMediaLegacy, DownloadThumbnail, DownloadThumbnailLegacy},
    endpoint::{Content, EndpointParts},
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec},
    content::{CodecError, ContentFields, RequestFields},
    parameters::{QueryReader, known, query_of},
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

impl GrpcCodec for DownloadThumbnail {
    const RPC: &'static str = "comity.federation.v1.Media/DownloadThumbnail";
    type Request = pb::DownloadThumbnailRequest;
    const REPLY: ReplyCodec = ReplyCodec::STREAM;

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let mut query = QueryReader::new(&parts.query);
        Some(pb::DownloadThumbnailRequest {
            media_id: parts.path_parameter(0).to_owned(),
            width: query.integer("width"),
            height: query.integer("height"),
            method: query.string("method"),
            timeout_ms: query.integer("timeout_ms"),
            animated: query.boolean("animated"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let parameters = [
            known("width", message.width),
            known("height", message.height),
            known("method", message.method.as_ref()),
            known("timeout_ms", message.timeout_ms),
            known("animated", message.animated),
        ];
        Ok(RequestFields {
            path: vec![&message.media_id],
            query: query_of(parameters.into_iter().flatten(), &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl GrpcCodec for DownloadMediaLegacy {
    const RPC: &'static str = "comity.federation.v1.Media/DownloadMediaLegacy";
    type Request = pb::DownloadMediaLegacyRequest;
    const REPLY: ReplyCodec = ReplyCodec::BODY;

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let mut query = QueryReader::new(&parts.query);
        Some(pb::DownloadMediaLegacyRequest {
            server_name: parts.path_parameter(0).to_owned(),
            media_id: parts.path_parameter(1).to_owned(),
            allow_remote: query.boolean("allow_remote"),
            timeout_ms: query.integer("timeout_ms"),
            allow_redirect: query.boolean("allow_redirect"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let parameters = [
            known("allow_remote", message.allow_remote),
            known("timeout_ms", message.timeout_ms),
            known("allow_redirect", message.allow_redirect),
        ];
        Ok(RequestFields {
            path: vec![&message.server_name, &message.media_id],
            query: query_of(parameters.into_iter().flatten(), &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl GrpcCodec for DownloadThumbnailLegacy {
    const RPC: &'static str = "comity.federation.v1.Media/DownloadThumbnailLegacy";
    type Request = pb::DownloadThumbnailLegacyRequest;
    const REPLY: ReplyCodec = ReplyCodec::BODY;

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let mut query = QueryReader::new(&parts.query);
        Some(pb::DownloadThumbnailLegacyRequest {
            server_name: parts.path_parameter(0).to_owned(),
            media_id: parts.path_parameter(1).to_owned(),
            width: query.integer("width"),
            height: query.integer("height"),
            method: query.string("method"),
            allow_remote: query.boolean("allow_remote"),
            timeout_ms: query.integer("timeout_ms"),
            allow_redirect: query.boolean("allow_redirect"),
            animated: query.boolean("animated"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let parameters = [
            known("width", message.width),
            known("height", message.height),
            known("method", message.method.as_ref()),
            known("allow_remote", message.allow_remote),
            known("timeout_ms", message.timeout_ms),
            known("allow_redirect", message.allow_redirect),
            known("animated", message.animated),
        ];
        Ok(RequestFields {
            path: vec![&message.server_name, &message.media_id],
            query: query_of(parameters.into_iter().flatten(), &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}
