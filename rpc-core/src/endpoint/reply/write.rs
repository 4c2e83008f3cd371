//! Replies as they go out.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};

use super::{JSON, ReplyHead, WireBody, WireReply, tuple};
use crate::{
    call::{Blob, BlobSource, Body, ByteStream, EventStream, Op, Part, PartStream, Reply},
    endpoint::multipart::{MultipartWriter, PartHead},
    error::{CallError, FederationError},
    json::StreamWriter,
};

/// How much of an event stream is collected before it is handed to the wire, in bytes.
const CHUNK: usize = 32 << 10;

/// Writes what a call of `operation` is answered.
///
/// A [`TransportError`](crate::error::TransportError) (a gateway could not reach the next hop) becomes 502, or 504 if time ran out, `M_UNKNOWN`.
pub fn write_reply(operation: Op, result: Result<Reply, CallError>) -> WireReply {
    match result {
        Ok(Reply::Message(mut message)) => {
            let object = message.content().text();
            WireReply {
                head: head(200, Some(JSON.to_owned())),
                body: WireBody::Whole(match operation.reply_in_tuple() {
                    true => tuple::close(object),
                    false => object.clone(),
                }),
            }
        }
        Ok(Reply::Events(events)) => WireReply {
            head: head(200, Some(JSON.to_owned())),
            body: WireBody::Stream(match operation.reply_in_tuple() {
                true => between(tuple::OPENING, write_events(events), tuple::CLOSING),
                false => write_events(events),
            }),
        },
        Ok(Reply::Blob(blob)) => write_blob(blob),
        Ok(Reply::Body(body)) => write_body(body),
        Err(error) => write_error(&federation_error(error)),
    }
}

/// What this side tells a peer about an error: an answer as it is, trouble on the way as a gateway's 502 or 504.
pub fn federation_error(error: CallError) -> FederationError {
    match error {
        CallError::Federation(error) => error,
        CallError::Transport(error) => FederationError::from_transport(&error, "comity"),
    }
}

/// Writes the answer to what has become no call: an error before the operation is known.
pub fn write_error(error: &FederationError) -> WireReply {
    WireReply {
        head: ReplyHead {
            retry_after: error.retry_after_header(),
            ..head(
                error.http_status(),
                Some(error_type(error.body()).to_owned()),
            )
        },
        body: WireBody::Whole(error.body().clone()),
    }
}

/// An error's body that came from elsewhere may be anything. What is no JSON goes out as text, never as a page.
fn error_type(body: &[u8]) -> &'static str {
    match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        Ok(_) => JSON,
        Err(_) => "text/plain; charset=utf-8",
    }
}

fn head(status: u16, content_type: Option<String>) -> ReplyHead {
    ReplyHead {
        status,
        content_type,
        ..ReplyHead::default()
    }
}

/// Collects parts into chunks of one JSON object. Parts that are ready together share a chunk.
struct EventWriter {
    parts: PartStream,
    writer: Option<StreamWriter>,
    /// What ends the reply once the bytes before it are out.
    error: Option<CallError>,
}

fn write_events(events: EventStream) -> ByteStream {
    Box::pin(EventWriter {
        parts: events.parts,
        writer: Some(StreamWriter::new()),
        error: None,
    })
}

impl Stream for EventWriter {
    type Item = Result<Bytes, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let Some(writer) = this.writer.as_mut() else {
                return Poll::Ready(this.error.take().map(Err));
            };
            let part = match this.parts.as_mut().poll_next(cx) {
                Poll::Ready(part) => part,
                // What is written already need not wait for the next part.
                Poll::Pending if writer.buffered() > 0 => {
                    return Poll::Ready(Some(Ok(writer.take())));
                }
                Poll::Pending => return Poll::Pending,
            };
            let written = match part {
                None => {
                    writer.finish();
                    let last = writer.take();
                    this.writer = None;
                    return Poll::Ready(Some(Ok(last)));
                }
                Some(part) => part.and_then(|part| write_part(writer, part)),
            };
            if let Err(error) = written {
                let before = writer.take();
                (this.writer, this.error) = (None, Some(error));
                if !before.is_empty() {
                    return Poll::Ready(Some(Ok(before)));
                }
            } else if writer.buffered() >= CHUNK {
                return Poll::Ready(Some(Ok(writer.take())));
            }
        }
    }
}

fn write_part(writer: &mut StreamWriter, part: Part) -> Result<(), CallError> {
    let written = match part {
        Part::Array(name) => writer.array_start(name),
        Part::Item { value, .. } => writer.item(&value),
        Part::Member { name, value } => writer.member(&name, &value),
        Part::Oversized {
            array,
            index,
            bytes,
        } => {
            return Err(local(format!(
                "element {index} of `{array}` ({bytes} bytes) was over the limit and cannot be passed on"
            )));
        }
    };
    written.map_err(|error| local(format!("the reply's parts make no JSON object: {error}")))
}

/// A fault of this side, found while a reply is on its way.
fn local(message: String) -> CallError {
    FederationError::internal(message).into()
}

/// A stream of bytes with more before and behind it. What breaks off has nothing behind it.
fn between(before: impl Into<Bytes>, bytes: ByteStream, after: impl Into<Bytes>) -> ByteStream {
    stream::once(std::future::ready(Ok(before.into())))
        .chain(bytes)
        .chain(stream::once(std::future::ready(Ok(after.into()))))
        .boxed()
}

fn write_body(body: Body) -> WireReply {
    if !(200..300).contains(&body.status) {
        return write_error(&FederationError::internal(format!(
            "a handler gave a body with status {}, which is no success",
            body.status
        )));
    }
    WireReply {
        head: ReplyHead {
            content_disposition: body.content_disposition,
            ..head(body.status, body.content_type)
        },
        body: WireBody::Stream(body.bytes),
    }
}

fn write_blob(blob: Blob) -> WireReply {
    let writer = MultipartWriter::new();
    let content_type = writer.content_type();
    let part = match blob.source {
        BlobSource::Here {
            content_type,
            content_disposition,
        } => PartHead::Content {
            content_type,
            content_disposition,
        },
        BlobSource::Location(url) => PartHead::Location(url),
    };
    let before = match writer.head(blob.metadata.text(), &part) {
        Ok(before) => before,
        Err(error) => {
            return write_error(&FederationError::internal(format!(
                "the blob cannot be sent: {error}"
            )));
        }
    };
    let after = writer.tail();
    WireReply {
        head: head(200, Some(content_type)),
        body: WireBody::Stream(between(before, blob.bytes, after)),
    }
}
