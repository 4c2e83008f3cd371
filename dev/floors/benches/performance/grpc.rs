//! CPU of a server over gRPC: a transaction as one message, and a room's state as a stream. Without authentication, so that what is
//! measured is the binding.
//!
//! Beside ours stand what everybody would write: tonic with one `bytes` field, the same that also checks the JSON, and hyper's HTTP/2 alone.

use std::{convert::Infallible, hint::black_box, sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use comity_core::{
    Operations,
    api::{GetState, SendTransaction, SendTransactionReply},
    call::{Call, Endpoint, EventStream, Part, Reply, ReplyForm},
    endpoint::EndpointParts,
    error::{CallError, FederationError},
    json::{Object, Value},
    transport::{FixedRoutes, Route, Transport},
};
use comity_floors::bodies::{FIFTY_PDUS, ONE_PDU, STATE_EVENT, event, transaction};
use comity_grpc::{Codecs, GrpcCodec, GrpcServer, GrpcServerOptions, GrpcTransport};
use comity_net::{
    AddressGuard, Body, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions,
    Protocol, body,
};
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{net::TcpListener, runtime::Runtime};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use tower::{service_fn, util::BoxCloneSyncService};

use crate::{
    process::{Role, report_cpu, thread_cpu},
    report::{Need, Report},
    rounds::alternate,
    setting::{IN_FLIGHT, TARGET, destination, route},
};

const ROUNDS: usize = 15;

/// State events in a streamed reply.
const STATE: u64 = 20_000;

/// Events in one piece of the streams that are measured against.
const BATCH: usize = 200;

pub(crate) fn measure(runtime: &Runtime, report: &mut Report) {
    for (pdus, bytes, requests) in [(50, FIFTY_PDUS, 1_000), (1, ONE_PDU, 4_000)] {
        let content = Bytes::from(transaction(pdus, bytes));
        let mut ours = Server::start(runtime, "grpc", unary(&content));
        for (role, other) in [
            ("tonic", "plain tonic with one bytes field"),
            (
                "tonic-checked",
                "the same tonic that puts the field through our strict check",
            ),
        ] {
            let mut tonic = Server::start(runtime, role, plain(&content));
            let pair = alternate(ROUNDS, || ours.cost(requests), || tonic.cost(requests));
            report.row(
                format!("gRPC, {pdus} PDUs without authentication: ours / {other}"),
                "",
                pair.ratio,
                match pdus {
                    50 => Need::AtMost(1.0),
                    _ => Need::None,
                },
                format!("{:.1?} / {:.1?}", pair.a, pair.b),
            );
        }
    }
    let mut ours = Server::start(runtime, "grpc", state());
    for (role, other, need) in [
        (
            "h2",
            "HTTP/2 alone, its bytes joined before",
            Need::AtMost(1.15),
        ),
        (
            "h2-joins",
            "HTTP/2 alone that joins them as they go",
            Need::None,
        ),
    ] {
        let mut raw = Server::start(runtime, role, Sent::to("/", Bytes::new()));
        let pair = alternate(ROUNDS, || ours.cost(IN_FLIGHT), || raw.cost(IN_FLIGHT));
        report.row(
            format!("gRPC, {STATE} events streamed, the server: ours / {other}"),
            "",
            pair.ratio,
            need,
            format!("{:.1?} / {:.1?}", pair.a, pair.b),
        );
    }
    let raw = Server::start(runtime, "h2", Sent::to("/", Bytes::new()));
    let transport = ours.transport();
    for (checks, other, need) in [
        (false, "HTTP/2 alone", Need::None),
        (
            true,
            "HTTP/2 alone and our strict check of each event",
            Need::AtMost(1.15),
        ),
    ] {
        let pair = alternate(
            ROUNDS,
            || spent(runtime, read_ours(&transport)),
            || spent(runtime, raw.read_raw(checks)),
        );
        report.row(
            format!("gRPC, {STATE} events streamed, the client: ours / {other}"),
            "",
            pair.ratio,
            need,
            format!("{:.1?} / {:.1?}", pair.a, pair.b),
        );
    }
}

/// CPU time of this thread, on which all of the runtime runs, until this is done.
fn spent(runtime: &Runtime, work: impl Future<Output = u64>) -> Duration {
    let begun = thread_cpu();
    let events = runtime.block_on(work);
    assert_eq!(events, STATE, "every event arrives");
    thread_cpu() - begun
}

/// Reads a state over our binding: how many events it has.
async fn read_ours(transport: &GrpcTransport) -> u64 {
    let call = Call::new(destination(), state_request());
    let reply = transport.send(call).await.expect("the server answers");
    let Reply::Events(mut events) = reply else {
        panic!("a state is a stream");
    };
    let mut count = 0;
    while let Some(part) = events.parts.next().await {
        if let Part::Item { value, .. } = part.expect("it is whole") {
            black_box(value);
            count += 1;
        }
    }
    count
}

/// A request that is sent again and again.
struct Sent {
    request: Request<()>,
    body: Bytes,
}

impl Sent {
    fn to(path: &str, body: Bytes) -> Self {
        let request = Request::post(path)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("its parts are valid");
        Self { request, body }
    }

    /// Our own rpc: what was signed travels beside the message.
    fn rpc<O: GrpcCodec>(parts: &EndpointParts, target: &str) -> Self {
        let message = O::request_to_message(parts).expect("the message can say it");
        let mut sent = Self::to(&format!("/{}", O::RPC), framed(&message));
        let target = base64_of(target);
        for (name, value) in [
            ("x-matrix-method", O::METHOD),
            ("x-matrix-uri-bin", &target),
            ("x-matrix-destination", destination().as_str()),
        ] {
            let value = value.parse().expect("it is a header");
            sent.request.headers_mut().insert(name, value);
        }
        sent
    }
}

fn base64_of(text: &str) -> String {
    tonic::metadata::MetadataValue::from_bytes(text.as_bytes())
        .as_encoded_bytes()
        .iter()
        .map(|byte| char::from(*byte))
        .collect()
}

fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("it is short"));
    message.encode(&mut frame).expect("there is room");
    frame.freeze()
}

fn unary(content: &Bytes) -> Sent {
    let object = Object::parse(content.clone(), usize::MAX).expect("it is canonical");
    let (_, parts) = Operations::federation()
        .route("PUT", TARGET)
        .expect("it is in the table");
    let parts = EndpointParts {
        content: comity_core::endpoint::Content::Json(object),
        ..parts
    };
    Sent::rpc::<SendTransaction>(&parts, TARGET)
}

fn state_request() -> GetState {
    GetState {
        room_id: "!room".to_owned(),
        event_id: "$event".to_owned(),
        ..Default::default()
    }
}

fn state() -> Sent {
    let target = "/_matrix/federation/v1/state/%21room?event_id=%24event";
    Sent::rpc::<GetState>(&state_request().write(), target)
}

/// The message of the plain service.
#[derive(Clone, PartialEq, prost::Message)]
struct Plain {
    #[prost(bytes = "bytes", tag = "1")]
    json: Bytes,
}

fn plain(content: &Bytes) -> Sent {
    let json = content.clone();
    Sent::to("/bench.Plain/Send", framed(&Plain { json }))
}

struct Server<'a> {
    runtime: &'a Runtime,
    role: Role,
    pool: Pool,
    route: Route,
    sent: Sent,
}

impl Server<'_> {
    /// Our client of this server.
    fn transport(&self) -> GrpcTransport {
        let routes = FixedRoutes::new().with(destination(), self.route.clone());
        GrpcTransport::new(Arc::new(routes), self.pool.clone())
    }

    /// Reads events that come without anything between them: how many there are.
    async fn read_raw(&self, checks: bool) -> u64 {
        let (head, ()) = self.sent.request.clone().into_parts();
        let request = Request::from_parts(head, body::empty());
        let response = self.pool.send(&self.route, request).await;
        let mut body = response.expect("the server answers").into_body();
        let (mut bytes, mut held) = (0, BytesMut::new());
        let check = |event: Bytes| {
            black_box(Value::parse(event, usize::MAX).expect("it is canonical"));
        };
        while let Some(frame) = body.frame().await {
            let Ok(mut data) = frame.expect("it is whole").into_data() else {
                continue;
            };
            bytes += data.len();
            if !checks {
                continue;
            }
            // An event that lies in two frames is put together, the others are slices.
            if !held.is_empty() {
                let rest = data.split_to(data.len().min(STATE_EVENT - held.len()));
                held.extend_from_slice(&rest);
                if held.len() < STATE_EVENT {
                    continue;
                }
                check(held.split().freeze());
            }
            while data.len() >= STATE_EVENT {
                check(data.split_to(STATE_EVENT));
            }
            held.extend_from_slice(&data);
        }
        bytes as u64 / STATE_EVENT as u64
    }
}

impl<'a> Server<'a> {
    fn start(runtime: &'a Runtime, role: &str, sent: Sent) -> Self {
        let mut role = Role::start(&[role, "plain", "0"]);
        let port = u16::try_from(role.number()).expect("it tells its port");
        let connector =
            Connector::danger_without_tls().with_guard(AddressGuard::default().allow_loopback());
        let options = PoolOptions::default().with_protocol(Protocol::Http2);
        Self {
            runtime,
            role,
            pool: runtime.block_on(async { Pool::new(connector, options) }),
            route: route(port),
            sent,
        }
    }

    /// CPU time of the server for one of so many requests.
    fn cost(&mut self, requests: usize) -> Duration {
        let begun = self.role.cpu();
        self.runtime.block_on(async {
            let workers = (0..IN_FLIGHT).map(|_| async {
                for _ in 0..requests / IN_FLIGHT {
                    self.send().await;
                }
            });
            futures_util::future::join_all(workers).await;
        });
        (self.role.cpu() - begun) / (requests / IN_FLIGHT * IN_FLIGHT) as u32
    }

    async fn send(&self) {
        let (head, ()) = self.sent.request.clone().into_parts();
        let request = Request::from_parts(head, body::full(self.sent.body.clone()));
        let response = self.pool.send(&self.route, request).await;
        let response = response.expect("the server answers");
        assert_eq!(response.status(), StatusCode::OK);
        assert!(
            response.headers().get("grpc-status").is_none(),
            "{response:?}"
        );
        let mut body = response.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            match frame.expect("it is whole").into_data() {
                Ok(data) => bytes += data.len(),
                Err(trailers) => {
                    let status = trailers
                        .trailers_ref()
                        .and_then(|map| map.get("grpc-status"));
                    assert!(status.is_none_or(|status| status == "0"), "{trailers:?}");
                }
            }
        }
        assert!(bytes > 0, "an answer has bytes");
    }
}

/// Events that are ready before they are asked for.
fn events() -> Vec<Value> {
    let value = |number| Value::parse(Bytes::from(event(number, STATE_EVENT)), usize::MAX);
    (0..STATE)
        .map(|number| value(number).expect("it is canonical"))
        .collect()
}

/// Our binding, with nothing but a handler behind it.
pub(crate) async fn serve_ours() {
    let events = Arc::new(events());
    let service = BoxCloneSyncService::new(service_fn(move |call: Call| {
        let events = events.clone();
        async move {
            match call.spec().name {
                "SendTransaction" => {
                    Ok(SendTransactionReply::new(&Default::default()).into_reply())
                }
                "GetState" => Ok(whole(&events)),
                _ => Err(CallError::from(FederationError::unrecognized())),
            }
        }
    }));
    let options = ListenerOptions {
        protocol: Protocol::Http2,
        ..ListenerOptions::default()
    };
    let listener = Listener::bind(("127.0.0.1", 0), options)
        .await
        .expect("a port is free");
    report_cpu(listener.local_addr().port());
    let grpc = GrpcServer::new(
        Operations::federation(),
        Codecs::federation(),
        service,
        GrpcServerOptions::default(),
    );
    listener
        .serve(Dispatch::new(grpc.into_service()), std::future::pending())
        .await;
}

fn whole(events: &Arc<Vec<Value>>) -> Reply {
    let items = events.clone();
    let items = (0..items.len()).map(move |index| {
        Ok(Part::Item {
            array: "pdus",
            index: index as u64,
            value: items[index].clone(),
        })
    });
    let parts = std::iter::once(Ok(Part::Array("pdus"))).chain(items);
    Reply::Events(EventStream {
        parts: stream::iter(parts).boxed(),
    })
}

/// What answers without Comity.
#[derive(Clone)]
pub(crate) enum Other {
    /// tonic, one `bytes` field.
    Tonic {
        /// Whether the field is checked to be canonical JSON.
        checks: bool,
    },
    /// The events as bytes, joined to pieces before anybody asks.
    Raw(Arc<Vec<Bytes>>),
    /// The events as ours has them, joined to pieces while they are sent.
    Joining(Arc<Vec<Value>>),
}

impl Other {
    pub(crate) fn raw() -> Self {
        Self::Raw(Arc::new(events().chunks(BATCH).map(joined).collect()))
    }

    pub(crate) fn joining() -> Self {
        Self::Joining(Arc::new(events()))
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        match self {
            Self::Tonic { checks } => {
                let handler = service_fn(move |request: tonic::Request<Plain>| async move {
                    let json = request.into_inner().json;
                    if checks {
                        Object::parse(json, usize::MAX)
                            .map_err(|error| Status::invalid_argument(error.to_string()))?;
                    }
                    let json = Bytes::from_static(br#"{"pdus":{}}"#);
                    Ok::<_, Status>(tonic::Response::new(Plain { json }))
                });
                let mut grpc = tonic::server::Grpc::new(PlainCodec);
                let response = grpc.unary(handler, request).await;
                response.map(|body| body.map_err(Into::into).boxed_unsync())
            }
            Self::Joining(events) => {
                let pieces = (0..events.len().div_ceil(BATCH)).map(move |piece| {
                    let begin = piece * BATCH;
                    let end = events.len().min(begin + BATCH);
                    Ok::<_, Infallible>(joined(&events[begin..end]))
                });
                Response::new(body::from_stream(stream::iter(pieces)))
            }
            Self::Raw(pieces) => {
                let pieces =
                    (0..pieces.len()).map(move |place| Ok::<_, Infallible>(pieces[place].clone()));
                Response::new(body::from_stream(stream::iter(pieces)))
            }
        }
    }
}

/// The texts of these events, one behind the other.
fn joined(events: &[Value]) -> Bytes {
    let mut text = BytesMut::with_capacity(events.len() * STATE_EVENT);
    for event in events {
        text.extend_from_slice(event.as_bytes());
    }
    text.freeze()
}

/// prost as tonic's own codec has it.
struct PlainCodec;

impl Codec for PlainCodec {
    type Encode = Plain;
    type Decode = Plain;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for PlainCodec {
    type Item = Plain;
    type Error = Status;
    fn encode(&mut self, item: Plain, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(out)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for PlainCodec {
    type Item = Plain;
    type Error = Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Plain>, Status> {
        let message = Plain::decode(from);
        message
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

/// Serves until the parent is gone, with the windows that ours has.
pub(crate) async fn serve_other(other: Other) {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a port is free");
    report_cpu(listener.local_addr().expect("it is bound").port());
    loop {
        let (tcp, _) = listener.accept().await.expect("connections come");
        tcp.set_nodelay(true).expect("it is TCP");
        let other = other.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let other = other.clone();
                async move { Ok::<_, Infallible>(other.answer(request).await) }
            });
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(16 << 20)
                .max_frame_size(128 << 10)
                .serve_connection(TokioIo::new(tcp), service)
                .await;
        });
    }
}
