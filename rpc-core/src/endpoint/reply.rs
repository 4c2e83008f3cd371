//! A reply as the specification writes it: status, media type, body. Written and read incrementally where it may be large.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_util::{StreamExt, stream};

use super::multipart::{MultipartEvent, MultipartReader, MultipartWriter, PartHead};
use crate::{
    call::{
        Blob, BlobSource, ByteStream, EventStream, Message, OperationSpec, Part, PartStream, Reply,
        ReplyShape,
    },
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
    json::{Object, StreamLimits, StreamPart, StreamReader, StreamWriter},
};

/// Media type of every reply that is no blob.
const JSON: &str = "application/json";

/// How much of an event stream is collected before it is handed to the wire, in bytes.
const CHUNK: usize = 32 << 10;

/// A reply as it goes out.
#[derive(Debug)]
pub struct WireReply {
    /// Status, media type and retry hint.
    pub head: ReplyHead,
    /// The body.
    pub body: WireBody,
}

/// What stands before a reply's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyHead {
    /// HTTP status code.
    pub status: u16,
    /// Media type with its parameters.
    pub content_type: Option<String>,
    /// Value of `Retry-After`.
    pub retry_after: Option<String>,
}

/// A reply's body as it goes out.
pub enum WireBody {
    /// Known whole.
    Whole(Bytes),
    /// Made as it is read. An error aborts the reply: it must never end as if it were complete.
    Stream(ByteStream),
}

impl fmt::Debug for WireBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// Writes a reply or error.
///
/// A [`TransportError`] (a gateway could not reach the next hop) becomes 502, or 504 if time ran out, `M_UNKNOWN`.
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
            content_type: Some(JSON.to_owned()),
            retry_after: error.retry_after_header(),
        },
        body: WireBody::Whole(error.body().clone()),
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

/// Reads the reply to a call of the operation with facts `spec`.
///
/// # Errors
/// Another status than 2xx, or an empty 202, is the peer's answer: [`FederationError`]. A 2xx reply that is not what the
/// operation replies is a [`TransportError`] of kind `Protocol`; over a limit, `LimitExceeded`, naming it.
pub async fn read_reply(
    spec: &'static OperationSpec,
    head: ReplyHead,
    mut body: ByteStream,
) -> Result<Reply, CallError> {
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
            let bytes = read_whole(&mut body, spec).await?;
            if bytes.is_empty() && head.status == 202 {
                return Err(
                    FederationError::from_http(202, head.retry_after.as_deref(), bytes).into(),
                );
            }
            require_json(media_type)?;
            let content = Object::parse(bytes, spec.limits.message)
                .map_err(|error| protocol("the reply is not a JSON object").with_source(error))?;
            Ok(Reply::Message(Message::from_content(content)))
        }
        ReplyShape::Events { arrays } => {
            require_json(media_type)?;
            Ok(Reply::Events(EventStream {
                parts: read_events(body, arrays, spec),
            }))
        }
        ReplyShape::Blob => {
            let content_type = head.content_type.unwrap_or_default();
            let reader = MultipartReader::from_content_type(&content_type)
                .map_err(|error| protocol("the reply is not multipart/mixed").with_source(error))?;
            read_blob(reader, body, spec).await
        }
    }
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

fn protocol(message: impl Into<String>) -> TransportError {
    TransportError::new(
        TransportErrorKind::Protocol,
        Delivery::MaybeProcessed,
        message,
    )
}

fn over_limit(what: &str, limit: u64, setting: &str) -> CallError {
    TransportError::new(
        TransportErrorKind::LimitExceeded,
        Delivery::MaybeProcessed,
        format!(
            "{what} is over the limit of {limit} bytes on the caller's side (setting `{setting}`)"
        ),
    )
    .into()
}

/// As much of an error's body as is kept. A body that breaks off is an answer all the same.
async fn read_error_body(body: &mut ByteStream) -> Bytes {
    const KEPT: usize = 64 << 10;
    let mut kept = BytesMut::new();
    while let Some(Ok(chunk)) = body.next().await {
        let room = KEPT - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if kept.len() == KEPT {
            break;
        }
    }
    kept.freeze()
}

async fn read_whole(body: &mut ByteStream, spec: &OperationSpec) -> Result<Bytes, CallError> {
    let limit = spec.limits.message;
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        let length = first.as_ref().map_or(0, Bytes::len) + rest.len() + chunk.len();
        if length > limit {
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
    reader: StreamReader,
    arrays: &'static [&'static str],
    ended: bool,
}

fn read_events(
    body: ByteStream,
    arrays: &'static [&'static str],
    spec: &'static OperationSpec,
) -> PartStream {
    let limits = StreamLimits {
        item: spec.limits.item,
        member: spec.limits.message,
        total: spec.limits.stream,
    };
    Box::pin(EventReader {
        body: Some(body),
        reader: StreamReader::new(arrays, limits),
        arrays,
        ended: false,
    })
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
                Some(Ok(chunk)) => this.reader.push(chunk),
                Some(Err(error)) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(error)));
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
async fn read_blob(
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
