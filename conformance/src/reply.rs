//! A reply as a value that can be made again and compared.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use comity_core::{
    call::{Blob, BlobSource, Body, ByteStream, EventStream, Message, Op, Part, Reply, ReplyShape},
    endpoint::{ReplyHead, WireBody, write_reply},
    error::{CallError, Delivery, ErrorKind, TransportErrorKind},
    json::{Members, Object, Value},
};
use futures_util::{StreamExt, stream};

use crate::AnyList;

/// A reply of any shape, read to its end.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplySample {
    /// One message.
    Message(Object),
    /// The parts of an event stream, in order.
    Events(Vec<Part>),
    /// Metadata and bytes.
    Blob(BlobSample),
    /// Bytes with a media type.
    Body(BodySample),
}

/// A blob. Equal whatever pieces its bytes come in.
#[derive(Clone, Debug)]
pub struct BlobSample {
    /// The JSON object that precedes the bytes.
    pub metadata: Object,
    /// Where the bytes are.
    pub source: BlobSource,
    /// The bytes, in the pieces they are handed over in.
    pub pieces: Vec<Bytes>,
}

impl BlobSample {
    /// The bytes in one piece.
    pub fn bytes(&self) -> Bytes {
        self.pieces.concat().into()
    }
}

impl PartialEq for BlobSample {
    fn eq(&self, other: &Self) -> bool {
        self.metadata == other.metadata
            && self.source == other.source
            && self.bytes() == other.bytes()
    }
}

/// A body. Equal whatever pieces its bytes come in.
#[derive(Clone, Debug)]
pub struct BodySample {
    /// The HTTP status.
    pub status: u16,
    /// Media type.
    pub content_type: Option<String>,
    /// The name to save the bytes under.
    pub content_disposition: Option<String>,
    /// The bytes, in the pieces they are handed over in.
    pub pieces: Vec<Bytes>,
}

impl BodySample {
    /// The bytes in one piece.
    pub fn bytes(&self) -> Bytes {
        self.pieces.concat().into()
    }
}

impl PartialEq for BodySample {
    fn eq(&self, other: &Self) -> bool {
        self.status == other.status
            && self.content_type == other.content_type
            && self.content_disposition == other.content_disposition
            && self.bytes() == other.bytes()
    }
}

/// Everything that a stream gives, in one piece, and what it broke off with.
async fn drain(mut stream: ByteStream) -> (Vec<Bytes>, Option<CallError>) {
    let mut bytes = BytesMut::new();
    let mut broken = None;
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => broken = Some(error),
        }
    }
    (vec![bytes.freeze()], broken)
}

impl ReplySample {
    /// A reply of these members; of a stream those beside its arrays.
    pub fn of_members(shape: ReplyShape, members: &Object) -> Self {
        if shape == ReplyShape::Message {
            return Self::Message(members.clone());
        }
        let parts = members.members().map(|(name, value)| Part::Member {
            name: name.into_owned(),
            value,
        });
        Self::Events(parts.collect())
    }

    /// A reply whose lists are all this one.
    pub fn of_lists(shape: ReplyShape, lists: &[AnyList], elements: &[Value]) -> Self {
        if shape == ReplyShape::Message {
            let members = lists.iter().map(|list| {
                let value = Value::array(elements.iter().cloned());
                (list.member.to_owned(), value)
            });
            return Self::Message(Members::from_iter(members).to_object());
        }
        let parts = lists.iter().flat_map(|list| {
            let array = list.member;
            let items = (0..).zip(elements.iter().cloned());
            std::iter::once(Part::Array(array)).chain(items.map(move |(index, value)| Part::Item {
                array,
                index,
                value,
            }))
        });
        Self::Events(parts.collect())
    }

    /// The reply, as a handler would give it; `then` is an error that it breaks off with, if any. A message does not break off.
    pub fn to_reply(&self, then: Option<CallError>) -> Reply {
        match self {
            Self::Message(content) => Reply::Message(Message::from_content(content.clone())),
            Self::Events(parts) => {
                let parts = parts.clone().into_iter().map(Ok).chain(then.map(Err));
                Reply::Events(EventStream {
                    parts: stream::iter(parts).boxed(),
                })
            }
            Self::Blob(blob) => {
                let pieces = blob.pieces.clone().into_iter().map(Ok);
                Reply::Blob(Blob {
                    metadata: blob.metadata.clone(),
                    source: blob.source.clone(),
                    bytes: stream::iter(pieces.chain(then.map(Err))).boxed(),
                })
            }
            Self::Body(body) => {
                let pieces = body.pieces.clone().into_iter().map(Ok);
                Reply::Body(Body {
                    status: body.status,
                    content_type: body.content_type.clone(),
                    content_disposition: body.content_disposition.clone(),
                    bytes: stream::iter(pieces.chain(then.map(Err))).boxed(),
                })
            }
        }
    }

    /// Reads a reply to its end: what came, and what it broke off with, if it did.
    pub async fn read(reply: Reply) -> (Self, Option<CallError>) {
        let mut broken = None;
        let read = match reply {
            Reply::Message(mut message) => Self::Message(message.content().clone()),
            Reply::Events(mut events) => {
                let mut parts = Vec::new();
                while let Some(part) = events.parts.next().await {
                    match part {
                        Ok(part) => parts.push(part),
                        Err(error) => broken = Some(error),
                    }
                }
                Self::Events(parts)
            }
            Reply::Blob(blob) => {
                let pieces;
                (pieces, broken) = drain(blob.bytes).await;
                Self::Blob(BlobSample {
                    metadata: blob.metadata,
                    source: blob.source,
                    pieces,
                })
            }
            Reply::Body(body) => {
                let pieces;
                (pieces, broken) = drain(body.bytes).await;
                Self::Body(BodySample {
                    status: body.status,
                    content_type: body.content_type,
                    content_disposition: body.content_disposition,
                    pieces,
                })
            }
        };
        (read, broken)
    }

    /// Whether this is what a reply that was broken off may have given of `whole`.
    pub fn begins(&self, whole: &Self) -> bool {
        match (self, whole) {
            (Self::Events(some), Self::Events(all)) => all.starts_with(some),
            (Self::Blob(some), Self::Blob(all)) => all.bytes().starts_with(&some.bytes()),
            (Self::Body(some), Self::Body(all)) => all.bytes().starts_with(&some.bytes()),
            _ => false,
        }
    }
}

/// A reply as HTTP sends it, in one piece.
///
/// # Errors
/// It breaks off.
pub async fn written(op: Op, reply: Reply) -> Result<(ReplyHead, Bytes), CallError> {
    let wire = write_reply(op, Ok(reply));
    let body = match wire.body {
        WireBody::Whole(bytes) => bytes,
        WireBody::Stream(mut pieces) => {
            let mut bytes = BytesMut::new();
            while let Some(piece) = pieces.next().await {
                bytes.extend_from_slice(&piece?);
            }
            bytes.freeze()
        }
    };
    Ok((wire.head, body))
}

/// How a call ended, as a value that can be compared across bindings.
pub type Outcome = Result<ReplySample, Failure>;

/// A call that failed, without what a binding may say in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The peer answered so.
    Answer {
        /// The closed kind.
        kind: ErrorKind,
        /// HTTP status.
        http_status: u16,
        /// Matrix errcode.
        errcode: Option<String>,
        /// The least time to wait.
        retry_after: Option<Duration>,
        /// The body, byte for byte.
        body: Bytes,
    },
    /// Something happened on the way.
    Transport {
        /// What.
        kind: TransportErrorKind,
        /// How far the call got.
        delivery: Delivery,
        /// In words, for people; no binding's words are another's.
        message: String,
    },
}

impl From<&CallError> for Failure {
    fn from(error: &CallError) -> Self {
        match error {
            CallError::Federation(error) => Self::Answer {
                kind: error.kind(),
                http_status: error.http_status(),
                errcode: error.errcode().map(str::to_owned),
                retry_after: error.retry_after(),
                body: error.body().clone(),
            },
            CallError::Transport(error) => Self::Transport {
                kind: error.kind(),
                delivery: error.delivery(),
                message: error.message().to_owned(),
            },
        }
    }
}
