//! Messages of the group `ThirdParty`.

use comity_core::{
    api::{GetOpenIdUserInfo, NotifyThirdPartyBind},
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{
        CodecError, ContentFields, Fields, RequestFields, content_reader, extra_json, json_list,
    },
    parameters::{QueryReader, known, query_of},
};

impl GrpcCodec for GetOpenIdUserInfo {
    const RPC: &'static str = "comity.federation.v1.ThirdParty/GetOpenIdUserInfo";
    type Request = pb::GetOpenIdUserInfoRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::GetOpenIdUserInfoReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let mut query = QueryReader::new(&parts.query);
        Some(pb::GetOpenIdUserInfoRequest {
            access_token: query.string("access_token"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let token = known("access_token", message.access_token.as_ref());
        Ok(RequestFields {
            path: Vec::new(),
            query: query_of(token, &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl ReplyMessage for pb::GetOpenIdUserInfoReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            sub: reader.try_string("sub"),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new().string("sub", self.sub.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}

impl GrpcCodec for NotifyThirdPartyBind {
    const RPC: &'static str = "comity.federation.v1.ThirdParty/NotifyThirdPartyBind";
    type Request = pb::NotifyThirdPartyBindRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::NotifyThirdPartyBindReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        let mut message = pb::NotifyThirdPartyBindRequest {
            extra_query: QueryReader::new(&parts.query).rest(),
            ..Default::default()
        };
        let Some(mut reader) = content_reader(&parts.content)? else {
            message.no_content = true;
            return Some(message);
        };
        message.medium = reader.try_string("medium");
        message.address = reader.try_string("address");
        message.mxid = reader.try_string("mxid");
        message.invites = json_list(reader.try_array("invites"));
        message.extra_json = extra_json(reader);
        Some(message)
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let fields = Fields::new()
            .string("medium", message.medium.as_ref())
            .string("address", message.address.as_ref())
            .string("mxid", message.mxid.as_ref())
            .list("invites", message.invites.as_ref())
            .extra(&message.extra_json)?;
        Ok(RequestFields {
            path: Vec::new(),
            query: query_of([], &message.extra_query),
            content: ContentFields::unless(message.no_content, fields)?,
        })
    }
}

impl ReplyMessage for pb::NotifyThirdPartyBindReply {
    fn from_content(content: &Object) -> Self {
        Self {
            extra_json: extra_json(content.reader()),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        Ok(ContentFields::Members(
            Fields::new().extra(&self.extra_json)?,
        ))
    }
}
