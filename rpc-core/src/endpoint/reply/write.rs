//! Replies as they go out.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};

use super::{JSON, ReplyHead, WireBody, WireReply};
use crate::{
    call::{Blob, BlobSource, ByteStream, EventStream, Part, PartStream, Reply},
    endpoint::multipart::{MultipartWriter, PartHead},
    error::{CallError, FederationError},
    json::StreamWriter,
};

/// How much of an event stream is collected before it is handed to the wire, in bytes.
const CHUNK: usize = 32 << 10;

/// Writes a reply or error.
///
/// A [`TransportError`](crate::error::TransportError) (a gateway could not reach the next hop) becomes 502, or 504 if time ran out, `M_UNKNOWN`.
pub fn write_reply(result: Result<Reply, CallError>) -> WireReply {
    match result {
        Ok(Reply::Message(mut message)) => WireReply {
            head: head(200, Some(JSON.to_owned())),
            body: WireBody::Whole(message.content().text().clone()),
        },
        Ok(Reply::Events(events)) => WireReply {
            head: head(200, Some(JSON.to_owned())),
            body: WireBody::Stream(write_events(events)),
        },
        Ok(Reply::Blob(blob)) => write_blob(blob),
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

fn write_error(error: &FederationError) -> WireReply {
    WireReply {
        head: ReplyHead {
            status: error.http_status(),
            content_type: Some(error_type(error.body()).to_owned()),
            retry_after: error.retry_after_header(),
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
        retry_after: None,
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
        body: WireBody::Stream(
            stream::once(std::future::ready(Ok(before)))
                .chain(blob.bytes)
                .chain(stream::once(std::future::ready(Ok(after))))
                .boxed(),
        ),
    }
}
