//! Messages of the group `Devices`.

use comity_core::{
    api::{ClaimKeys, GetUserDevices, QueryKeys},
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{
        CodecError, ContentFields, Fields, RequestFields, content_reader, extra_json, json,
        json_list, json_map,
    },
    parameters::{QueryReader, query_of},
};

impl GrpcCodec for QueryKeys {
    const RPC: &'static str = "comity.federation.v1.Devices/QueryKeys";
    type Request = pb::QueryKeysRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::QueryKeysReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        let mut message = pb::QueryKeysRequest {
            extra_query: QueryReader::new(&parts.query).rest(),
            ..Default::default()
        };
        let Some(mut reader) = content_reader(&parts.content)? else {
            message.no_content = true;
            return Some(message);
        };
        message.device_keys = json_map(reader.try_object("device_keys"));
        message.extra_json = extra_json(reader);
        Some(message)
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let fields = Fields::new()
            .map("device_keys", message.device_keys.as_ref())
            .extra(&message.extra_json)?;
        Ok(RequestFields {
            path: Vec::new(),
            query: query_of([], &message.extra_query),
            content: ContentFields::unless(message.no_content, fields)?,
        })
    }
}

impl ReplyMessage for pb::QueryKeysReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            device_keys: json_map(reader.try_object("device_keys")),
            master_keys: json_map(reader.try_object("master_keys")),
            self_signing_keys: json_map(reader.try_object("self_signing_keys")),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new()
            .map("device_keys", self.device_keys.as_ref())
            .map("master_keys", self.master_keys.as_ref())
            .map("self_signing_keys", self.self_signing_keys.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}

impl GrpcCodec for ClaimKeys {
    const RPC: &'static str = "comity.federation.v1.Devices/ClaimKeys";
    type Request = pb::ClaimKeysRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::ClaimKeysReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        let mut message = pb::ClaimKeysRequest {
            extra_query: QueryReader::new(&parts.query).rest(),
            ..Default::default()
        };
        let Some(mut reader) = content_reader(&parts.content)? else {
            message.no_content = true;
            return Some(message);
        };
        message.one_time_keys = json_map(reader.try_object("one_time_keys"));
        message.extra_json = extra_json(reader);
        Some(message)
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let fields = Fields::new()
            .map("one_time_keys", message.one_time_keys.as_ref())
            .extra(&message.extra_json)?;
        Ok(RequestFields {
            path: Vec::new(),
            query: query_of([], &message.extra_query),
            content: ContentFields::unless(message.no_content, fields)?,
        })
    }
}

impl ReplyMessage for pb::ClaimKeysReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            one_time_keys: json_map(reader.try_object("one_time_keys")),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new().map("one_time_keys", self.one_time_keys.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}

impl GrpcCodec for GetUserDevices {
    const RPC: &'static str = "comity.federation.v1.Devices/GetUserDevices";
    type Request = pb::GetUserDevicesRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::GetUserDevicesReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        matches!(parts.content, Content::Absent).then(|| pb::GetUserDevicesRequest {
            user_id: parts.path_parameter(0).to_owned(),
            extra_query: QueryReader::new(&parts.query).rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: vec![&message.user_id],
            query: query_of([], &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl ReplyMessage for pb::GetUserDevicesReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            user_id: reader.try_string("user_id"),
            stream_id: reader.try_integer("stream_id"),
            devices: json_list(reader.try_array("devices")),
            master_key: json(reader.try_object("master_key")),
            self_signing_key: json(reader.try_object("self_signing_key")),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new()
            .string("user_id", self.user_id.as_ref())
            .integer("stream_id", self.stream_id)
            .list("devices", self.devices.as_ref())
            .json("master_key", self.master_key.as_ref())
            .json("self_signing_key", self.self_signing_key.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}
