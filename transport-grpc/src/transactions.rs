//! Messages of the group `Transactions`.

use comity_core::{api::SendTransaction, endpoint::EndpointParts, json::Object};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{
        CodecError, ContentFields, Fields, RequestFields, content_reader, extra_json, json,
        json_list,
    },
    parameters::{QueryReader, query_of},
};

impl GrpcCodec for SendTransaction {
    const RPC: &'static str = "comity.federation.v1.Transactions/SendTransaction";
    type Request = pb::SendTransactionRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<pb::SendTransactionReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request> {
        let mut message = pb::SendTransactionRequest {
            transaction_id: parts.path_parameter(0).to_owned(),
            extra_query: QueryReader::new(&parts.query).rest(),
            ..Default::default()
        };
        let Some(mut reader) = content_reader(&parts.content)? else {
            message.no_content = true;
            return Some(message);
        };
        message.origin = reader.try_string("origin");
        message.origin_server_ts = reader.try_integer("origin_server_ts");
        message.pdus = json_list(reader.try_array("pdus"));
        message.edus = json_list(reader.try_array("edus"));
        message.extra_json = extra_json(reader);
        Some(message)
    }

    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError> {
        let fields = Fields::new()
            .string("origin", message.origin.as_ref())
            .integer("origin_server_ts", message.origin_server_ts)
            .list("pdus", message.pdus.as_ref())
            .list("edus", message.edus.as_ref())
            .extra(&message.extra_json)?;
        Ok(RequestFields {
            path: vec![&message.transaction_id],
            query: query_of([], &message.extra_query),
            content: ContentFields::unless(message.no_content, fields)?,
        })
    }
}

impl ReplyMessage for pb::SendTransactionReply {
    fn from_content(content: &Object) -> Self {
        let mut reader = content.reader();
        Self {
            pdus: json(reader.try_object("pdus")),
            extra_json: extra_json(reader),
        }
    }

    fn content(&self) -> Result<ContentFields<'_>, CodecError> {
        let fields = Fields::new().json("pdus", self.pdus.as_ref());
        Ok(ContentFields::Members(fields.extra(&self.extra_json)?))
    }
}
