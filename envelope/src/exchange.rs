//! From calls and replies to envelopes and frames, and back.

use std::{any::Any, error::Error, sync::Arc};

use bytes::Bytes;
use comity_core::{
    CallService, Operations,
    call::{ByteStream, Call, CallContext, Credentials, Op, Reply, TraceContext},
    endpoint::{Content, WireBody, WireReply, read_content, write_error, write_reply as to_wire},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
};
use futures_util::{Stream, StreamExt, stream, stream::BoxStream};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::{Frame, MAX_DATA, RequestEnvelope, map::EnvelopeError};

/// Most characters of the reason for breaking a reply off.
const MAX_REASON: usize = 1_000;

/// The request envelope of a call: its endpoint form, as it was signed if it was, and what travels beside it.
///
/// # Errors
/// Nothing was sent: the call cannot be written as an endpoint, or something is over its limit.
pub fn write_request(call: &mut Call) -> Result<Bytes, CallError> {
    let form = call.make_form()?;
    let content = match form.content() {
        Content::Absent => None,
        content => Some(content.bytes()),
    };
    let content_type = match form.content() {
        Content::Opaque { .. } => form.content().media_type().map(str::to_owned),
        _ => None,
    };
    let (method, target) = (form.method().to_owned(), form.target().to_owned());
    let context = call.context();
    let request = RequestEnvelope {
        method,
        target,
        content,
        content_type,
        destination: context.destination.as_ref().map(ToString::to_string),
        credentials: context.credentials.iter().map(str::to_owned).collect(),
        deadline: context
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now())),
        via: context.via.clone(),
        from: context.from.clone(),
        trace: context.trace.clone(),
    };
    Ok(request.encode().map_err(|error| {
        let kind = TransportErrorKind::LimitExceeded;
        TransportError::new(kind, Delivery::NotSent, error.to_string())
    })?)
}

/// The call in a request envelope, routed by the table and read strictly.
///
/// `binding` is the name of the one that it came over, and `connection` what that knows of the way: what an
/// [`Authenticator`](comity_core::auth::Authenticator) of its own may ask for.
///
/// Trace context is dropped, as anybody can send some: [`read_request_of_peer`] believes it.
///
/// # Errors
/// The answer that the caller gets: 400 or 413 for bytes that are no envelope, or what the table and the operation refuse.
pub fn read_request(
    bytes: &Bytes,
    operations: &Operations,
    binding: &'static str,
    connection: Option<Arc<dyn Any + Send + Sync>>,
) -> Result<Call, FederationError> {
    let mut call = read_request_of_peer(bytes, operations, binding, connection)?;
    call.context_mut().trace = TraceContext::default();
    Ok(call)
}

/// As [`read_request`], from a peer that is configured: its trace context is believed.
///
/// # Errors
/// As [`read_request`].
pub fn read_request_of_peer(
    bytes: &Bytes,
    operations: &Operations,
    binding: &'static str,
    connection: Option<Arc<dyn Any + Send + Sync>>,
) -> Result<Call, FederationError> {
    let request = RequestEnvelope::decode(bytes).map_err(refusal)?;
    let mut context = CallContext::received(binding);
    context.connection = connection;
    if let Some(destination) = request.destination {
        let name = destination.parse().map_err(|_| {
            FederationError::invalid_param("the envelope's destination is no server name")
        })?;
        context.destination = Some(name);
    }
    context.credentials = Credentials::new(request.credentials);
    // A time so far away that no clock holds it is none.
    context.deadline = request
        .deadline
        .and_then(|left| Instant::now().checked_add(left));
    context.via = request.via;
    context.from = request.from;
    context.trace = request.trace;
    let (content, content_type) = (request.content, request.content_type);
    operations.read(
        request.method.into(),
        request.target,
        context,
        |op| match content {
            None => Ok(Content::Absent),
            Some(bytes) => read_content(op, content_type.as_deref(), bytes),
        },
    )
}

/// The frames of a reply. They end with [`Frame::Complete`], or with [`Frame::Aborted`] if the reply breaks off while it streams.
///
/// Dropping the stream drops the reply's: a binding does so when its peer has gone.
pub fn write_reply(reply: WireReply) -> BoxStream<'static, Bytes> {
    let body = match reply.body {
        WireBody::Whole(bytes) => stream::once(async { Ok(bytes) }).boxed(),
        WireBody::Stream(bytes) => bytes,
    };
    let frames = stream::once(async { Ok(reply.head) })
        .map(|head| head.map(Frame::Head))
        .chain(body.flat_map(|data| stream::iter(pieces(data))))
        .chain(stream::once(async { Ok(Frame::Complete) }));
    // Nothing may follow an error: neither data nor the word that they are complete.
    frames
        .scan(false, |broken, frame: Result<Frame, CallError>| {
            let next = (!*broken).then(|| {
                // A head that is over its limit can only come from a peer of a gateway's; its caller learns so.
                let encoded = frame
                    .map_err(|error| reason(&error))
                    .and_then(|frame| frame.encode().map_err(|error| error.to_string()));
                *broken = encoded.is_err();
                encoded.unwrap_or_else(aborted_for)
            });
            std::future::ready(next)
        })
        .boxed()
}

/// A body's bytes in pieces that a frame may hold.
fn pieces(data: Result<Bytes, CallError>) -> Vec<Result<Frame, CallError>> {
    let mut data = match data {
        Ok(data) => data,
        Err(error) => return vec![Err(error)],
    };
    let mut frames = Vec::with_capacity(data.len().div_ceil(MAX_DATA));
    while !data.is_empty() {
        let piece = data.split_to(data.len().min(MAX_DATA));
        frames.push(Ok(Frame::Data(piece)));
    }
    frames
}

/// The last frame of a reply that breaks off.
fn aborted_for(reason: String) -> Bytes {
    let encoded = Frame::Aborted(reason).encode();
    encoded.expect("the text of a limit is short, and so is a reason that was cut")
}

/// The error and its causes in one line, cut to what a frame may hold.
fn reason(error: &CallError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.chars().take(MAX_REASON).collect()
}

/// Answers a request envelope by `service`: the whole of a server but for its framing.
///
/// What is no envelope is answered as an error, like any other wrong request. Dropping the future or the frames gives the call up.
pub async fn answer(
    bytes: Bytes,
    operations: &Operations,
    service: CallService,
    binding: &'static str,
    connection: Option<Arc<dyn Any + Send + Sync>>,
) -> BoxStream<'static, Bytes> {
    write_reply(
        match read_request(&bytes, operations, binding, connection) {
            Ok(call) => {
                let operation = call.operation();
                to_wire(operation, service.oneshot(call).await)
            }
            Err(error) => write_error(&error),
        },
    )
}

/// The reply of a call of `operation` from its frames.
///
/// An error among the frames is what happened on the way, as the binding saw it. The frames are not asked for more once the reply is complete.
///
/// # Errors
/// The peer's answer if it is one; a reply that breaks off, breaks the form, is over a limit, or is not what the operation gives.
pub async fn read_reply<S>(operation: Op, frames: S) -> Result<Reply, CallError>
where
    S: Stream<Item = Result<Bytes, CallError>> + Send + 'static,
{
    let mut frames = frames.boxed();
    let head = match next(&mut frames).await? {
        Frame::Head(head) => head,
        Frame::Aborted(why) => return Err(aborted(&why)),
        _ => return Err(protocol("the reply's first frame is not its head").into()),
    };
    // What stands around the elements counts little; the operation's own limits are read_reply's.
    let limit = operation.spec().limits.stream.saturating_add(1 << 20);
    let body: ByteStream =
        stream::try_unfold((frames, limit), move |(mut frames, left)| async move {
            match next(&mut frames).await? {
                Frame::Data(data) => match left.checked_sub(data.len() as u64) {
                    Some(left) => Ok(Some((data, (frames, left)))),
                    None => Err(over_limit(limit).into()),
                },
                Frame::Complete => Ok(None),
                Frame::Aborted(why) => Err(aborted(&why)),
                Frame::Head(_) => Err(protocol("the reply has a second head").into()),
            }
        })
        .boxed();
    comity_core::endpoint::read_reply(operation, head, body).await
}

async fn next(
    frames: &mut BoxStream<'static, Result<Bytes, CallError>>,
) -> Result<Frame, CallError> {
    let bytes = frames.next().await.unwrap_or_else(|| {
        let why = "the reply is truncated: it ended before it was complete";
        Err(closed(why).into())
    })?;
    Ok(Frame::decode(&bytes)
        .map_err(|error| protocol("a frame of the reply is none").with_source(error))?)
}

/// The answer to bytes that are no envelope.
fn refusal(error: EnvelopeError) -> FederationError {
    match error {
        EnvelopeError::TooLarge { .. } | EnvelopeError::TooMany { .. } => {
            FederationError::new(413, "M_TOO_LARGE", error.to_string())
        }
        EnvelopeError::Malformed { what, source } => {
            FederationError::bad_json(format!("{what} of the envelope is malformed: {source}"))
        }
        error => FederationError::bad_json(error.to_string()),
    }
}

fn aborted(why: &str) -> CallError {
    closed(format!("the peer broke the reply off: {why}")).into()
}

fn closed(why: impl Into<String>) -> TransportError {
    TransportError::new(TransportErrorKind::Closed, Delivery::MaybeProcessed, why)
}

fn protocol(why: &str) -> TransportError {
    TransportError::new(TransportErrorKind::Protocol, Delivery::MaybeProcessed, why)
}

fn over_limit(limit: u64) -> TransportError {
    TransportError::new(
        TransportErrorKind::LimitExceeded,
        Delivery::MaybeProcessed,
        format!(
            "the reply is over the limit of {limit} bytes of the caller (setting: limits.stream)"
        ),
    )
}
