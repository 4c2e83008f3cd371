//! A streamed reply as `Chunk`s, and back. One code for every operation: the array's place in the row's list is its name.

use std::{
    collections::HashSet,
    pin::Pin,
    task::{Context, Poll, ready},
    vec,
};

use bytes::Bytes;
use comity_core::{
    call::{OperationSpec, Part, PartStream},
    error::{CallError, FederationError},
    json::{Object, write_string},
};
use comity_proto::Chunk;
use futures_core::Stream;
use prost::Message;

use crate::{
    client::Incoming,
    content::{CodecError, canonical_object, canonical_value},
    elements,
    error::{bad_reply, over_limit, protocol},
    framing::{Messages, frame},
};

/// A chunk is sent once it has so many elements. 50 to 200 a message cost least.
const MAX_ITEMS: usize = 200;
/// A chunk is sent once it has so many bytes; it passes 1 MiB only if one element alone is larger.
const MAX_BYTES: usize = 512 << 10;
const CAPACITY: usize = 1 << 20;

type Arrays = &'static [&'static str];

/// What may follow what, so that the parts make one JSON object.
#[derive(Default)]
struct Order {
    begun: Vec<usize>,
    open: Option<usize>,
    members: HashSet<String>,
}

impl Order {
    fn array(&mut self, array: usize, name: &str) -> Result<(), String> {
        if self.begun.contains(&array) || self.members.contains(name) {
            return Err(format!("array `{name}` begins twice"));
        }
        self.begun.push(array);
        self.open = Some(array);
        Ok(())
    }

    fn item(&self, array: usize, name: &str) -> Result<(), String> {
        match self.open == Some(array) {
            true => Ok(()),
            false => Err(format!(
                "an element of `{name}` comes while that array is not open"
            )),
        }
    }

    fn member(&mut self, name: &str, arrays: Arrays) -> Result<(), String> {
        let begun = self.begun.iter().any(|&array| arrays[array] == name);
        if begun || !self.members.insert(name.to_owned()) {
            return Err(format!("member `{name}` comes twice"));
        }
        self.open = None;
        Ok(())
    }
}

/// Writes parts as framed chunks. What is ready together shares a chunk; nothing ready waits for more.
pub(crate) fn write(parts: PartStream, arrays: Arrays) -> Messages {
    Box::pin(ChunkWriter {
        parts: Some(parts),
        arrays,
        order: Order::default(),
        pending: Pending::default(),
        failed: None,
    })
}

struct ChunkWriter {
    /// None once the last chunk is out.
    parts: Option<PartStream>,
    arrays: Arrays,
    order: Order,
    pending: Pending,
    /// Follows the pending chunk.
    failed: Option<CallError>,
}

/// A chunk in the making.
#[derive(Default)]
struct Pending {
    chunk: Chunk,
    bytes: usize,
    /// Text of the members so far, without the closing brace.
    members: Vec<u8>,
    last_member: Option<String>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.chunk.array.is_none() && self.members.is_empty()
    }

    fn of_array(array: usize, begins: bool) -> Self {
        Self {
            chunk: Chunk {
                array: Some(u32::try_from(array).unwrap_or(u32::MAX)),
                array_start: begins,
                ..Chunk::default()
            },
            ..Self::default()
        }
    }

    /// Whether an element of this array may be added.
    fn takes_item(&self, array: usize, bytes: usize) -> bool {
        self.chunk.array.is_some_and(|own| own as usize == array)
            && (self.bytes == 0 || self.bytes + bytes <= CAPACITY)
    }

    fn item(&mut self, item: Bytes) {
        self.bytes += item.len();
        self.chunk.items.push(item);
    }

    /// Whether a member may be added. Only in ascending order, because the members of a chunk are one canonical object.
    fn takes_member(&self, name: &str, bytes: usize) -> bool {
        self.chunk.array.is_none()
            && self.last_member.as_deref().is_none_or(|last| last < name)
            && (self.bytes == 0 || self.bytes + bytes <= CAPACITY)
    }

    fn member(&mut self, name: String, value: &[u8]) {
        self.members
            .push(if self.members.is_empty() { b'{' } else { b',' });
        write_string(&mut self.members, &name);
        self.members.push(b':');
        self.members.extend_from_slice(value);
        self.bytes += name.len() + value.len();
        self.last_member = Some(name);
    }

    fn is_full(&self) -> bool {
        self.chunk.items.len() >= MAX_ITEMS || self.bytes >= MAX_BYTES
    }

    fn take(&mut self, complete: bool) -> Bytes {
        let mut pending = std::mem::take(self);
        if !pending.members.is_empty() {
            pending.members.push(b'}');
            pending.chunk.members_json = pending.members.into();
        }
        pending.chunk.complete = complete;
        frame(&pending.chunk)
    }
}

impl ChunkWriter {
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
                    before = Some(self.pending.take(false));
                }
                self.pending = Pending::of_array(array, true);
            }
            Part::Item {
                array: name, value, ..
            } => {
                let array = place(name)?;
                self.order.item(array, name).map_err(malformed)?;
                let item = value.text().clone();
                if !self.pending.takes_item(array, item.len()) {
                    if !self.pending.is_empty() {
                        before = Some(self.pending.take(false));
                    }
                    self.pending = Pending::of_array(array, false);
                }
                self.pending.item(item);
            }
            Part::Member { name, value } => {
                self.order.member(&name, self.arrays).map_err(malformed)?;
                let bytes = name.len() + value.as_bytes().len();
                if !self.pending.takes_member(&name, bytes) && !self.pending.is_empty() {
                    before = Some(self.pending.take(false));
                }
                self.pending.member(name, value.as_bytes());
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
                Poll::Pending => return Poll::Ready(Some(Ok(this.pending.take(false)))),
            };
            let added = match part {
                None => {
                    this.parts = None;
                    return Poll::Ready(Some(Ok(this.pending.take(true))));
                }
                Some(Ok(part)) => this.add(part),
                Some(Err(error)) => Err(error),
            };
            match added {
                Ok(Some(chunk)) => return Poll::Ready(Some(Ok(chunk))),
                Ok(None) if this.pending.is_full() => {
                    return Poll::Ready(Some(Ok(this.pending.take(false))));
                }
                Ok(None) => {}
                // What came before the failure still goes out.
                Err(error) if !this.pending.is_empty() => {
                    this.failed = Some(error);
                    return Poll::Ready(Some(Ok(this.pending.take(false))));
                }
                Err(error) => {
                    this.parts = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

/// Reads parts from the chunks of a reply to an operation with facts `spec`.
pub(crate) fn read(incoming: Incoming, arrays: Arrays, spec: &'static OperationSpec) -> PartStream {
    Box::pin(ChunkReader {
        incoming: Some(incoming),
        arrays,
        spec,
        order: Order::default(),
        indexes: vec![0; arrays.len()],
        bytes: 0,
        member_bytes: 0,
        current: Current::default(),
    })
}

struct ChunkReader {
    /// None after the end or an error.
    incoming: Option<Incoming>,
    arrays: Arrays,
    spec: &'static OperationSpec,
    order: Order,
    /// Place of the next element of each array.
    indexes: Vec<u64>,
    /// Bytes of all chunks.
    bytes: u64,
    /// Bytes of all members beside the arrays.
    member_bytes: usize,
    current: Current,
}

/// What of a chunk was not given yet.
#[derive(Default)]
struct Current {
    begins: bool,
    array: usize,
    items: vec::IntoIter<Bytes>,
    members: vec::IntoIter<Part>,
    complete: bool,
}

impl ChunkReader {
    fn open(&mut self, message: Bytes) -> Result<(), CallError> {
        self.bytes += message.len() as u64;
        if self.bytes > self.spec.limits.stream {
            return Err(over_limit(
                "the streamed reply",
                self.spec.limits.stream,
                "limits.stream",
            )
            .into());
        }
        elements::check(&message).map_err(|error| bad_reply(error, "limits.message"))?;
        let chunk = Chunk::decode(message)
            .map_err(|error| protocol("a chunk of the reply is malformed").with_source(error))?;
        let empty = !chunk.array_start && chunk.items.is_empty() && chunk.members_json.is_empty();
        if empty && !chunk.complete {
            return Err(protocol("a chunk of the reply is empty").into());
        }
        let mut current = Current {
            complete: chunk.complete,
            ..Current::default()
        };
        match chunk.array {
            Some(_) if !chunk.members_json.is_empty() => {
                return Err(protocol("a chunk holds both elements and members").into());
            }
            Some(array) => {
                let array = array as usize;
                let name = *self.arrays.get(array).ok_or_else(|| {
                    protocol(format!(
                        "a chunk is of array {array}, which the operation has not"
                    ))
                })?;
                let fits = match chunk.array_start {
                    true => self.order.array(array, name),
                    false => self.order.item(array, name),
                };
                fits.map_err(protocol)?;
                current.begins = chunk.array_start;
                current.array = array;
                current.items = chunk.items.into_iter();
            }
            None if chunk.array_start || !chunk.items.is_empty() => {
                return Err(protocol("a chunk's elements are of no array").into());
            }
            None if chunk.members_json.is_empty() => {}
            None => current.members = self.members(&chunk.members_json)?.into_iter(),
        }
        self.current = current;
        Ok(())
    }

    fn members(&mut self, text: &Bytes) -> Result<Vec<Part>, CallError> {
        self.member_bytes += text.len();
        let limit = self.spec.limits.message;
        if self.member_bytes > limit {
            let members = "what stands beside the arrays";
            return Err(over_limit(members, limit as u64, "limits.message").into());
        }
        let object: Object = canonical_object(text, limit, "members_json")
            .map_err(|error| bad_reply(error, "limits.message"))?;
        let mut parts = Vec::with_capacity(object.len());
        for (name, value) in object.members() {
            self.order.member(&name, self.arrays).map_err(protocol)?;
            parts.push(Part::Member {
                name: name.into_owned(),
                value,
            });
        }
        Ok(parts)
    }

    /// The next part of the chunk at hand.
    fn part(&mut self) -> Result<Option<Part>, CallError> {
        let current = &mut self.current;
        let array = current.array;
        if std::mem::take(&mut current.begins) {
            return Ok(Some(Part::Array(self.arrays[array])));
        }
        if let Some(member) = current.members.next() {
            return Ok(Some(member));
        }
        let Some(item) = current.items.next() else {
            return Ok(None);
        };
        let index = self.indexes[array];
        self.indexes[array] += 1;
        let array = self.arrays[array];
        match canonical_value(&item, self.spec.limits.item, array) {
            Ok(value) => Ok(Some(Part::Item {
                array,
                index,
                value,
            })),
            Err(CodecError::TooLarge { .. }) => Ok(Some(Part::Oversized {
                array,
                index,
                bytes: item.len() as u64,
            })),
            Err(error) => Err(bad_reply(error, "limits.item").into()),
        }
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, CallError>>> {
        loop {
            match self.part() {
                Ok(Some(part)) => return Poll::Ready(Some(Ok(part))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            let Some(incoming) = self.incoming.as_mut() else {
                return Poll::Ready(None);
            };
            match ready!(incoming.poll_next(cx)) {
                Some(Ok(_)) if self.current.complete => {
                    return Poll::Ready(Some(Err(protocol("a chunk follows the last one").into())));
                }
                Some(Ok(message)) => {
                    if let Err(error) = self.open(message) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                Some(Err(refused)) => return Poll::Ready(Some(Err(refused.into()))),
                None if self.current.complete => {
                    self.incoming = None;
                    return Poll::Ready(None);
                }
                None => {
                    return Poll::Ready(Some(Err(protocol(
                        "the streamed reply is truncated: it ended without its last chunk",
                    )
                    .into())));
                }
            }
        }
    }
}

impl Stream for ChunkReader {
    type Item = Result<Part, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let part = ready!(self.poll_part(cx));
        if matches!(part, Some(Err(_))) {
            // Nothing follows an error; dropping the exchange resets its stream.
            self.incoming = None;
            self.current = Current::default();
        }
        Poll::Ready(part)
    }
}
