//! The typed gRPC message of [`GetExtremities`], written by hand: with prost's derive there is neither a schema to compile nor a protoc.
//!
//! ```proto
//! service Extremities {
//!   rpc GetExtremities(GetExtremitiesRequest) returns (GetExtremitiesReply);
//! }
//! ```

use bytes::Bytes;
use comity_core::{
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_grpc::{
    CodecError, ContentFields, Fields, GrpcCodec, QueryParameter, QueryReader, ReplyCodec,
    ReplyMessage, RequestFields, StringList, extra_json, query_of, string_list,
};

use crate::GetExtremities;

// [doc: message]
/// The request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetExtremitiesRequest {
    /// The room.
    #[prost(string, tag = "1")]
    pub room_id: String,
    /// Query parameters that the operation does not know.
    #[prost(message, repeated, tag = "2")]
    pub extra_query: Vec<QueryParameter>,
}

/// The reply.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetExtremitiesReply {
    /// The IDs. A message of its own, so that a reply without the member is not one with an empty list.
    #[prost(message, optional, tag = "1")]
    pub prev_events: Option<StringList>,
    /// Every other member, and `prev_events` if it is no array of strings, as one JSON object; empty if there is none.
    #[prost(bytes = "bytes", tag = "2")]
    pub extra_json: Bytes,
}
// [end doc]

// [doc: codec]
impl GrpcCodec for GetExtremities {
    const RPC: &'static str = "org.matrix.msc4370.Extremities/GetExtremities";
    type Request = GetExtremitiesRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<GetExtremitiesReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        // A body is none of this operation's, and no field holds one: `Invoke` carries it.
        matches!(parts.content, Content::Absent).then(|| GetExtremitiesRequest {
            room_id: parts.path_parameter(0).to_owned(),
            extra_query: QueryReader::new(&parts.query).rest(),
        })
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: vec![&message.room_id],
            query: query_of([], &message.extra_query),
            content: ContentFields::Absent,
        })
    }
}

impl ReplyMessage for GetExtremitiesReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            prev_events: string_list(reader.try_strings("prev_events")),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new().strings("prev_events", self.prev_events.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}
// [end doc]
