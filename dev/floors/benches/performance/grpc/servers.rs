//! The servers: our binding with nothing but a handler behind it, and what answers without Comity.

use std::{convert::Infallible, sync::Arc};

use bytes::{Bytes, BytesMut};
use comity_bench::peers::tonic::{Plain, answered};
use comity_core::{
    Operations,
    api::SendTransactionReply,
    call::{Call, EventStream, Part, Reply, ReplyForm},
    error::{CallError, FederationError},
    json::{Object, Value},
};
use comity_floors::bodies::{STATE_EVENT, state_event};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions};
use comity_net::{Body, Protocol, body};
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use hyper::body::Incoming;
use tonic::Status;
use tower::{service_fn, util::BoxCloneSyncService};

use super::STATE;
use crate::{ours, plain};

/// Events in one piece of the streams that are measured against.
const BATCH: usize = 200;

/// Events that are ready before they are asked for.
fn events() -> Vec<Value> {
    (0..STATE).map(state_event).collect()
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
    let grpc = GrpcServer::new(
        Operations::federation(),
        Codecs::federation(),
        service,
        GrpcServerOptions::default(),
    );
    ours::listen(grpc.into_service(), false, Protocol::Http2).await;
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

/// What answers without Comity. Streams are not those of the floors of `comity-bench`: these have nothing between two events, and are joined before anybody asks or as ours are.
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
                let reply = move |data| {
                    if checks {
                        Object::parse(data, usize::MAX)
                            .map_err(|error| Status::invalid_argument(error.to_string()))?;
                    }
                    let data = Bytes::from_static(br#"{"pdus":{}}"#);
                    Ok(Plain { data })
                };
                answered(request, reply).await
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

/// Serves until the parent is gone, with the windows that ours has.
pub(crate) async fn serve_other(other: Other, tls: bool) {
    let answer = move |request| other.clone().answer(request);
    plain::listen(Protocol::Http2, tls, answer).await;
}
