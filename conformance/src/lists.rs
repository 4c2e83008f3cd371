//! Where an operation lists events, so that a law can put a malformed one there.

use std::fmt;

use comity_core::{
    Boxed,
    call::{Arrival, EventReply, MessageForm, Operation},
    error::CallError,
    event::{Edu, Element, Listed, Pdu},
    json::{Object, Value},
};

/// What a list holds. It decides what a malformed element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elements {
    /// Persistent events.
    Pdus,
    /// Ephemeral events.
    Edus,
    /// IDs of events.
    Ids,
    /// Signed documents that are no events: any objects.
    Documents,
}

/// The lists of an operation's request and reply, whose elements are judged one by one.
pub struct Lists<O: Operation> {
    /// Those of the request.
    pub request: &'static [List<O>],
    /// Those of the reply.
    pub reply: ReplyLists<O::Reply>,
}

impl<O: Operation> Lists<O> {
    /// Neither request nor reply lists events.
    pub const NONE: Self = Self {
        request: &[],
        reply: ReplyLists::Message(&[]),
    };
}

/// An element of a streamed reply with its array.
pub type Streamed = (&'static str, Listed<Value>);

/// The lists of a reply of type `R`.
pub enum ReplyLists<R: 'static> {
    /// Members of a message.
    Message(&'static [List<R>]),
    /// Every array that the operation's row names.
    Stream {
        /// What the arrays hold.
        elements: Elements,
        /// Reads the reply to its end, and the members beside the arrays: every element with its array, in order.
        read: fn(R) -> Boxed<'static, Result<Vec<Streamed>, CallError>>,
    },
}

impl<M: MessageForm, T: Element> ReplyLists<EventReply<M, T>> {
    /// The arrays of a streamed reply.
    pub const fn stream(elements: Elements) -> Self {
        Self::Stream {
            elements,
            read: |mut reply| {
                Box::pin(async move {
                    let mut judged = Vec::new();
                    while let Some(arrival) = reply.next().await {
                        judged.push(match arrival? {
                            Arrival::Item { array, item } => (array, Ok(item.into_value())),
                            Arrival::Bad { array, bad } => (array, Err(bad)),
                        });
                    }
                    reply.finish().await?;
                    Ok(judged)
                })
            },
        }
    }
}

/// A member of `T` that lists events.
pub struct List<T> {
    /// The member's name.
    pub member: &'static str,
    /// What it holds.
    pub elements: Elements,
    /// What became of its elements.
    pub judged: fn(&T) -> Vec<Listed<Value>>,
}

/// What became of persistent events.
pub(crate) fn pdus(list: &[Listed<Pdu>]) -> Vec<Listed<Value>> {
    let judged = list.iter().cloned();
    judged.map(|one| one.map(Pdu::into_value)).collect()
}

/// What became of ephemeral events.
pub(crate) fn edus(list: &[Listed<Edu>]) -> Vec<Listed<Value>> {
    let judged = list.iter().cloned();
    judged
        .map(|one| one.map(|edu| edu.value().clone()))
        .collect()
}

/// What became of signed documents.
pub(crate) fn documents(list: &[Listed<Object>]) -> Vec<Listed<Value>> {
    let judged = list.iter().cloned();
    judged
        .map(|one| one.map(|document| document.to_value()))
        .collect()
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.member, self.elements)
    }
}

impl<R> fmt::Debug for ReplyLists<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(lists) => f.debug_tuple("Message").field(lists).finish(),
            Self::Stream { elements, .. } => f.debug_tuple("Stream").field(elements).finish(),
        }
    }
}

impl<O: Operation> fmt::Debug for Lists<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lists")
            .field("request", &self.request)
            .field("reply", &self.reply)
            .finish()
    }
}
