//! Messages of the group `Rooms`.

use comity_core::{
    api::{GetHierarchy, GetPublicRooms, QueryPublicRooms},
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{
        CodecError, ContentFields, Fields, RequestFields, content_reader, extra_json, json,
        json_list, string_list,
    },
    parameters::{QueryReader, known, query_of},
};

impl GrpcCodec for GetPublicRooms {
    const RPC: &'static str = "comity.federation.v1.Rooms/GetPublicRooms";
    type Request = pb::GetPublicRoomsRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::PublicRoomsReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let mut query = QueryReader::new(&parts.query);
        Some(pb::GetPublicRoomsRequest {
            limit: query.integer("limit"),
            since: query.string("since"),
            include_all_networks: query.boolean("include_all_networks"),
            third_party_instance_id: query.string("third_party_instance_id"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let parameters = [
            known("limit", message.limit),
            known("since", message.since.as_ref()),
            known("include_all_networks", message.include_all_networks),
            known(
                "third_party_instance_id",
                message.third_party_instance_id.as_ref(),
            ),
        ];
        Ok(RequestFields {
            path: Vec::new(),
            query: query_of(parameters.into_iter().flatten(), &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl GrpcCodec for QueryPublicRooms {
    const RPC: &'static str = "comity.federation.v1.Rooms/QueryPublicRooms";
    type Request = pb::QueryPublicRoomsRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::PublicRoomsReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        let mut message = pb::QueryPublicRoomsRequest {
            extra_query: QueryReader::new(&parts.query).rest(),
            ..Default::default()
        };
        let Some(mut reader) = content_reader(&parts.content)? else {
            message.no_content = true;
            return Some(message);
        };
        message.limit = reader.try_integer("limit");
        message.since = reader.try_string("since");
        message.filter = json(reader.try_object("filter"));
        message.include_all_networks = reader.try_boolean("include_all_networks");
        message.third_party_instance_id = reader.try_string("third_party_instance_id");
        message.extra_json = extra_json(reader);
        Some(message)
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let fields = Fields::new()
            .integer("limit", message.limit)
            .string("since", message.since.as_ref())
            .json("filter", message.filter.as_ref())
            .boolean("include_all_networks", message.include_all_networks)
            .string(
                "third_party_instance_id",
                message.third_party_instance_id.as_ref(),
            )
            .extra(&message.extra_json)?;
        Ok(RequestFields {
            path: Vec::new(),
            query: query_of([], &message.extra_query),
            content: ContentFields::unless(message.no_content, fields)?,
        })
    }
}

impl ReplyMessage for pb::PublicRoomsReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            chunk: json_list(reader.try_array("chunk")),
            next_batch: reader.try_string("next_batch"),
            prev_batch: reader.try_string("prev_batch"),
            total_room_count_estimate: reader.try_integer("total_room_count_estimate"),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new()
            .list("chunk", self.chunk.as_ref())
            .string("next_batch", self.next_batch.as_ref())
            .string("prev_batch", self.prev_batch.as_ref())
            .integer("total_room_count_estimate", self.total_room_count_estimate);
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}

impl GrpcCodec for GetHierarchy {
    const RPC: &'static str = "comity.federation.v1.Rooms/GetHierarchy";
    type Request = pb::GetHierarchyRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::GetHierarchyReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        if !matches!(parts.content, Content::Absent) {
            return None;
        }
        let mut query = QueryReader::new(&parts.query);
        Some(pb::GetHierarchyRequest {
            room_id: parts.path_parameter(0).to_owned(),
            suggested_only: query.boolean("suggested_only"),
            extra_query: query.rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let suggested = known("suggested_only", message.suggested_only);
        Ok(RequestFields {
            path: vec![&message.room_id],
            query: query_of(suggested, &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl ReplyMessage for pb::GetHierarchyReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            room: json(reader.try_object("room")),
            children: json_list(reader.try_array("children")),
            inaccessible_children: string_list(reader.try_strings("inaccessible_children")),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new()
            .json("room", self.room.as_ref())
            .list("children", self.children.as_ref())
            .strings("inaccessible_children", self.inaccessible_children.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}
