//! How many elements a message holds, counted before any of them is given memory.
//!
//! An element of two bytes on the wire takes 24 or 32 once it is decoded, 40 and its text once it stands in the object that is made of the message, and up to
//! twice that while the lists grow. So a message within its size limit could grow more than fiftyfold, before anyone has proven who sent it.
//!
//! The count follows the decoder, not the schema: what prost takes for a record is one here, however its key is written, whether
//! it is known, and wherever it stands. So it is never less than the number of elements that prost makes. [`records`](crate::records) is the other reader of
//! records, and the strict one: it takes what encoders write, and leaves the rest to the decoder.

use crate::content::CodecError;

/// Most elements of all lists of one message together.
pub(crate) const MAX_ELEMENTS: usize = 100_000;

/// Refuses a message with more than [`MAX_ELEMENTS`] elements. A malformed one passes: decoding refuses it.
///
/// For messages whose bytes and strings are canonical JSON or short. `InvokeRequest` is none: it repeats nothing, and its content is JSON
/// of any writing, whose line feeds could pass for records.
pub(crate) fn check(message: &[u8]) -> Result<(), CodecError> {
    if count(message) > MAX_ELEMENTS {
        return Err(CodecError::TooMany {
            limit: MAX_ELEMENTS,
        });
    }
    Ok(())
}

/// The records of a message, and the elements of those that are lists or maps (`{ repeated … = 1; }`).
fn count(message: &[u8]) -> usize {
    let records = Records(message);
    records.map(|record| 1 + items(record.bytes)).sum()
}

/// Records of field 1 with a length, among whatever others. Canonical JSON has none: they begin with a byte that it escapes.
fn items(list: &[u8]) -> usize {
    Records(list)
        .filter(|record| record.key >> 3 == 1 && record.key & 7 == LENGTH)
        .count()
}

/// Wire type of what begins with its length.
const LENGTH: u64 = 2;

/// The records of a message as far as it is well-formed. The beginning and the end of a group are records without content, those
/// within it stand between: a decoder skips groups that it does not know, and goes on behind them.
struct Records<'m>(&'m [u8]);

struct Record<'m> {
    /// Field number and wire type.
    key: u64,
    /// What has a length; else nothing.
    bytes: &'m [u8],
}

impl<'m> Iterator for Records<'m> {
    type Item = Record<'m>;

    fn next(&mut self) -> Option<Record<'m>> {
        let key = varint(&mut self.0)?;
        let skip = match key & 7 {
            0 => varint(&mut self.0).map(|_| 0)?,
            1 => 8,
            LENGTH => usize::try_from(varint(&mut self.0)?).ok()?,
            3 | 4 => 0,
            5 => 4,
            _ => return None,
        };
        let (content, rest) = self.0.split_at_checked(skip)?;
        self.0 = rest;
        let bytes = if key & 7 == LENGTH { content } else { &[] };
        Some(Record { key, bytes })
    }
}

/// At most ten bytes, leading zeros among them: `8a 00` is 10.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use comity_proto::{
        BackfillRequest, Chunk, GetMissingEventsRequest, JsonList, JsonMap, JsonMember,
        QueryKeysReply, QueryKeysRequest, SendTransactionRequest, StringList,
    };
    use proptest::{
        collection::vec,
        prelude::*,
        strategy::{BoxedStrategy, Strategy},
    };
    use prost::Message;

    use super::*;

    fn transaction(pdus: usize) -> Vec<u8> {
        SendTransactionRequest {
            transaction_id: "1".to_owned(),
            origin_server_ts: Some(-1),
            pdus: Some(JsonList {
                items: vec![Bytes::from_static(b"0"); pdus],
            }),
            extra_json: Bytes::from_static(b"{}"),
            ..Default::default()
        }
        .encode_to_vec()
    }

    #[test]
    fn fields_and_elements_are_counted() {
        assert_eq!(count(&transaction(7)), 4 + 7);
        assert!(check(&transaction(1_000)).is_ok());
        assert!(check(&transaction(MAX_ELEMENTS)).is_err());
    }

    #[test]
    fn members_of_a_map_are_elements() {
        let message = QueryKeysRequest {
            device_keys: Some(JsonMap {
                members: vec![JsonMember::default(); 9],
            }),
            no_content: true,
            ..Default::default()
        };
        assert_eq!(count(&message.encode_to_vec()), 2 + 9);
    }

    #[test]
    fn elements_at_the_top_level_are_counted() {
        let message = BackfillRequest {
            from: vec!["$a".to_owned(); 9],
            ..Default::default()
        };
        assert_eq!(count(&message.encode_to_vec()), 9);
        let message = Chunk {
            array: Some(0),
            items: vec![Bytes::from_static(b"{\"a\":[1,\"b\"]}"); 9],
            ..Default::default()
        };
        assert_eq!(count(&message.encode_to_vec()), 1 + 9);
    }

    /// A record of field 1 that holds this.
    fn nested(content: &[u8]) -> Vec<u8> {
        let mut message = vec![0x0a];
        prost::encoding::encode_varint(content.len() as u64, &mut message);
        [&message, content].concat()
    }

    /// Each of them hides what follows from a reader that is stricter than prost.
    #[test]
    fn what_a_decoder_skips_hides_nothing() {
        const MEMBERS: usize = 2 * MAX_ELEMENTS;
        let plain = [0x0a, 0].repeat(MEMBERS);
        for (what, content) in [
            ("an unknown field first", [&[0x78, 0], &plain[..]].concat()),
            ("an overlong key", [0x8a, 0, 0].repeat(MEMBERS)),
            (
                "a longer one",
                [0x8a, 0x80, 0x80, 0x80, 0, 0].repeat(MEMBERS),
            ),
            ("an empty group first", [&[0x7b, 0x7c], &plain[..]].concat()),
            (
                "a group that holds one",
                [&[0x7b, 0x73, 0x74, 0x7c], &plain[..]].concat(),
            ),
            (
                "fixed fields first",
                [
                    &[0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7d, 1, 2, 3, 4],
                    &plain[..],
                ]
                .concat(),
            ),
        ] {
            for prefix in [&[][..], &[0x7b, 0x7c], &[0x78, 0]] {
                let message = [prefix, &nested(&content)].concat();
                let decoded = QueryKeysReply::decode(&message[..]).unwrap();
                assert_eq!(decoded.device_keys.unwrap().members.len(), MEMBERS);
                assert!(check(&message).is_err(), "{what}");
            }
        }
    }

    #[test]
    fn whatever_is_no_message_ends() {
        let message = transaction(50);
        for cut in 0..message.len() {
            count(&message[..cut]);
        }
        for byte in 0..=255 {
            count(&[byte; 100]);
        }
    }

    /// A key of any form: overlong, of any field and wire type.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        (1u64..10, 0u64..8, 0usize..3).prop_map(|(field, kind, overlong)| {
            let mut key = Vec::new();
            prost::encoding::encode_varint(field << 3 | kind, &mut key);
            if overlong > 0 {
                *key.last_mut().unwrap() |= 0x80;
                key.extend(vec![0x80; overlong - 1]);
                key.push(0);
            }
            key
        })
    }

    /// Records of what prost knows, skips and refuses, some of them in one another.
    fn records() -> BoxedStrategy<Vec<u8>> {
        let record = (key(), vec(any::<u8>(), 0..9)).prop_map(|(key, rest)| [key, rest].concat());
        let group = (1u8..15).prop_map(|field| vec![field << 3 | 3, field << 3 | 4]);
        let empty = (1u8..10).prop_map(|field| vec![field << 3 | 2, 0]);
        let leaf = prop_oneof![2 => record, 2 => group, 6 => empty];
        leaf.prop_recursive(3, 64, 8, |inner| {
            (1u8..10, vec(inner, 0..8)).prop_map(|(field, records)| {
                let mut message = nested(&records.concat());
                message[0] = field << 3 | 2;
                message
            })
        })
        .boxed()
    }

    /// What prost makes of a message, also of one that it refuses in the end.
    fn decoded<M: Message + Default>(bytes: &[u8], elements: fn(&M) -> usize) -> usize {
        let mut message = M::default();
        let _ = message.merge(bytes);
        elements(&message)
    }

    fn listed(list: &Option<JsonList>) -> usize {
        list.as_ref().map_or(0, |list| list.items.len())
    }

    fn mapped(map: &Option<JsonMap>) -> usize {
        map.as_ref().map_or(0, |map| map.members.len())
    }

    proptest! {
        /// Elements among what prost reads over, with nothing else to make up for one that is missed.
        #[test]
        fn prost_never_makes_more_of_a_list_than_were_counted(
            list in vec(prop_oneof![2 => Just(vec![0x0a, 0]), 1 => Just(vec![0x8a, 0, 0]), 3 => records()], 0..12),
        ) {
            let list = list.concat();
            let counted = items(&list);
            prop_assert!(decoded(&list, |list: &JsonList| list.items.len()) <= counted);
            prop_assert!(decoded(&list, |map: &JsonMap| map.members.len()) <= counted);
            prop_assert!(decoded(&list, |list: &StringList| list.items.len()) <= counted);
        }

        #[test]
        fn prost_never_makes_more_elements_than_were_counted(
            bytes in prop_oneof![
                8 => vec(records(), 0..12).prop_map(|records| records.concat()),
                1 => vec(any::<u8>(), 0..64),
            ],
        ) {
            let counted = count(&bytes);
            let made = [
                decoded(&bytes, |message: &SendTransactionRequest| {
                    listed(&message.pdus) + listed(&message.edus) + message.extra_query.len()
                }),
                decoded(&bytes, |message: &QueryKeysReply| {
                    mapped(&message.device_keys)
                        + mapped(&message.master_keys)
                        + mapped(&message.self_signing_keys)
                }),
                decoded(&bytes, |message: &GetMissingEventsRequest| {
                    let events = [&message.earliest_events, &message.latest_events];
                    let events = events.into_iter().flatten();
                    events.map(|events| events.items.len()).sum::<usize>() + message.extra_query.len()
                }),
                decoded(&bytes, |message: &BackfillRequest| {
                    message.from.len() + message.extra_query.len()
                }),
                decoded(&bytes, |message: &Chunk| message.items.len()),
            ];
            prop_assert!(made.iter().all(|made| *made <= counted), "{:?} of {}", made, counted);
        }
    }
}
