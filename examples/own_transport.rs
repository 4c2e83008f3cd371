//! A transport of one's own, whole: `frames/1`, where a call is a few frames on a stream of bytes. A signed call passes it, unchanged.
//!
//! A frame is four bytes of length, big-endian, and so many bytes. A request is a head (lines: method, target, media type,
//! destination, then credentials) and the content. A reply is a head (lines: status, media type, `Content-Disposition`, `Retry-After`), the
//! body in as many frames as it takes, and an empty frame: without that one it was cut off. docs/adding-a-transport.md walks through this file.

use std::{error::Error, io, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    CallService, Client, Operations, Router, ServerName,
    api::{self, Calls, GetMissingEvents, GetMissingEventsReply},
    auth::{
        KeyDocument, KeyRing, KeyRingOptions, ServerKeys, Sign, SigningKey, Verify,
        XMatrixAuthenticator, now_ms,
    },
    call::{Authenticated, ByteStream, Call, CallContext, Credentials, Reply},
    endpoint::{ReplyHead, WireBody, read_content, read_reply, write_error, write_reply},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
    transport::{Capabilities, Transport},
};
use futures_util::{StreamExt, stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};
use tower::ServiceExt;

const BINDING: &str = "frames/1";

/// Most bytes of a frame: what the largest request content of the table may have.
const MAX_FRAME: usize = 16 << 20;

/// The client. A new connection for each call; here a pipe within the process, elsewhere a socket.
#[derive(Debug)]
struct Frames {
    door: mpsc::Sender<DuplexStream>,
}

#[async_trait]
impl Transport for Frames {
    fn name(&self) -> &'static str {
        BINDING
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
            .streaming()
            .cancellation()
            .max_message(MAX_FRAME)
    }

    async fn send(&self, mut call: Call) -> Result<Reply, CallError> {
        let operation = call.operation();
        let form = call.make_form()?;
        let content = form.content().bytes();
        let media_type = form.content().media_type().unwrap_or_default();
        let mut lines = vec![
            form.method().to_owned(),
            form.target().to_owned(),
            media_type.to_owned(),
        ];
        let context = call.context();
        lines.push(
            context
                .destination
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
        );
        lines.extend(context.credentials.iter().map(str::to_owned));

        let (mut ours, theirs) = tokio::io::duplex(64 << 10);
        // Nothing has left until the other side has the connection: so much is certain.
        self.door.send(theirs).await.map_err(|error| {
            failed(
                TransportErrorKind::Connect,
                Delivery::NotSent,
                "nobody accepts",
            )
            .with_source(error)
        })?;
        let head = exchange(&mut ours, &lines.join("\n"), &content)
            .await
            .map_err(broken)?;
        read_reply(operation, head, body(ours)).await
    }
}

async fn exchange(wire: &mut DuplexStream, head: &str, content: &[u8]) -> io::Result<ReplyHead> {
    write_frame(wire, head.as_bytes()).await?;
    write_frame(wire, content).await?;
    let head = text(read_frame(wire).await?)?;
    let mut lines = head.split('\n').map(str::to_owned);
    let status = lines.next().and_then(|status| status.parse().ok());
    let mut optional = || lines.next().filter(|line| !line.is_empty());
    Ok(ReplyHead {
        status: status.ok_or(io::ErrorKind::InvalidData)?,
        content_type: optional(),
        content_disposition: optional(),
        retry_after: optional(),
    })
}

/// The body's frames, to the empty one. An end before that is an error: a reply is whole or it is aborted.
fn body(wire: DuplexStream) -> ByteStream {
    stream::try_unfold(wire, |mut wire| async move {
        let frame = read_frame(&mut wire).await.map_err(broken)?;
        Ok((!frame.is_empty()).then_some((frame, wire)))
    })
    .boxed()
}

fn failed(kind: TransportErrorKind, delivery: Delivery, why: &str) -> TransportError {
    TransportError::new(kind, delivery, why)
}

/// Once a byte has left, nobody can say what the peer did.
fn broken(error: io::Error) -> CallError {
    let why = "the connection broke";
    failed(TransportErrorKind::Closed, Delivery::MaybeProcessed, why)
        .with_source(error)
        .into()
}

/// The server: answers each connection's call by `service`.
async fn serve(
    operations: Operations,
    service: CallService,
    mut accepted: mpsc::Receiver<DuplexStream>,
) {
    while let Some(wire) = accepted.recv().await {
        let (operations, service) = (operations.clone(), service.clone());
        tokio::spawn(async move {
            if let Err(error) = answer(&operations, service, wire).await {
                println!("a connection broke: {error}");
            }
        });
    }
}

async fn answer(
    operations: &Operations,
    service: CallService,
    mut wire: DuplexStream,
) -> io::Result<()> {
    let head = text(read_frame(&mut wire).await?)?;
    let content = read_frame(&mut wire).await?;
    let reply = match read_call(operations, &head, content) {
        Ok(call) => {
            let operation = call.operation();
            write_reply(operation, service.oneshot(call).await)
        }
        Err(error) => write_error(&error),
    };
    let head = format!(
        "{}\n{}\n{}\n{}",
        reply.head.status,
        reply.head.content_type.unwrap_or_default(),
        reply.head.content_disposition.unwrap_or_default(),
        reply.head.retry_after.unwrap_or_default()
    );
    write_frame(&mut wire, head.as_bytes()).await?;
    let mut chunks = match reply.body {
        WireBody::Whole(bytes) => stream::once(async { Ok(bytes) }).boxed(),
        WireBody::Stream(chunks) => chunks,
    };
    while let Some(chunk) = chunks.next().await {
        // An error leaves the last frame out, so the peer sees that the reply was cut off.
        let chunk = chunk.map_err(io::Error::other)?;
        if !chunk.is_empty() {
            write_frame(&mut wire, &chunk).await?;
        }
    }
    write_frame(&mut wire, &[]).await
}

/// The strict ingest, the table's routing and the operation's own reading are all behind `Operations::read`.
fn read_call(operations: &Operations, head: &str, content: Bytes) -> Result<Call, FederationError> {
    let mut lines = head.split('\n').map(str::to_owned);
    let mut line = || lines.next().unwrap_or_default();
    let (method, target, media_type, destination) = (line(), line(), line(), line());
    let mut context = CallContext::received(BINDING);
    if !destination.is_empty() {
        let name = destination.parse::<ServerName>();
        let name = name.map_err(|error| FederationError::invalid_param(error.to_string()))?;
        context.destination = Some(name);
    }
    context.credentials = Credentials::new(lines.collect());
    operations.read(method.into(), target, context, |op| {
        let media_type = Some(media_type.as_str()).filter(|kind| !kind.is_empty());
        read_content(op, media_type, content)
    })
}

async fn write_frame(wire: &mut DuplexStream, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    wire.write_all(&length.to_be_bytes()).await?;
    wire.write_all(bytes).await
}

async fn read_frame(wire: &mut DuplexStream) -> io::Result<Bytes> {
    let length = usize::try_from(wire.read_u32().await?).map_err(io::Error::other)?;
    if length > MAX_FRAME {
        let why = format!("a frame of {length} bytes is over the limit of {MAX_FRAME}");
        return Err(io::Error::other(why));
    }
    let mut bytes = vec![0; length];
    wire.read_exact(&mut bytes).await?;
    Ok(bytes.into())
}

fn text(frame: Bytes) -> io::Result<String> {
    String::from_utf8(frame.into())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A server without events, that knows who asks.
struct House;

#[async_trait]
impl api::Events for House {
    async fn get_missing_events(
        &self,
        cx: &Authenticated,
        request: GetMissingEvents,
    ) -> Result<GetMissingEventsReply, FederationError> {
        println!("{}, over {}: {}", cx.origin(), cx.binding, request.room_id);
        Ok(GetMissingEventsReply::default())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let house: ServerName = "house.example".parse()?;
    let guest: ServerName = "guest.example".parse()?;
    let key = Arc::new(SigningKey::generate("1")?);
    let (door, accepted) = mpsc::channel(16);
    let frames = Arc::new(Frames { door });

    let document = KeyDocument::new(guest.clone(), now_ms() + 3_600_000).sign(&[&key])?;
    let keys = KeyRing::new(Client::new(frames.clone()), KeyRingOptions::default())
        .with_pinned(ServerKeys::parse(document)?);
    let authenticator = XMatrixAuthenticator::new(house.clone(), Arc::new(keys));
    let service = Router::new()
        .with(api::events(Arc::new(House)))
        .layered(Verify::layer(Arc::new(authenticator)));
    tokio::spawn(serve(Operations::federation(), service, accepted));

    let client = Client::layered(frames.clone(), Sign::layer(guest, key));
    let request = GetMissingEvents {
        room_id: "!room:house.example".to_owned(),
        ..GetMissingEvents::default()
    };
    let reply = client.get_missing_events(&house, request.clone()).await?;
    assert!(reply.events.is_empty());

    let unsigned = Client::new(frames)
        .get_missing_events(&house, request)
        .await;
    let error = unsigned.expect_err("nobody signed it");
    println!("without a signature: {error}");
    Ok(())
}
