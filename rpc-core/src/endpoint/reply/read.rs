//! Replies as they come in.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_util::StreamExt;

use super::{
    JSON, ReplyHead,
    blob::read_blob,
    body::bounded,
    tuple::{self, Opening},
};
use crate::{
    call::{
        Body, ByteStream, EventStream, Message, Op, OperationSpec, Part, PartStream, Reply,
        ReplyShape,
    },
    endpoint::multipart::MultipartReader,
    error::{BODY_LIMIT, CallError, Delivery, FederationError, TransportError, TransportErrorKind},
    json::{Object, StreamLimits, StreamPart, StreamReader},
};

/// Reads the reply to a call of `operation`.
///
/// # Errors
/// Another status than 2xx, or an empty 202, is the peer's answer: [`FederationError`]. A 2xx reply that is not what the
/// operation replies is a [`TransportError`] of kind `Protocol`; over a limit, `LimitExceeded`, naming it.
pub async fn read_reply(
    operation: Op,
    head: ReplyHead,
    mut body: ByteStream,
) -> Result<Reply, CallError> {
    let spec = operation.spec();
    if !(200..300).contains(&head.status) {
        let body = read_error_body(&mut body).await;
        return Err(
            FederationError::from_http(head.status, head.retry_after.as_deref(), body).into(),
        );
    }
    let media_type = head
        .content_type
        .as_deref()
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim();
    match spec.reply {
        ReplyShape::Message => {
            let around = match operation.reply_in_tuple() {
                true => tuple::MAX_AROUND,
                false => 0,
            };
            let bytes = read_whole(&mut body, spec.limits.message, around).await?;
            if bytes.is_empty() && head.status == 202 {
                return Err(
                    FederationError::from_http(202, head.retry_after.as_deref(), bytes).into(),
                );
            }
            require_json(media_type)?;
            let bytes = match operation.reply_in_tuple() {
                true => tuple::open(bytes).map_err(protocol)?,
                false => bytes,
            };
            let content = Object::parse(bytes, spec.limits.message)
                .map_err(|error| protocol("the reply is not a JSON object").with_source(error))?;
            check_counts(&content, spec)?;
            Ok(Reply::Message(Message::from_content(content)))
        }
        ReplyShape::Events { arrays } => {
            require_json(media_type)?;
            Ok(Reply::Events(EventStream {
                parts: read_events(body, arrays, operation),
            }))
        }
        ReplyShape::Blob => {
            let content_type = head.content_type.unwrap_or_default();
            let reader = MultipartReader::from_content_type(&content_type)
                .map_err(|error| protocol("the reply is not multipart/mixed").with_source(error))?;
            read_blob(reader, body, spec).await
        }
        ReplyShape::Body => Ok(Reply::Body(Body {
            status: head.status,
            content_type: head.content_type,
            content_disposition: head.content_disposition,
            bytes: bounded(body, spec.limits.stream),
        })),
    }
}

/// Bounds how many members and elements of arrays a reply that is one message has. [`read_reply`] does it; a binding with messages of its
/// own does it as well.
///
/// # Errors
/// `LimitExceeded`, naming the row's limit.
pub fn check_counts(content: &Object, spec: &OperationSpec) -> Result<(), CallError> {
    content.check_counts(spec.limits.elements).map_err(|error| {
        let message = format!(
            "the reply to {}: {error} on the caller's side (setting `limits.elements`)",
            spec.name
        );
        TransportError::new(
            TransportErrorKind::LimitExceeded,
            Delivery::MaybeProcessed,
            message,
        )
        .into()
    })
}

fn require_json(media_type: &str) -> Result<(), CallError> {
    if media_type.eq_ignore_ascii_case(JSON) {
        return Ok(());
    }
    Err(protocol(format!(
        "the reply's media type is `{media_type}`, not `{JSON}`"
    ))
    .into())
}

pub(super) fn protocol(message: impl Into<String>) -> TransportError {
    TransportError::new(
        TransportErrorKind::Protocol,
        Delivery::MaybeProcessed,
        message,
    )
}

pub(super) fn over_limit(what: &str, limit: u64, setting: &str) -> CallError {
    TransportError::new(
        TransportErrorKind::LimitExceeded,
        Delivery::MaybeProcessed,
        format!(
            "{what} is over the limit of {limit} bytes on the caller's side (setting `{setting}`)"
        ),
    )
    .into()
}

/// As much of an error's body as is kept, [`BODY_LIMIT`] bytes. A body that breaks off is an answer all the same.
///
/// Dropping the future loses what was read.
pub async fn read_error_body(body: &mut ByteStream) -> Bytes {
    let mut kept = BytesMut::new();
    while let Some(Ok(chunk)) = body.next().await {
        let room = BODY_LIMIT - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if kept.len() == BODY_LIMIT {
            break;
        }
    }
    kept.freeze()
}

/// A body of at most `limit` bytes, and `around` more of what is no content.
async fn read_whole(
    body: &mut ByteStream,
    limit: usize,
    around: usize,
) -> Result<Bytes, CallError> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        let length = first.as_ref().map_or(0, Bytes::len) + rest.len() + chunk.len();
        if length > limit + around {
            return Err(over_limit("the reply", limit as u64, "limits.message"));
        }
        match &first {
            // One chunk is the normal case, and needs no copy.
            None => first = Some(chunk),
            Some(head) => {
                if rest.is_empty() {
                    rest.extend_from_slice(head);
                    first = Some(Bytes::new());
                }
                rest.extend_from_slice(&chunk);
            }
        }
    }
    Ok(if rest.is_empty() {
        first.unwrap_or_default()
    } else {
        rest.freeze()
    })
}

/// Parts of an object as its bytes arrive.
struct EventReader {
    body: Option<ByteStream>,
    /// What came before it was known whether the object stands in a tuple. None once it is.
    opening: Option<BytesMut>,
    reader: StreamReader,
    arrays: &'static [&'static str],
    ended: bool,
}

fn read_events(body: ByteStream, arrays: &'static [&'static str], operation: Op) -> PartStream {
    let spec = operation.spec();
    let limits = StreamLimits {
        item: spec.limits.item,
        member: spec.limits.message,
        total: spec.limits.stream,
    };
    Box::pin(EventReader {
        body: Some(body),
        opening: operation.reply_in_tuple().then(BytesMut::new),
        reader: StreamReader::new(arrays, limits),
        arrays,
        ended: false,
    })
}

impl EventReader {
    /// Takes in what came next.
    fn push(&mut self, chunk: Bytes) -> Result<(), CallError> {
        let Some(mut before) = self.opening.take() else {
            self.reader.push(chunk);
            return Ok(());
        };
        before.extend_from_slice(&chunk);
        match tuple::opening(&before).map_err(protocol)? {
            Opening::Unknown => self.opening = Some(before),
            Opening::Bare => self.reader.push(before.freeze()),
            Opening::Tuple(length) => {
                self.reader.end_at_bracket();
                self.reader.push(before.split_off(length).freeze());
            }
        }
        Ok(())
    }
}

impl Stream for EventReader {
    type Item = Result<Part, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        loop {
            match this.reader.next() {
                Ok(Some(part)) => return Poll::Ready(Some(Ok(named(part, this.arrays)))),
                Ok(None) => {}
                Err(error) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(protocol("the streamed reply is malformed")
                        .with_source(error)
                        .into())));
                }
            }
            let Some(body) = this.body.as_mut() else {
                this.ended = true;
                return Poll::Ready(None);
            };
            match ready!(body.as_mut().poll_next(cx)) {
                Some(chunk) => {
                    if let Err(error) = chunk.and_then(|chunk| this.push(chunk)) {
                        this.ended = true;
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                None => {
                    this.body = None;
                    if let Err(error) = this.reader.finish() {
                        this.ended = true;
                        return Poll::Ready(Some(Err(protocol(
                            "the streamed reply is incomplete",
                        )
                        .with_source(error)
                        .into())));
                    }
                }
            }
        }
    }
}

fn named(part: StreamPart, arrays: &'static [&'static str]) -> Part {
    match part {
        StreamPart::ArrayStart { array } => Part::Array(arrays[array]),
        StreamPart::Item {
            array,
            index,
            value,
        } => Part::Item {
            array: arrays[array],
            index,
            value,
        },
        StreamPart::OversizedItem {
            array,
            index,
            bytes,
        } => Part::Oversized {
            array: arrays[array],
            index,
            bytes,
        },
        StreamPart::Member { name, value } => Part::Member { name, value },
    }
}
