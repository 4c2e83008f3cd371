//! What others would do, to stand beside ours in the same run: ruma's path, plain tonic, and hyper alone over HTTP/1.1 and HTTP/2.
//!
//! None is a binding: they take two or three operations, and no more of them than it takes to be measured. On the client's side all of them stand on the pool, the
//! TLS and the sockets that ours stand on, so that what differs is what is above; their servers are hyper and tokio-rustls with nothing around them.
//!
//! | name | checks |
//! | --- | --- |
//! | `ruma` | X-Matrix and the request's form, by `ruma-federation-api`, over HTTP/1.1 |
//! | `tonic` | nothing: one `bytes` field there and back |
//! | `hyper` | nothing: bytes there and back over HTTP/1.1 |
//! | `h2` | nothing: bytes there and back over HTTP/2 |

mod floor;
mod ruma;
mod server;
mod tonic;

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use ::http::{Request, Response};
use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    CallService, Operations, ServerName,
    api::{DownloadMedia, QueryProfile, SendTransaction},
    call::{Call, Reply},
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    transport::{Capabilities, Route, Transport},
};
use comity_net::{Body, BoxError, Counters, Pool, PoolOptions, Protocol};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{
    model::Scenario,
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
    fn speech(self, setting: &Setting, server: &ServerName) -> Result<Arc<dyn Speech>, SetupError> {
        Ok(match self {
            Self::Ruma => Arc::new(ruma::Ruma::new(setting, server)?),
            Self::Tonic => Arc::new(tonic::Tonic::new(setting.seed)),
            Self::Hyper | Self::H2 => Arc::new(floor::Floor::new(setting.seed)),
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
        let counters = Counters::new();
        let (routes, connector) = setting.routes(addresses, counters.clone())?;
        let options = PoolOptions::default().with_protocol(self.protocol());
        let pool = Pool::new(connector, options);
        let mut ways = HashMap::new();
        for server in &setting.servers {
            let route = comity_core::transport::Resolve::resolve(&*routes, server).await?;
            let way = Way {
                pool: pool.clone(),
                route,
            };
            ways.insert(server.clone(), (way, self.speech(setting, server)?));
        }
        let transport = Arc::new(PeerTransport { peer: *self, ways });
        Ok(Client {
            transport,
            counters,
        })
    }

    fn takes(&self, scenario: Scenario) -> bool {
        match scenario {
            Scenario::SmallQuery
            | Scenario::Transaction
            | Scenario::Steady
            | Scenario::Burst
            | Scenario::ColdStart => true,
            Scenario::Media => matches!(self, Self::Hyper | Self::H2),
            // What is made of their bytes is what the others are measured by.
            Scenario::Join1k | Scenario::Join20k | Scenario::Join200k | Scenario::Backfill => false,
        }
    }

    fn exempt(&self) -> Option<&'static str> {
        Some(match self {
            Self::Ruma => "two operations as ruma has them, no binding",
            Self::Tonic => "a floor: no authentication, and nothing is checked",
            Self::Hyper | Self::H2 => "a floor: bytes alone, nothing is checked",
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
