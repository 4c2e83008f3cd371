//! The elements of a chunk, found without decoding it.

use std::vec;

use bytes::{Buf, Bytes};
use comity_proto::Chunk;
use prost::Message;

use crate::{
    content::CodecError,
    elements::{self, MAX_ELEMENTS},
    records::{bytes, short_varint},
};

/// Keys of the fields: their numbers, with the wire type behind.
const ARRAY: u8 = 1 << 3;
const ARRAY_START: u8 = 2 << 3;
const ITEM: u8 = 3 << 3 | 2;
const MEMBERS: u8 = 4 << 3 | 2;
const COMPLETE: u8 = 5 << 3;

/// Fields beside the elements.
const OTHERS: usize = 4;

/// A chunk whose elements are still to be taken out.
#[derive(Default)]
pub(super) struct Opened {
    pub(super) array: Option<u32>,
    pub(super) array_start: bool,
    pub(super) items: Items,
    pub(super) members_json: Bytes,
    pub(super) complete: bool,
}

impl Opened {
    /// Takes in a message. What is written as encoders write it is not decoded; whatever else protobuf allows is, with the same outcome.
    ///
    /// # Errors
    /// It is no chunk, or has more elements than a message may have.
    pub(super) fn read(message: Bytes) -> Result<Self, CodecError> {
        if let Some(opened) = Self::in_order(&message) {
            return Ok(opened);
        }
        elements::check(&message)?;
        let chunk = Chunk::decode(message)?;
        Ok(Self {
            array: chunk.array,
            array_start: chunk.array_start,
            items: Items::Decoded(chunk.items.into_iter()),
            members_json: chunk.members_json,
            complete: chunk.complete,
        })
    }

    /// A message with its fields in ascending order, none but the elements twice, and none that is not known.
    fn in_order(message: &Bytes) -> Option<Self> {
        let mut opened = Self::default();
        let mut rest = &message[..];
        let at = |rest: &[u8]| message.len() - rest.len();
        if let Some((&ARRAY, behind)) = rest.split_first() {
            rest = behind;
            opened.array = Some(u32::try_from(short_varint(&mut rest)?).ok()?);
        }
        if let Some(behind) = rest.strip_prefix(&[ARRAY_START, 1]) {
            rest = behind;
            opened.array_start = true;
        }
        let (begin, mut items) = (at(rest), 0);
        while let Some((&ITEM, behind)) = rest.split_first() {
            rest = behind;
            bytes(&mut rest)?;
            items += 1;
        }
        if items > MAX_ELEMENTS - OTHERS {
            return None;
        }
        opened.items = Items::Sliced(message.slice(begin..at(rest)));
        if let Some((&MEMBERS, behind)) = rest.split_first() {
            rest = behind;
            let members = bytes(&mut rest)?;
            opened.members_json = message.slice_ref(members);
        }
        if let Some(behind) = rest.strip_prefix(&[COMPLETE, 1]) {
            rest = behind;
            opened.complete = true;
        }
        rest.is_empty().then_some(opened)
    }
}

/// The elements of a chunk.
pub(super) enum Items {
    /// Keys, lengths and elements, as they lie in the message.
    Sliced(Bytes),
    /// Elements that were decoded.
    Decoded(vec::IntoIter<Bytes>),
}

impl Default for Items {
    fn default() -> Self {
        Self::Sliced(Bytes::new())
    }
}

impl Items {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Sliced(records) => records.is_empty(),
            Self::Decoded(items) => items.len() == 0,
        }
    }
}

impl Iterator for Items {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Decoded(items) => items.next(),
            Self::Sliced(records) => {
                let mut rest = records.get(1..)?;
                let length = short_varint(&mut rest)?;
                records.advance(records.len() - rest.len());
                Some(records.split_to(length))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn chunks() -> impl Strategy<Value = Chunk> {
        let bytes = || vec(any::<u8>(), 0..300).prop_map(Bytes::from);
        (
            option::of(any::<u32>()),
            any::<bool>(),
            vec(bytes(), 0..5),
            bytes(),
            any::<bool>(),
        )
            .prop_map(
                |(array, array_start, items, members_json, complete)| Chunk {
                    array,
                    array_start,
                    items,
                    members_json,
                    complete,
                },
            )
    }

    fn read(message: impl Into<Bytes>) -> Option<Chunk> {
        let opened = Opened::read(message.into()).ok()?;
        let none = opened.items.is_empty();
        let items: Vec<Bytes> = opened.items.collect();
        assert_eq!(items.is_empty(), none);
        Some(Chunk {
            array: opened.array,
            array_start: opened.array_start,
            items,
            members_json: opened.members_json,
            complete: opened.complete,
        })
    }

    proptest! {
        #[test]
        fn a_chunk_as_encoders_write_it_is_read_without_decoding(chunk in chunks()) {
            let message = Bytes::from(chunk.encode_to_vec());
            let short = chunk.array.is_none_or(|array| array < 1 << 28);
            prop_assert_eq!(Opened::in_order(&message).is_some(), short);
            prop_assert_eq!(read(message), Some(chunk));
        }

        /// Two messages behind one another are one whose fields come twice; cut off, or with a byte changed, it may be none.
        #[test]
        fn whatever_it_is_reads_as_the_decoder_reads_it(
            one in chunks(), other in chunks(), cut in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let both = [one.encode_to_vec(), other.encode_to_vec()].concat();
            let cut = both[..cut.index(both.len() + 1)].to_vec();
            let mut changed = one.encode_to_vec();
            if !changed.is_empty() {
                let place = place.index(changed.len());
                changed[place] = byte;
            }
            for message in [both, cut, changed] {
                prop_assert_eq!(read(message.clone()), Chunk::decode(&message[..]).ok());
            }
        }
    }
}
