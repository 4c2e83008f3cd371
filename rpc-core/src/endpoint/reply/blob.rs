//! The multipart reply of a blob as it comes in.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};

use super::read::{over_limit, protocol};
use crate::{
    call::{Blob, BlobSource, ByteStream, OperationSpec, Reply},
    endpoint::multipart::{MultipartEvent, MultipartReader, PartHead},
    error::CallError,
    json::Object,
};

/// A multipart body's events as its bytes arrive.
struct MultipartEvents {
    reader: MultipartReader,
    body: Option<ByteStream>,
    /// What was left when the body had ended.
    tail: VecDeque<MultipartEvent>,
}

impl Stream for MultipartEvents {
    type Item = Result<MultipartEvent, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let Some(body) = this.body.as_mut() else {
                return Poll::Ready(this.tail.pop_front().map(Ok));
            };
            match this.reader.next() {
                Ok(Some(event)) => return Poll::Ready(Some(Ok(event))),
                Ok(None) => {}
                Err(error) => {
                    this.body = None;
                    return Poll::Ready(Some(Err(malformed_multipart(error))));
                }
            }
            match ready!(body.as_mut().poll_next(cx)) {
                Some(Ok(chunk)) => this.reader.push(chunk),
                Some(Err(error)) => {
                    this.body = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    this.body = None;
                    match this.reader.finish() {
                        Ok(tail) => this.tail.extend(tail),
                        Err(error) => return Poll::Ready(Some(Err(malformed_multipart(error)))),
                    }
                }
            }
        }
    }
}

/// Reads up to the head of the part with the bytes; the bytes follow as a stream.
pub(super) async fn read_blob(
    reader: MultipartReader,
    body: ByteStream,
    spec: &'static OperationSpec,
) -> Result<Reply, CallError> {
    let mut events = MultipartEvents {
        reader,
        body: Some(body),
        tail: VecDeque::new(),
    };
    let mut metadata = None;
    while let Some(event) = events.next().await {
        match event? {
            MultipartEvent::Metadata(bytes) => {
                metadata = Some(Object::parse(bytes, spec.limits.message).map_err(|error| {
                    protocol("the blob's metadata is no JSON object").with_source(error)
                })?);
            }
            MultipartEvent::Part(part) => {
                let Some(metadata) = metadata else {
                    return Err(protocol("the blob's first part is not its metadata").into());
                };
                let (source, bytes): (_, ByteStream) = match part {
                    PartHead::Content {
                        content_type,
                        content_disposition,
                    } => (
                        BlobSource::Here {
                            content_type,
                            content_disposition,
                        },
                        Box::pin(BlobReader {
                            events,
                            read: 0,
                            limit: spec.limits.stream,
                            ended: false,
                        }),
                    ),
                    PartHead::Location(url) => (BlobSource::Location(url), stream::empty().boxed()),
                };
                return Ok(Reply::Blob(Blob {
                    metadata,
                    source,
                    bytes,
                }));
            }
            MultipartEvent::Data(_) | MultipartEvent::End => {}
        }
    }
    Err(protocol("the blob's second part is missing").into())
}

fn malformed_multipart(error: impl std::error::Error + Send + Sync + 'static) -> CallError {
    protocol("the multipart reply is malformed")
        .with_source(error)
        .into()
}

/// A blob's bytes as they arrive.
struct BlobReader {
    events: MultipartEvents,
    read: u64,
    limit: u64,
    ended: bool,
}

impl Stream for BlobReader {
    type Item = Result<Bytes, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while !this.ended {
            let last = match ready!(Pin::new(&mut this.events).poll_next(cx)) {
                Some(Ok(MultipartEvent::Data(bytes))) => {
                    this.read += bytes.len() as u64;
                    if this.read <= this.limit {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                    Some(over_limit("the blob", this.limit, "limits.stream"))
                }
                // What may follow the end is an epilogue without meaning; it is read so that the connection can be used again.
                Some(Ok(_)) => continue,
                Some(Err(error)) => Some(error),
                None => None,
            };
            this.ended = true;
            return Poll::Ready(last.map(Err));
        }
        Poll::Ready(None)
    }
}
