//! Messages of the group `Queries`.

use comity_core::{
    api::{QueryCustom, QueryDirectory, QueryProfile},
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{CodecError, ContentFields, Fields, RequestFields, extra_json, string_list},
    parameters::{QueryReader, known, query_of},
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
            time_zone: reader.try_string("m.tz"),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new()
            .string("displayname", self.displayname.as_ref())
            .string("avatar_url", self.avatar_url.as_ref())
            .string("m.tz", self.time_zone.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}

impl GrpcCodec for QueryDirectory {
    const RPC: &'static str = "comity.federation.v1.Queries/QueryDirectory";
    type Request = pb::QueryDirectoryRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::QueryDirectoryReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let mut query = QueryReader::new(&parts.query);
        Some(pb::QueryDirectoryRequest {
            room_alias: query.string("room_alias"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let alias = known("room_alias", message.room_alias.as_ref());
        Ok(RequestFields {
            path: Vec::new(),
            query: query_of(alias, &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl ReplyMessage for pb::QueryDirectoryReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            room_id: reader.try_string("room_id"),
            servers: string_list(reader.try_strings("servers")),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new()
            .string("room_id", self.room_id.as_ref())
            .strings("servers", self.servers.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}

impl GrpcCodec for QueryCustom {
    const RPC: &'static str = "comity.federation.v1.Queries/QueryCustom";
    type Request = pb::QueryCustomRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::QueryCustomReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        // The targets of these are other operations': where they arrive, the target decides, so they go without a message.
        let query_type = parts.path_parameter(0);
        if matches!(query_type, "directory" | "profile") {
            return None;
        }
        matches!(parts.content, Content::Absent).then(|| pb::QueryCustomRequest {
            query_type: query_type.to_owned(),
            extra_query: QueryReader::new(&parts.query).rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: vec![&message.query_type],
            query: query_of([], &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl ReplyMessage for pb::QueryCustomReply {
    fn from_content(content: &Object) -> Self {
        Self {
            answer: content.text().clone(),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        Ok(ContentFields::Whole {
            name: "answer",
            text: &self.answer,
        })
    }
}
