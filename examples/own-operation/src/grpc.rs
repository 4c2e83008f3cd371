//! The typed gRPC message of [`GetRoomComplexity`], written by hand: with prost's derive there is neither a schema to compile nor a protoc.
//!
//! ```proto
//! service Complexity {
//!   rpc GetRoomComplexity(GetRoomComplexityRequest) returns (GetRoomComplexityReply);
//! }
//! ```

use bytes::Bytes;
use comity_core::{
    endpoint::{Content, EndpointParts},
    json::{Kind, Object},
};
use comity_grpc::{
    CodecError, ContentFields, Fields, GrpcCodec, QueryParameter, QueryReader, ReplyCodec,
    ReplyMessage, RequestFields, extra_json, query_of,
};

use crate::GetRoomComplexity;

/// The request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetRoomComplexityRequest {
    /// The room.
    #[prost(string, tag = "1")]
    pub room_id: String,
    /// Query parameters that the operation does not know.
    #[prost(message, repeated, tag = "2")]
    pub extra_query: Vec<QueryParameter>,
}

/// The reply.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetRoomComplexityReply {
    /// The measure as JSON text. A `double` could not give `0.10` or `1e400` back as they were.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub v1: Option<Bytes>,
    /// Every other member, and `v1` if it is no number, as one JSON object; empty if there is none.
    #[prost(bytes = "bytes", tag = "2")]
    pub extra_json: Bytes,
}

impl GrpcCodec for GetRoomComplexity {
    const RPC: &'static str = "org.example.complexity.v1.Complexity/GetRoomComplexity";
    type Request = GetRoomComplexityRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<GetRoomComplexityReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        // A body is none of this operation's, and no field holds one: `Invoke` carries it.
        matches!(parts.content, Content::Absent).then(|| GetRoomComplexityRequest {
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

impl ReplyMessage for GetRoomComplexityReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        let v1 = content.get("v1").filter(|v1| v1.kind() == Kind::Number);
        if v1.is_some() {
            reader.take("v1");
        }
        Self {
            v1: v1.map(|number| number.text().clone()),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new().json("v1", self.v1.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}
