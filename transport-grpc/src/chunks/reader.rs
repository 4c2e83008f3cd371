//! Chunks as they come in: elements and members, one by one.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    vec,
};

use bytes::Bytes;
use comity_core::{
    call::{OperationSpec, Part, PartStream},
    error::CallError,
    json::Object,
};
use futures_core::Stream;

use super::{
    Arrays, Order,
    layout::{Items, Opened},
};
use crate::{
    client::Incoming,
    content::{CodecError, canonical_object, canonical_value},
    error::{bad_reply, over_limit, protocol},
};

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
    items: Items,
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
        let chunk = Opened::read(message).map_err(|error| match error {
            CodecError::Malformed(error) => {
                protocol("a chunk of the reply is malformed").with_source(error)
            }
            error => bad_reply(error, "limits.message"),
        })?;
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
                current.items = chunk.items;
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
        let (array, bytes) = (self.arrays[array], item.len() as u64);
        match canonical_value(item, self.spec.limits.item, array) {
            Ok(value) => Ok(Some(Part::Item {
                array,
                index,
                value,
            })),
            Err(CodecError::TooLarge { .. }) => Ok(Some(Part::Oversized {
                array,
                index,
                bytes,
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
