//! A transport of one's own, in one file: calls as frames on a byte stream. The same typed client calls over it, signatures and
//! streamed replies included, and the API crate is all that it needs.
//!
//! A frame is four bytes of length, most significant first, and that many bytes. A request is two frames: a head, and the content (empty for none). A reply
//! is a head, frames of its body, and an empty frame that says that it is complete.
//!
//! `cargo run -p comity-examples --example own-transport`

use std::{error::Error, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    CallService, Client, Operations, Router, ServerName,
    api::{
        self, Calls, GetVersion, GetVersionReply, Membership, SendJoin, SendJoinMembers,
        SendJoinReply, Server,
    },
    auth::{
        KeyDocument, KeyRing, KeyRingOptions, ServerKeys, Sign, SigningKey, Verify,
        XMatrixAuthenticator, now_ms,
    },
    call::{Arrival, Authenticated, Call, CallContext, Credentials, EventReply, Reply},
    endpoint::{Content, Query, ReplyHead, WireBody, read_content, read_reply, write_reply},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
    event::Pdu,
    json::Value,
    layers::{Clocks, Side},
    transport::{Capabilities, Transport},
};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};
use tower::{ServiceBuilder, ServiceExt};

const NAME: &str = "frames/1";

/// Largest frame, in bytes.
const MAX_FRAME: usize = 16 << 20;

/// What goes before a request's content. Method, target and credentials are those that were signed.
#[derive(Serialize, Deserialize)]
struct RequestHead {
    method: String,
    target: String,
    destination: Option<String>,
    credentials: Vec<String>,
}

/// What goes before a reply's body.
#[derive(Serialize, Deserialize)]
struct ResponseHead {
    status: u16,
    content_type: Option<String>,
    retry_after: Option<String>,
}

/// The client's side. A real one would dial; this one hands the other end of a pipe to the server.
#[derive(Debug)]
struct FrameTransport {
    dial: mpsc::Sender<DuplexStream>,
}

#[async_trait]
impl Transport for FrameTransport {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
            .streaming()
            .cancellation()
            .delivery_certainty()
    }

    async fn send(&self, mut call: Call) -> Result<Reply, CallError> {
        let spec = call.spec();
        call.make_form()?;
        let form = call.form().expect("made above");
        let content = match form.content() {
            Content::Absent => Bytes::new(),
            Content::Json(object) => object.text().clone(),
            Content::Opaque { .. } => {
                return Err(failure(
                    TransportErrorKind::Unsupported,
                    Delivery::NotSent,
                    "JSON only",
                )
                .into());
            }
        };
        let head = RequestHead {
            method: form.method().to_owned(),
            target: form.target().to_owned(),
            destination: call.context().destination.as_ref().map(ToString::to_string),
            credentials: call
                .context()
                .credentials
                .iter()
                .map(str::to_owned)
                .collect(),
        };
        let (mut pipe, far_end) = tokio::io::duplex(64 << 10);
        self.dial.send(far_end).await.map_err(|_| {
            failure(
                TransportErrorKind::Connect,
                Delivery::NotSent,
                "the server is gone",
            )
        })?;
        // From here on the peer may have acted, whatever happens.
        let broke = |error: io::Error| {
            failure(
                TransportErrorKind::Closed,
                Delivery::MaybeProcessed,
                "the pipe broke",
            )
            .with_source(error)
        };
        let head = serde_json::to_vec(&head).expect("strings are JSON");
        write_frame(&mut pipe, &head).await.map_err(broke)?;
        write_frame(&mut pipe, &content).await.map_err(broke)?;
        let head = read_frame(&mut pipe).await.map_err(broke)?;
        let head: ResponseHead = serde_json::from_slice(&head).map_err(|error| {
            failure(
                TransportErrorKind::Protocol,
                Delivery::MaybeProcessed,
                "no reply head",
            )
            .with_source(error)
        })?;
        let head = ReplyHead {
            status: head.status,
            content_type: head.content_type,
            retry_after: head.retry_after,
        };
        // An end without the empty frame is an error, so a reply that was cut is never taken for a whole one.
        let body = stream::try_unfold(pipe, move |mut pipe| async move {
            let frame = read_frame(&mut pipe).await.map_err(broke)?;
            Ok::<_, CallError>((!frame.is_empty()).then_some((frame, pipe)))
        });
        read_reply(spec, head, body.boxed()).await
    }
}

fn failure(kind: TransportErrorKind, delivery: Delivery, message: &str) -> TransportError {
    TransportError::new(kind, delivery, message)
}

/// The server's side: answers the one call of each connection.
async fn serve(
    mut accept: mpsc::Receiver<DuplexStream>,
    operations: Operations,
    service: CallService,
) {
    while let Some(pipe) = accept.recv().await {
        let (operations, service) = (operations.clone(), service.clone());
        tokio::spawn(async move {
            if let Err(error) = answer(pipe, operations, service).await {
                eprintln!("  server: a caller went away: {error}");
            }
        });
    }
}

async fn answer(
    mut pipe: DuplexStream,
    operations: Operations,
    service: CallService,
) -> io::Result<()> {
    let head = read_frame(&mut pipe).await?;
    let content = read_frame(&mut pipe).await?;
    let reply = match read_call(&operations, &head, content) {
        Ok(call) => service.oneshot(call).await,
        Err(error) => Err(error.into()),
    };
    let reply = write_reply(reply);
    let head = ResponseHead {
        status: reply.head.status,
        content_type: reply.head.content_type,
        retry_after: reply.head.retry_after,
    };
    let head = serde_json::to_vec(&head).expect("strings and a number are JSON");
    write_frame(&mut pipe, &head).await?;
    match reply.body {
        WireBody::Whole(bytes) if bytes.is_empty() => {}
        WireBody::Whole(bytes) => write_frame(&mut pipe, &bytes).await?,
        WireBody::Stream(mut chunks) => {
            while let Some(chunk) = chunks.next().await {
                // Leaving without the empty frame is what tells the caller.
                let chunk = chunk.map_err(io::Error::other)?;
                if !chunk.is_empty() {
                    write_frame(&mut pipe, &chunk).await?;
                }
            }
        }
    }
    write_frame(&mut pipe, &[]).await
}

fn read_call(
    operations: &Operations,
    head: &[u8],
    content: Bytes,
) -> Result<Call, FederationError> {
    let head: RequestHead = serde_json::from_slice(head)
        .map_err(|error| FederationError::not_json(format!("the request's head: {error}")))?;
    let mut context = CallContext::received(NAME);
    context.destination = match head.destination.map(|name| name.parse()).transpose() {
        Ok(destination) => destination,
        Err(_) => {
            return Err(FederationError::invalid_param(
                "the destination is no server name",
            ));
        }
    };
    context.credentials = Credentials::new(head.credentials);
    operations.read(head.method.into(), head.target, context, |op| {
        read_content(content, op.spec().limits.request)
    })
}

async fn write_frame(pipe: &mut DuplexStream, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    pipe.write_u32(length).await?;
    pipe.write_all(bytes).await
}

async fn read_frame(pipe: &mut DuplexStream) -> io::Result<Bytes> {
    let length = pipe.read_u32().await? as usize;
    if length > MAX_FRAME {
        return Err(io::Error::other(format!(
            "a frame of {length} bytes is over the limit of {MAX_FRAME}"
        )));
    }
    let mut frame = vec![0; length];
    pipe.read_exact(&mut frame).await?;
    Ok(frame.into())
}

/// A server in one room of many events.
struct Homeserver;

const EVENTS: usize = 10_000;

#[async_trait]
impl Server for Homeserver {
    async fn get_version(
        &self,
        _: &CallContext,
        _: GetVersion,
    ) -> Result<GetVersionReply, FederationError> {
        Ok(GetVersionReply::default())
    }
}

#[async_trait]
impl Membership for Homeserver {
    async fn send_join(
        &self,
        cx: &Authenticated,
        _: SendJoin,
    ) -> Result<SendJoinReply, FederationError> {
        println!("  server: {} joins over {}", cx.origin(), cx.binding);
        let state = (0..EVENTS).map(event);
        Ok(EventReply::new(
            vec![("state", state)],
            SendJoinMembers::default(),
        ))
    }
}

fn event(number: usize) -> Pdu {
    let text = format!(r#"{{"content":{{"number":{number}}},"type":"org.example.number"}}"#);
    let value = Value::parse(text.into(), 1024).expect("the text is JSON");
    Pdu::judge(value).expect("and an event")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let us: ServerName = "caller.example".parse()?;
    let them: ServerName = "callee.example".parse()?;
    let key = Arc::new(SigningKey::generate("1")?);
    let (dial, accept) = mpsc::channel(16);
    let transport: Arc<dyn Transport> = Arc::new(FrameTransport { dial });

    // A server would fetch the caller's keys over the same transport. Here they are known.
    let document = KeyDocument::new(us.clone(), now_ms() + 3_600_000).sign(&[&key])?;
    let keys = KeyRing::new(Client::new(transport.clone()), KeyRingOptions::default())
        .with_pinned(ServerKeys::parse(document)?);
    let authenticator = XMatrixAuthenticator::new(them.clone(), Arc::new(keys));
    let homeserver = Arc::new(Homeserver);
    let service = Router::new()
        .with(api::server(homeserver.clone()))
        .with(api::membership(homeserver))
        .layered(
            ServiceBuilder::new()
                .layer(Clocks::layer(Side::Server))
                .layer(Verify::layer(Arc::new(authenticator))),
        );
    let server = tokio::spawn(serve(accept, Operations::federation(), service));

    let unsigned = Client::new(transport.clone());
    let client = Client::layered(
        transport,
        ServiceBuilder::new()
            .layer(Clocks::layer(Side::Client))
            .layer(Sign::layer(us.clone(), key)),
    )
    .with_deadline(Duration::from_secs(20));
    println!("over {NAME}:");
    client.get_version(&them, GetVersion::default()).await?;
    println!("  client: the version came");

    let request = SendJoin {
        room_id: "!room".to_owned(),
        event_id: "$join".to_owned(),
        event: event(0),
        omit_members: None,
        extra_query: Query::default(),
    };
    let mut reply = client.send_join(&them, request.clone()).await?;
    let mut arrived = 0;
    while let Some(arrival) = reply.next().await {
        match arrival? {
            Arrival::Event { pdu, .. } if pdu == event(arrived) => arrived += 1,
            other => return Err(format!("{other:?} came instead of event {arrived}").into()),
        }
    }
    reply.finish().await?;
    println!("  client: {arrived} events came as a stream, each as it was sent");
    if arrived != EVENTS {
        return Err(format!("{} events are missing", EVENTS - arrived).into());
    }

    // Without the sign layer the server refuses, though this transport knows nothing of signatures.
    match unsigned.send_join(&them, request.clone()).await {
        Err(CallError::Federation(error)) if error.http_status() == 401 => {
            println!("  client: unsigned, the call is refused: {error}");
        }
        other => return Err(format!("{other:?} came instead of a refusal").into()),
    }

    // How far a call got is the transport's to say.
    let (dial, accept) = mpsc::channel(16);
    drop(accept);
    let nobody = Client::new(Arc::new(FrameTransport { dial }));
    match nobody.send_join(&them, request).await {
        Err(CallError::Transport(error)) if error.delivery() == Delivery::NotSent => {
            println!("  client: without a server the call says that it was not sent: {error}");
        }
        other => return Err(format!("{other:?} came instead of a failure to connect").into()),
    }
    server.abort();
    Ok(())
}
