//! The servers: our binding with nothing but a handler behind it, and what answers without Comity.

use std::{convert::Infallible, sync::Arc};

use bytes::{Bytes, BytesMut};
use comity_core::{
    Operations,
    api::SendTransactionReply,
    call::{Call, EventStream, Part, Reply, ReplyForm},
    error::{CallError, FederationError},
    json::{Object, Value},
};
use comity_floors::bodies::{STATE_EVENT, event};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions};
use comity_net::{Body, Dispatch, Listener, ListenerOptions, Protocol, body};
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpListener;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use tower::{service_fn, util::BoxCloneSyncService};

use super::{Plain, STATE};
use crate::process::report_cpu;

/// Events in one piece of the streams that are measured against.
const BATCH: usize = 200;

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
