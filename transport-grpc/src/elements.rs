//! How many elements a message holds, counted before any of them is given memory.
//!
//! An element of three bytes on the wire takes more than thirty once it is decoded, so a message within its size limit could grow
//! tenfold, before anyone has proven who sent it.

use crate::content::CodecError;

/// Most elements of all lists of one message together.
pub(crate) const MAX_ELEMENTS: usize = 100_000;

/// Refuses a message with more than [`MAX_ELEMENTS`] elements. A malformed one passes: decoding refuses it.
pub(crate) fn check(message: &[u8]) -> Result<(), CodecError> {
    if count(message) > MAX_ELEMENTS {
        return Err(CodecError::TooMany {
            limit: MAX_ELEMENTS,
        });
    }
    Ok(())
}

/// The fields of a message, and the elements of those that are lists or maps (`{ repeated … = 1; }`).
fn count(mut message: &[u8]) -> usize {
    let mut count = 0;
    while let Some(key) = varint(&mut message) {
        count += 1;
        let skip = match key & 7 {
            0 => match varint(&mut message) {
                Some(_) => 0,
                None => break,
            },
            1 => 8,
            5 => 4,
            2 => match varint(&mut message).and_then(|length| usize::try_from(length).ok()) {
                Some(length) => {
                    count += items(message.get(..length).unwrap_or_default());
                    length
                }
                None => break,
            },
            _ => break,
        };
        match message.get(skip..) {
            Some(rest) => message = rest,
            None => break,
        }
    }
    count
}

/// Records of field 1 with a length, as far as they go. Text that is no list has none: JSON does not begin with a line feed.
fn items(mut list: &[u8]) -> usize {
    const KEY: u8 = 1 << 3 | 2;
    let mut count = 0;
    while let Some((&KEY, rest)) = list.split_first() {
        list = rest;
        count += 1;
        let length = varint(&mut list).and_then(|length| usize::try_from(length).ok());
        match length.and_then(|length| list.get(length..)) {
            Some(rest) => list = rest,
            None => break,
        }
    }
    count
}

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
    use comity_proto::{JsonList, JsonMap, JsonMember, QueryKeysRequest, SendTransactionRequest};
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
    fn whatever_is_no_message_ends() {
        let message = transaction(50);
        for cut in 0..message.len() {
            count(&message[..cut]);
        }
        for byte in 0..=255 {
            count(&[byte; 100]);
        }
    }
}
