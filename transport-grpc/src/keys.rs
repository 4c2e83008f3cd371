//! Messages of the group `Keys`.

use comity_core::{
    api::{
        BatchQueryServerKeys, GetServerKeys, GetServerKeysById, QueryServerKeys,
        QueryServerKeysById,
    },
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{
        CodecError, ContentFields, Fields, RequestFields, content_reader, extra_json, json_list,
        json_map,
    },
    parameters::{QueryReader, known, query_of},
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

impl GrpcCodec for QueryServerKeys {
    const RPC: &'static str = "comity.federation.v1.Keys/QueryServerKeys";
    type Request = pb::QueryServerKeysRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::QueryServerKeysReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let mut query = QueryReader::new(&parts.query);
        Some(pb::QueryServerKeysRequest {
            server_name: parts.path_parameter(0).to_owned(),
            minimum_valid_until_ts: query.integer("minimum_valid_until_ts"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let time = known("minimum_valid_until_ts", message.minimum_valid_until_ts);
        Ok(RequestFields {
            path: vec![&message.server_name],
            query: query_of(time, &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl ReplyMessage for pb::QueryServerKeysReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            server_keys: json_list(reader.try_array("server_keys")),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new().list("server_keys", self.server_keys.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}

impl GrpcCodec for BatchQueryServerKeys {
    const RPC: &'static str = "comity.federation.v1.Keys/BatchQueryServerKeys";
    type Request = pb::BatchQueryServerKeysRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::QueryServerKeysReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        let mut message = pb::BatchQueryServerKeysRequest {
            extra_query: QueryReader::new(&parts.query).rest(),
            ..Default::default()
        };
        let Some(mut reader) = content_reader(&parts.content)? else {
            message.no_content = true;
            return Some(message);
        };
        message.server_keys = json_map(reader.try_object("server_keys"));
        message.extra_json = extra_json(reader);
        Some(message)
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let fields = Fields::new()
            .map("server_keys", message.server_keys.as_ref())
            .extra(&message.extra_json)?;
        Ok(RequestFields {
            path: Vec::new(),
            query: query_of([], &message.extra_query),
            content: ContentFields::unless(message.no_content, fields)?,
        })
    }
}

impl GrpcCodec for GetServerKeysById {
    const RPC: &'static str = "comity.federation.v1.Keys/GetServerKeysById";
    type Request = pb::GetServerKeysByIdRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::GetServerKeysReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        matches!(parts.content, Content::Absent).then(|| pb::GetServerKeysByIdRequest {
            key_id: parts.path_parameter(0).to_owned(),
            extra_query: QueryReader::new(&parts.query).rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: vec![&message.key_id],
            query: query_of([], &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl GrpcCodec for QueryServerKeysById {
    const RPC: &'static str = "comity.federation.v1.Keys/QueryServerKeysById";
    type Request = pb::QueryServerKeysByIdRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::QueryServerKeysReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let mut query = QueryReader::new(&parts.query);
        Some(pb::QueryServerKeysByIdRequest {
            server_name: parts.path_parameter(0).to_owned(),
            key_id: parts.path_parameter(1).to_owned(),
            minimum_valid_until_ts: query.integer("minimum_valid_until_ts"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let time = known("minimum_valid_until_ts", message.minimum_valid_until_ts);
        Ok(RequestFields {
            path: vec![&message.server_name, &message.key_id],
            query: query_of(time, &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}
