//! What others would do, to stand beside ours in the same run: ruma's path, plain tonic, and hyper alone over HTTP/1.1 and HTTP/2.
//!
//! None is a binding: they take a few operations, and no more of them than it takes to be measured. On the client's side all of them stand on the pool, the
//! TLS and the sockets that ours stand on, so that what differs is what is above; their servers are hyper and tokio-rustls with nothing around them.
//!
//! | name | checks | a room's events |
//! | --- | --- | --- |
//! | `ruma` | X-Matrix and the request's form, by `ruma-federation-api`, over HTTP/1.1 | in one JSON object, whole in memory on both sides; that each is JSON is checked, and no more |
//! | `tonic` | nothing: `bytes` fields there and back | in one message of repeated `bytes`, whole in memory on both sides; not looked at |
//! | `hyper` | nothing: bytes there and back over HTTP/1.1 | each behind its length, streamed; not looked at |
//! | `h2` | nothing: bytes there and back over HTTP/2 | as `hyper` |
//!
//! [`Bare`] and [`tonic::answered`] are public for other measurements to stand on the same floor.
//!
//! Whoever calls counts the events that it got and compares their digests, with all of them alike. No peer makes events of their texts: what it gives is pieces of text, which is no binding's reply.

mod floor;
mod pieces;
mod ruma;
mod server;
pub mod tonic;

pub use server::Bare;

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use ::http::{Request, Response};
use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    CallService, Operations, ServerName,
    api::{Backfill, DownloadMedia, QueryProfile, SendJoin, SendTransaction},
    call::{Call, Reply},
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    transport::{Capabilities, Route, Transport},
};
use comity_net::{Body, BoxError, Pool, Protocol};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{
    model::Scenario,
    scenario::rooms::Rooms,
    subject::{Client, Guard, Setting, SetupError, Subject, Wire},
};

/// What others would do: `ruma`, `tonic`, `hyper` and `h2`.
pub fn subjects() -> Vec<Subject> {
    let all = [Peer::Ruma, Peer::Tonic, Peer::Hyper, Peer::H2];
    all.map(|peer| Subject::Apart(Arc::new(peer))).into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Ruma,
    Tonic,
    Hyper,
    H2,
}

impl Peer {
    fn protocol(self) -> Protocol {
        match self {
            Self::Ruma | Self::Hyper => Protocol::Http1,
            Self::Tonic | Self::H2 => Protocol::Http2,
        }
    }

    /// What it says to the server of this name, and what that one answers.
    fn speech(
        self,
        setting: &Setting,
        server: &ServerName,
        rooms: &Rooms,
    ) -> Result<Arc<dyn Speech>, SetupError> {
        let rooms = rooms.clone();
        Ok(match self {
            Self::Ruma => Arc::new(ruma::Ruma::new(setting, server, rooms)?),
            Self::Tonic => Arc::new(tonic::Tonic::new(setting.seed, rooms)),
            Self::Hyper | Self::H2 => Arc::new(floor::Floor::new(setting.seed, rooms)),
        })
    }
}

/// Both sides of a peer's own way of saying things.
#[async_trait]
trait Speech: Send + Sync + 'static {
    /// The server.
    async fn answer(&self, request: Request<Incoming>) -> Response<Body>;

    /// The client.
    async fn ask(&self, way: &Way, asked: Asked<'_>) -> Result<Reply, CallError>;
}

/// What is asked for.
enum Asked<'a> {
    Profile(&'a QueryProfile),
    Transaction(&'a SendTransaction),
    Join(&'a SendJoin),
    Backfill(&'a Backfill),
    File,
}

/// The way to one server.
#[derive(Clone, Debug)]
struct Way {
    pool: Pool,
    route: Route,
}

impl Way {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, CallError> {
        Ok(self.pool.send(&self.route, request).await?)
    }

    /// Sends a request whose answer is read whole.
    async fn exchange(&self, request: Request<Body>) -> Result<Response<Bytes>, CallError> {
        let (head, body) = self.send(request).await?.into_parts();
        let body = body.collect().await.map_err(failed)?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

/// The call failed, or came to something else than it should.
fn failed(why: impl Into<BoxError>) -> CallError {
    let why = why.into().to_string();
    let (kind, delivery) = (TransportErrorKind::Protocol, Delivery::MaybeProcessed);
    TransportError::new(kind, delivery, why).into()
}

#[async_trait]
impl Wire for Peer {
    fn name(&self) -> String {
        let name = match self {
            Self::Ruma => "ruma",
            Self::Tonic => "tonic",
            Self::Hyper => "hyper",
            Self::H2 => "h2",
        };
        name.to_owned()
    }

    async fn serve(
        &self,
        setting: &Setting,
        _: Operations,
        _: CallService,
    ) -> Result<(Vec<SocketAddr>, Guard), SetupError> {
        server::serve(*self, setting).await
    }

    async fn connect(
        &self,
        setting: &Setting,
        addresses: &[SocketAddr],
    ) -> Result<Client, SetupError> {
        let (routes, pool, counters) = setting.pool(addresses, self.protocol())?;
        let mut ways = HashMap::new();
        for server in &setting.servers {
            let route = comity_core::transport::Resolve::resolve(&*routes, server).await?;
            let way = Way {
                pool: pool.clone(),
                route,
            };
            ways.insert(
                server.clone(),
                (way, self.speech(setting, server, &Rooms::none())?),
            );
        }
        let transport = Arc::new(PeerTransport { peer: *self, ways });
        Ok(Client {
            transport,
            counters,
        })
    }

    fn takes(&self, scenario: Scenario) -> bool {
        // With media a reply is a stream, which is what the others were not built for.
        scenario != Scenario::Media || matches!(self, Self::Hyper | Self::H2)
    }

    fn exempt(&self) -> Option<&'static str> {
        Some(match self {
            Self::Ruma => {
                "ruma’s path, no binding: requests are signed and verified; a room is whole in memory on both sides, and its events are read as JSON and not checked"
            }
            Self::Tonic => {
                "a floor: no authentication, nothing is checked; a room is one message, whole in memory on both sides"
            }
            Self::Hyper | Self::H2 => {
                "a floor: no authentication, bytes alone, nothing is checked; a room is streamed, each event behind its length"
            }
        })
    }
}

struct PeerTransport {
    peer: Peer,
    ways: HashMap<ServerName, (Way, Arc<dyn Speech>)>,
}

impl std::fmt::Debug for PeerTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PeerTransport").field(&self.peer).finish()
    }
}

#[async_trait]
impl Transport for PeerTransport {
    fn name(&self) -> &'static str {
        match self.peer {
            Peer::Ruma => "ruma",
            Peer::Tonic => "tonic",
            Peer::Hyper => "hyper",
            Peer::H2 => "h2",
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        let request: &dyn std::any::Any = call.request();
        let asked = if let Some(request) = request.downcast_ref() {
            Asked::Profile(request)
        } else if let Some(request) = request.downcast_ref() {
            Asked::Transaction(request)
        } else if let Some(request) = request.downcast_ref() {
            Asked::Join(request)
        } else if let Some(request) = request.downcast_ref() {
            Asked::Backfill(request)
        } else if request.is::<DownloadMedia>() {
            Asked::File
        } else {
            let name = call.spec().name;
            return Err(failed(format!("{:?} does not take {name}", self.peer)));
        };
        let destination = call.context().destination.as_ref();
        let way = destination.and_then(|server| self.ways.get(server));
        let (way, speech) = way.ok_or_else(|| failed("there is no way to the destination"))?;
        speech.ask(way, asked).await
    }
}
