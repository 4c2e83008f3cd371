//! Parts as chunks that go out.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use comity_core::{
    call::{Part, PartStream},
    error::{CallError, FederationError},
    json::write_string,
};
use futures_core::Stream;
use prost::encoding::{WireType, bool, encode_key, encode_varint, uint32};

use super::{Arrays, Order};
use crate::framing::{FrameWriter, Messages, PREFIX};

/// Most elements of a chunk.
const MAX_ITEMS: usize = 200;

/// A chunk passes this only if one element alone is larger. With its frame it goes out in the one piece that a listener gives HTTP/2 at a time, and arrives
/// as one DATA frame, out of which the elements are sliced; larger ones cost no less CPU, and more memory at every stage.
const MAX_BYTES: usize = 64 << 10;

/// What a key and a length take, of bytes below 256 MiB, and the word `complete` behind.
const FIELD: usize = 7;

/// What stands around the text of the members: the frame's prefix, and the field.
const AROUND_MEMBERS: usize = PREFIX + FIELD;

/// Writes parts as framed chunks. What is ready together shares a chunk; nothing ready waits for more.
pub(crate) fn write(parts: PartStream, arrays: Arrays) -> Messages {
    Box::pin(ChunkWriter {
        parts: Some(parts),
        arrays,
        order: Order::default(),
        pending: Pending::default(),
        room: 0,
        failed: None,
    })
}

struct ChunkWriter {
    /// None once the last chunk is out.
    parts: Option<PartStream>,
    arrays: Arrays,
    order: Order,
    pending: Pending,
    /// What a chunk is given memory for at first: what the last one took.
    room: usize,
    /// Follows the pending chunk.
    failed: Option<CallError>,
}

/// A chunk in the making: the message as far as it is written.
#[derive(Default)]
struct Pending {
    frame: FrameWriter,
    array: Option<usize>,
    items: usize,
    /// Text of the members so far, without the closing brace.
    members: Vec<u8>,
    last_member: Option<String>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.array.is_none() && self.members.is_empty()
    }

    fn of_array(array: usize, begins: bool, room: usize) -> Self {
        let mut frame = FrameWriter::with_room(room);
        let place = u32::try_from(array).unwrap_or(u32::MAX);
        uint32::encode(1, &place, frame.message());
        if begins {
            bool::encode(2, &true, frame.message());
        }
        Self {
            frame,
            array: Some(array),
            ..Self::default()
        }
    }

    /// Whether so many bytes may be added.
    fn has_room(&self, bytes: usize) -> bool {
        self.frame.len() + FIELD + bytes <= MAX_BYTES
    }

    /// Whether an element of this array may be added.
    fn takes_item(&self, array: usize, bytes: usize) -> bool {
        self.array == Some(array) && (self.items == 0 || self.has_room(bytes))
    }

    fn item(&mut self, item: &[u8]) {
        put_bytes(3, item, self.frame.message());
        self.items += 1;
    }

    /// Whether a member may be added, given its name as it is written. Only in ascending order, because the members of a chunk are one canonical object.
    fn takes_member(&self, name: &str, written: &[u8], value: &[u8]) -> bool {
        let bytes = 1 + written.len() + 1 + value.len() + 1;
        self.array.is_none()
            && self.last_member.as_deref().is_none_or(|last| last < name)
            && (self.members.is_empty() || AROUND_MEMBERS + self.members.len() + bytes <= MAX_BYTES)
    }

    fn member(&mut self, name: String, written: &[u8], value: &[u8]) {
        self.members
            .push(if self.members.is_empty() { b'{' } else { b',' });
        self.members.extend_from_slice(written);
        self.members.push(b':');
        self.members.extend_from_slice(value);
        self.last_member = Some(name);
    }

    fn is_full(&self) -> bool {
        self.items >= MAX_ITEMS
            || AROUND_MEMBERS + self.members.len() >= MAX_BYTES
            || self.frame.len() >= MAX_BYTES
    }

    fn finish(mut self, complete: bool) -> Bytes {
        if self.array.is_none() {
            self.frame = FrameWriter::with_room(AROUND_MEMBERS + self.members.len() + 1);
        }
        if !self.members.is_empty() {
            self.members.push(b'}');
            put_bytes(4, &self.members, self.frame.message());
        }
        if complete {
            bool::encode(5, &true, self.frame.message());
        }
        self.frame.finish()
    }
}

/// A field of bytes.
fn put_bytes(field: u32, bytes: &[u8], out: &mut BytesMut) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

impl ChunkWriter {
    /// The pending chunk, to be sent.
    fn take(&mut self, complete: bool) -> Bytes {
        let chunk = std::mem::take(&mut self.pending).finish(complete);
        self.room = chunk.len().next_power_of_two().min(MAX_BYTES);
        chunk
    }

    /// Adds a part; gives the chunk that had to go first.
    fn add(&mut self, part: Part) -> Result<Option<Bytes>, CallError> {
        let place = |name: &str| {
            self.arrays
                .iter()
                .position(|known| *known == name)
                .ok_or_else(|| malformed(format!("`{name}` is no array of the operation")))
        };
        let mut before = None;
        match part {
            Part::Array(name) => {
                let array = place(name)?;
                self.order.array(array, name).map_err(malformed)?;
                if !self.pending.is_empty() {
                    before = Some(self.take(false));
                }
                self.pending = Pending::of_array(array, true, 0);
            }
            Part::Item {
                array: name, value, ..
            } => {
                let array = place(name)?;
                self.order.item(array, name).map_err(malformed)?;
                let item = value.as_bytes();
                if !self.pending.takes_item(array, item.len()) {
                    if !self.pending.is_empty() {
                        before = Some(self.take(false));
                    }
                    self.pending = Pending::of_array(array, false, self.room);
                }
                self.pending.item(item);
            }
            Part::Member { name, value } => {
                self.order.member(&name, self.arrays).map_err(malformed)?;
                let mut written = Vec::with_capacity(name.len() + 2);
                write_string(&mut written, &name);
                let value = value.as_bytes();
                if !self.pending.takes_member(&name, &written, value) && !self.pending.is_empty() {
                    before = Some(self.take(false));
                }
                self.pending.member(name, &written, value);
            }
            Part::Oversized {
                array,
                index,
                bytes,
            } => {
                return Err(malformed(format!(
                    "element {index} of `{array}` ({bytes} bytes) was over the limit and cannot be passed on"
                )));
            }
        }
        Ok(before)
    }
}

/// A fault of this side, found while the reply is on its way.
fn malformed(message: String) -> CallError {
    FederationError::internal(message).into()
}

impl Stream for ChunkWriter {
    type Item = Result<Bytes, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(error) = this.failed.take() {
            this.parts = None;
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            let Some(parts) = this.parts.as_mut() else {
                return Poll::Ready(None);
            };
            let part = match parts.as_mut().poll_next(cx) {
                Poll::Ready(part) => part,
                Poll::Pending if this.pending.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Some(Ok(this.take(false)))),
            };
            let added = match part {
                None => {
                    this.parts = None;
                    return Poll::Ready(Some(Ok(this.take(true))));
                }
                Some(Ok(part)) => this.add(part),
                Some(Err(error)) => Err(error),
            };
            match added {
                Ok(Some(chunk)) => return Poll::Ready(Some(Ok(chunk))),
                Ok(None) if this.pending.is_full() => {
                    return Poll::Ready(Some(Ok(this.take(false))));
                }
                Ok(None) => {}
                // What came before the failure still goes out.
                Err(error) if !this.pending.is_empty() => {
                    this.failed = Some(error);
                    return Poll::Ready(Some(Ok(this.take(false))));
                }
                Err(error) => {
                    this.parts = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use comity_core::json::Value;
    use comity_proto::Chunk;
    use futures_util::{FutureExt, StreamExt, stream};
    use prost::Message;

    use super::*;
    use crate::framing::frame;

    const ARRAYS: Arrays = &["one", "two"];

    fn string(bytes: usize) -> Value {
        Value::string(&"x".repeat(bytes - 2))
    }

    /// What is sent of parts that are all there.
    fn written(parts: Vec<Part>) -> Vec<Bytes> {
        let parts = stream::iter(parts.into_iter().map(Ok)).boxed();
        let frames = write(parts, ARRAYS).map(Result::unwrap).collect();
        frames.now_or_never().unwrap()
    }

    fn decoded(framed: &Bytes) -> Chunk {
        Chunk::decode(framed.slice(PREFIX..)).unwrap()
    }

    #[test]
    fn a_chunk_is_written_as_the_encoder_writes_it() {
        let item = |array, index, bytes| Part::Item {
            array,
            index,
            value: string(bytes),
        };
        let member = |name: &str| Part::Member {
            name: name.to_owned(),
            value: Value::integer(1),
        };
        let parts = vec![
            member("a"),
            member("b"),
            Part::Array("two"),
            item("two", 0, 3),
            item("two", 1, 200),
            Part::Array("one"),
            item("one", 0, 70_000),
            item("one", 1, 3),
            member("c"),
        ];
        let frames = written(parts);
        assert_eq!(frames.len(), 5);
        for framed in &frames {
            assert_eq!(*framed, frame(&decoded(framed)));
        }
        assert_eq!(written(vec![]).len(), 1);
    }

    #[test]
    fn a_chunk_with_its_frame_stays_within_64_kib_unless_one_element_is_larger() {
        let sizes = (0..2_000).map(|number| 3 + number * 7_919 % 5_000);
        let sizes: Vec<usize> = sizes.chain([100_000, 1_000]).collect();
        let items = (0..).zip(&sizes).map(|(index, bytes)| Part::Item {
            array: "one",
            index,
            value: string(*bytes),
        });
        let frames = written([Part::Array("one")].into_iter().chain(items).collect());
        let (large, small): (Vec<_>, Vec<_>) =
            frames.iter().partition(|framed| framed.len() > MAX_BYTES);
        assert_eq!(large.len(), 1);
        assert_eq!(decoded(large[0]).items.len(), 1);
        let full = small.iter().filter(|framed| framed.len() > MAX_BYTES / 2);
        assert!(full.count() > small.len() / 2, "they are filled");
        let lengths = frames.iter().flat_map(|framed| {
            let items = decoded(framed).items;
            items.iter().map(Bytes::len).collect::<Vec<_>>()
        });
        assert!(lengths.eq(sizes), "nothing is lost");
    }

    #[test]
    fn a_chunk_of_members_stays_within_64_kib_to_the_byte() {
        let members = |first: usize, second: usize| {
            // A name that grows as it is written.
            let names = ["a\n", "b\"\u{1}"];
            let sizes = [first, second];
            let members = names
                .into_iter()
                .zip(sizes)
                .map(|(name, bytes)| Part::Member {
                    name: name.to_owned(),
                    value: string(bytes),
                });
            written(members.collect())
        };
        let split = (35_000..36_000).find(|&second| {
            let frames = members(30_000, second);
            assert!(frames.iter().all(|it| it.len() <= MAX_BYTES), "{second}");
            frames.len() > 1
        });
        let last = members(30_000, split.expect("both are over 64 KiB") - 1);
        assert_eq!(last.len(), 1);
        assert!(last[0].len() > MAX_BYTES - 8, "{}", last[0].len());
    }
}
