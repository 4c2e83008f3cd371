//! What a successful call gives: one message, a stream of events, a blob, or a body.
//!
//! A stream lies outside the erased value, so one layer can bound, count and time it for every operation.

use std::{
    any::Any,
    collections::VecDeque,
    fmt::{self, Debug},
    marker::PhantomData,
    pin::Pin,
};

use futures_core::Stream;
use futures_util::{StreamExt, stream};

use super::{Blob, Body, Operation, ReplyShape, SizeLimits};
use crate::{
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    event::{BadEvent, Element, Pdu},
    json::{Members, Object, ReadError, Value},
};

/// What a successful call gives.
#[derive(Debug)]
pub enum Reply {
    /// One message.
    Message(Message),
    /// One object with arrays that may be huge.
    Events(EventStream),
    /// Metadata and bytes.
    Blob(Blob),
    /// Bytes with a media type.
    Body(Body),
}

/// How an operation's reply type is erased and recovered.
pub trait ReplyForm: Sized + Send + 'static {
    /// Erases the type.
    fn into_reply(self) -> Reply;

    /// Recovers it.
    ///
    /// # Errors
    /// The peer's reply has another shape than the operation's row says, or its content is not of the type.
    fn from_reply(reply: Reply) -> Result<Self, CallError>;
}

/// A reply that is one JSON object.
pub trait MessageForm: Clone + PartialEq + Debug + Send + Sync + 'static {
    /// The object, canonical.
    fn write(&self) -> Object;

    /// Reads it.
    ///
    /// # Errors
    /// A member is missing or of another type; the error names it.
    fn read(object: &Object) -> Result<Self, ReadError>;
}

/// A message of any type.
pub trait AnyMessage: Any + Debug + Send + Sync {
    /// The object, canonical.
    fn write(&self) -> Object;
}

impl<T: MessageForm> AnyMessage for T {
    fn write(&self) -> Object {
        MessageForm::write(self)
    }
}

/// A message as a value, as canonical text, or both.
///
/// A binding that only passes it on never reads it, so a member that our type would refuse still crosses.
#[derive(Debug)]
pub struct Message {
    value: Option<Box<dyn AnyMessage>>,
    content: Option<Object>,
}

impl Message {
    /// A message by value.
    pub fn from_value(value: impl MessageForm) -> Self {
        Self {
            value: Some(Box::new(value)),
            content: None,
        }
    }

    /// A message as it arrived.
    pub fn from_content(content: Object) -> Self {
        Self {
            value: None,
            content: Some(content),
        }
    }

    /// The canonical text, made if it was not there.
    pub fn content(&mut self) -> &Object {
        let value = &self.value;
        self.content
            .get_or_insert_with(|| value.as_ref().map_or_else(Object::empty, |v| v.write()))
    }

    /// Length of the text, if it is there: 0 otherwise.
    pub(crate) fn text_len(&self) -> usize {
        self.content
            .as_ref()
            .map_or(0, |content| content.text().len())
    }

    /// The typed message.
    ///
    /// # Errors
    /// The content is not of this type.
    pub fn typed<T: MessageForm>(self) -> Result<T, CallError> {
        let content = match self.value {
            Some(value) => match (value as Box<dyn Any>).downcast::<T>() {
                Ok(value) => return Ok(*value),
                Err(_) => self.content,
            },
            None => self.content,
        };
        let content = content.unwrap_or_else(Object::empty);
        T::read(&content)
            .map_err(|error| bad_reply("the reply's content is not of its type", error))
    }
}

impl<T: MessageForm> ReplyForm for T {
    fn into_reply(self) -> Reply {
        Reply::Message(Message::from_value(self))
    }

    fn from_reply(reply: Reply) -> Result<Self, CallError> {
        match reply {
            Reply::Message(message) => message.typed(),
            other => Err(wrong_shape("message", &other)),
        }
    }
}

/// One part of a streamed reply, in the order it is read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// An array begins. It tells an empty array from an absent one.
    Array(&'static str),
    /// One element of it: any JSON value.
    Item {
        /// Which array.
        array: &'static str,
        /// Place in it, from 0.
        index: u64,
        /// The element.
        value: Value,
    },
    /// An element beyond the limit for one element; it was skipped.
    Oversized {
        /// Which array.
        array: &'static str,
        /// Place in it, from 0.
        index: u64,
        /// Its size.
        bytes: u64,
    },
    /// Any other member of the object.
    Member {
        /// Its name.
        name: String,
        /// Its value.
        value: Value,
    },
}

/// Parts as they arrive. An error is the last item; an end without error is a complete reply.
pub type PartStream = Pin<Box<dyn Stream<Item = Result<Part, CallError>> + Send>>;

/// A streamed reply of any operation.
pub struct EventStream {
    /// The parts.
    pub parts: PartStream,
}

impl Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventStream")
    }
}

/// A streamed reply: arrays of `T` (events, or event IDs), and other members of type `M`.
///
/// The elements of the arrays are judged one by one; the members may stand before, between or behind them, so they are
/// given by [`EventReply::finish`] when the end has come. Dropping it ends the call.
pub struct EventReply<M, T = Pdu> {
    parts: PartStream,
    members: Members,
    member_bytes: usize,
    _types: PhantomData<fn() -> (M, T)>,
}

/// Bound on all members beside the arrays together, in bytes.
const MAX_MEMBER_BYTES: usize = 16 << 20;

/// Bound on their number.
const MAX_MEMBERS: usize = 10_000;

/// One element of a streamed reply as it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival<T = Pdu> {
    /// A well-formed one.
    Item {
        /// Which array it stood in.
        array: &'static str,
        /// The element.
        item: T,
    },
    /// One that is none. The others are untouched.
    Bad {
        /// Which array it stood in.
        array: &'static str,
        /// Where and why.
        bad: BadEvent,
    },
}

impl<M: MessageForm, T: Element> EventReply<M, T> {
    /// A reply made of parts.
    pub fn from_parts(parts: PartStream) -> Self {
        Self {
            parts,
            members: Members::new(),
            member_bytes: 0,
            _types: PhantomData,
        }
    }

    /// A reply made of a lazily produced list of elements for each array, and the members, which are written last.
    pub fn new<I>(arrays: Vec<(&'static str, I)>, members: M) -> Self
    where
        I: IntoIterator<Item = T> + Send + 'static,
        I::IntoIter: Send,
    {
        let events = arrays.into_iter().flat_map(|(array, events)| {
            std::iter::once(Part::Array(array)).chain((0..).zip(events).map(
                move |(index, item)| Part::Item {
                    array,
                    index,
                    value: item.into_value(),
                },
            ))
        });
        let parts = events.chain(member_parts(&members.write()));
        Self::from_parts(stream::iter(parts.map(Ok)).boxed())
    }

    /// The next element, or `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The reply broke off or is malformed as a whole; what came before stays good.
    pub async fn next(&mut self) -> Option<Result<Arrival<T>, CallError>> {
        while let Some(part) = self.parts.next().await {
            match part {
                Err(error) => return Some(Err(error)),
                Ok(Part::Array(_)) => {}
                Ok(Part::Member { name, value }) => {
                    self.member_bytes += name.len() + value.as_bytes().len();
                    if self.member_bytes > MAX_MEMBER_BYTES {
                        return Some(Err(too_much(format!("exceed {MAX_MEMBER_BYTES} bytes"))));
                    }
                    if self.members.len() == MAX_MEMBERS {
                        return Some(Err(too_much(format!("are more than {MAX_MEMBERS}"))));
                    }
                    self.members.insert(name, value);
                }
                Ok(Part::Item {
                    array,
                    index,
                    value,
                }) => {
                    return Some(Ok(match T::judge(value.clone()) {
                        Ok(item) => Arrival::Item { array, item },
                        Err(fault) => Arrival::Bad {
                            array,
                            bad: BadEvent {
                                index,
                                fault,
                                value: Some(value),
                            },
                        },
                    }));
                }
                Ok(Part::Oversized {
                    array,
                    index,
                    bytes,
                }) => {
                    return Some(Ok(Arrival::Bad {
                        array,
                        bad: BadEvent {
                            index,
                            fault: T::too_large(usize::try_from(bytes).unwrap_or(usize::MAX)),
                            value: None,
                        },
                    }));
                }
            }
        }
        None
    }

    /// Reads to the end, dropping what elements are left, and gives the members beside the arrays.
    ///
    /// # Errors
    /// The reply broke off; a member is missing, of another type, or a list of more than 100,000 elements.
    pub async fn finish(mut self) -> Result<M, CallError> {
        while let Some(arrival) = self.next().await {
            arrival?;
        }
        let members = self.members.to_object();
        members
            .check_counts(SizeLimits::DEFAULT.elements)
            .map_err(|error| too_much(format!("hold too much: {error}")))?;
        M::read(&members)
            .map_err(|error| bad_reply("a member beside the arrays is not of its type", error))
    }
}

/// More beside the arrays than is held.
fn too_much(what: String) -> CallError {
    TransportError::new(
        TransportErrorKind::LimitExceeded,
        Delivery::MaybeProcessed,
        format!("the members beside the arrays {what}"),
    )
    .into()
}

/// The members of an object as parts.
fn member_parts(object: &Object) -> VecDeque<Part> {
    object
        .members()
        .map(|(name, value)| Part::Member {
            name: name.into_owned(),
            value,
        })
        .collect()
}

impl<M, T> Debug for EventReply<M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventReply")
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

impl<M: MessageForm, T: Element> ReplyForm for EventReply<M, T> {
    fn into_reply(self) -> Reply {
        let Self { parts, members, .. } = self;
        // Members that were read already go first, so that a reply can be looked into and passed on.
        let parts = if members.is_empty() {
            parts
        } else {
            stream::iter(member_parts(&members.to_object()).into_iter().map(Ok))
                .chain(parts)
                .boxed()
        };
        Reply::Events(EventStream { parts })
    }

    fn from_reply(reply: Reply) -> Result<Self, CallError> {
        match reply {
            Reply::Events(events) => Ok(Self::from_parts(events.parts)),
            other => Err(wrong_shape("event stream", &other)),
        }
    }
}

impl Reply {
    /// Reads a reply of operation `O`.
    ///
    /// # Errors
    /// As [`ReplyForm::from_reply`].
    pub fn typed<O: Operation>(self) -> Result<O::Reply, CallError> {
        O::Reply::from_reply(self)
    }

    /// Whether the reply has the shape that a row says.
    pub fn has_shape(&self, shape: ReplyShape) -> bool {
        matches!(
            (self, shape),
            (Self::Message(_), ReplyShape::Message)
                | (Self::Events(_), ReplyShape::Events { .. })
                | (Self::Blob(_), ReplyShape::Blob)
                | (Self::Body(_), ReplyShape::Body)
        )
    }
}

pub(super) fn wrong_shape(wanted: &str, got: &Reply) -> CallError {
    let got = match got {
        Reply::Message(_) => "a message",
        Reply::Events(_) => "an event stream",
        Reply::Blob(_) => "a blob",
        Reply::Body(_) => "a body",
    };
    TransportError::new(
        TransportErrorKind::Protocol,
        Delivery::MaybeProcessed,
        format!("the operation's reply is a {wanted}, the peer sent {got}"),
    )
    .into()
}

fn bad_reply(what: &str, error: ReadError) -> CallError {
    TransportError::new(TransportErrorKind::Protocol, Delivery::MaybeProcessed, what)
        .with_source(error)
        .into()
}
