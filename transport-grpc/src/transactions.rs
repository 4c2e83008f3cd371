//! Messages of the group `Transactions`.

use comity_core::{
    api::SendTransaction,
    endpoint::{Content, EndpointParts, Query},
    json::{Object, ObjectJoiner},
};
use comity_proto as pb;

use crate::{
    codec::{GrpcCodec, ReplyCodec, ReplyMessage},
    content::{
        CodecError, ContentFields, Fields, MAX_INTEGER, RequestFields, content_reader, extra_json,
        json, json_list,
    },
    elements::MAX_ELEMENTS,
    parameters::{QueryReader, query_of},
    records::{List, bytes, long_varint},
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

    fn request_from_bytes(message: &[u8], limit: usize) -> Option<EndpointParts> {
        InOrder::read(message)?.ingest(limit)
    }
}

/// Keys of the fields: their numbers, with the wire type behind.
const TRANSACTION_ID: u8 = 1 << 3 | 2;
const ORIGIN: u8 = 2 << 3 | 2;
const ORIGIN_SERVER_TS: u8 = 3 << 3;
const PDUS: u8 = 4 << 3 | 2;
const EDUS: u8 = 5 << 3 | 2;

/// Fields beside the elements.
const OTHERS: usize = 5;

/// Bytes of the content beside events and origin: `{"edus":[],"origin":"","origin_server_ts":9007199254740991,"pdus":[]}`
const NAMES: usize = 80;

/// Most bytes of a text. In a longer one there could be more of what [`elements`](crate::elements) counts, by what a text looks like, than is allowed for here.
const MAX_TEXT: usize = 4 << 10;

/// What may be counted in both texts: two bytes are the shortest that is.
const IN_TEXTS: usize = 2 * (MAX_TEXT / 2);

/// A transaction's message as nearly all are: its fields in ascending order, none twice, and none but these. Its events are read where they lie; decoded they are
/// fifty slices, each of them counted, checked and let go by itself.
#[derive(Debug, Default)]
struct InOrder<'m> {
    transaction_id: &'m str,
    origin: Option<&'m str>,
    origin_server_ts: Option<i64>,
    pdus: Option<List<'m>>,
    edus: Option<List<'m>>,
}

impl<'m> InOrder<'m> {
    fn read(message: &'m [u8]) -> Option<Self> {
        let mut read = Self::default();
        let mut rest = message;
        let mut before = 0;
        while let Some((&key, behind)) = rest.split_first() {
            if key <= before {
                return None;
            }
            (before, rest) = (key, behind);
            let text = |rest: &mut &'m [u8]| {
                let text = bytes(rest)?;
                std::str::from_utf8(text)
                    .ok()
                    .filter(|text| text.len() <= MAX_TEXT)
            };
            match key {
                TRANSACTION_ID => read.transaction_id = text(&mut rest)?,
                ORIGIN => read.origin = Some(text(&mut rest)?),
                ORIGIN_SERVER_TS => {
                    read.origin_server_ts = Some(i64::try_from(long_varint(&mut rest)?).ok()?);
                }
                PDUS => read.pdus = Some(List::read(bytes(&mut rest)?)?),
                EDUS => read.edus = Some(List::read(bytes(&mut rest)?)?),
                _ => return None,
            }
        }
        let lists = [read.pdus, read.edus].into_iter().flatten();
        let elements: usize = lists.map(|list| list.elements).sum();
        let counted = elements <= MAX_ELEMENTS - OTHERS - IN_TEXTS;
        let whole = read
            .origin_server_ts
            .is_none_or(|number| number <= MAX_INTEGER);
        (counted && whole).then_some(read)
    }

    /// The parts, if each event is one canonical value.
    fn ingest(self, limit: usize) -> Option<EndpointParts> {
        let lists = [self.pdus, self.edus].into_iter().flatten();
        let events: usize = lists.map(|list| list.bytes + list.elements).sum();
        if events > limit {
            return None;
        }
        let mut content =
            ObjectJoiner::with_capacity(events + NAMES + self.origin.map_or(0, str::len));
        if let Some(edus) = self.edus {
            content.array("edus", edus.iter());
        }
        if let Some(origin) = self.origin {
            content.string("origin", origin);
        }
        if let Some(number) = self.origin_server_ts {
            content.integer("origin_server_ts", number);
        }
        if let Some(pdus) = self.pdus {
            content.array("pdus", pdus.iter());
        }
        let content = content.finish()?;
        (content.text().len() <= limit).then(|| EndpointParts {
            path: vec![self.transaction_id.to_owned()],
            query: Query::default(),
            content: Content::Json(content),
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message;

    use super::*;
    use crate::elements;

    /// Texts of what looks like so many elements, and events.
    fn message(in_id: usize, in_origin: usize, events: usize) -> Vec<u8> {
        pb::SendTransactionRequest {
            transaction_id: "\n\0".repeat(in_id),
            origin: Some("\n\0".repeat(in_origin)),
            origin_server_ts: Some(1),
            pdus: Some(pb::JsonList {
                items: vec![Bytes::from_static(b"1"); events],
            }),
            ..Default::default()
        }
        .encode_to_vec()
    }

    #[test]
    fn what_is_counted_too_many_is_not_taken() {
        let most = MAX_ELEMENTS - OTHERS - IN_TEXTS;
        for (in_id, in_origin, events, is_taken, is_allowed) in [
            (0, 0, 1, true, true),
            (MAX_TEXT / 2, MAX_TEXT / 2, most, true, true),
            (MAX_TEXT / 2, MAX_TEXT / 2, most + 1, false, true),
            (MAX_TEXT / 2, MAX_TEXT / 2, most + OTHERS, false, false),
            (MAX_TEXT / 2 + 1, 0, 1, false, true),
            (0, MAX_TEXT / 2 + 1, 1, false, true),
            (MAX_ELEMENTS + 1, 0, 1, false, false),
            (0, MAX_ELEMENTS + 1, 1, false, false),
        ] {
            let message = message(in_id, in_origin, events);
            let what = format!("{in_id}, {in_origin}, {events}");
            assert_eq!(InOrder::read(&message).is_some(), is_taken, "{what}");
            assert_eq!(elements::check(&message).is_ok(), is_allowed, "{what}");
        }
    }
}
