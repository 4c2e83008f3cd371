//! tonic with messages of `bytes` fields: what everybody would write first. Nothing is proven and nothing is looked at.

use std::task::{Context, Poll};

use ::tonic::{Status, client::Grpc};
use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{Boxed, call::Reply, error::CallError, event::Pdu};
use comity_net::Body;
use http::{Request, Response, uri::PathAndQuery};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use prost::Message;
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

use super::{
    Asked, Speech, Way, failed,
    floor::{content_of, message_reply, profile_content, receipt_of, transaction_reply},
    pieces,
};
use crate::scenario::rooms::Rooms;

const PROFILE: &str = "/bench.Plain/Profile";
const TRANSACTION: &str = "/bench.Plain/Transaction";

const ROOM: &str = "/bench.Plain/Room";
const HISTORY: &str = "/bench.Plain/History";

pub(super) struct Tonic {
    seed: u64,
    rooms: Rooms,
}

impl Tonic {
    pub(super) fn new(seed: u64, rooms: Rooms) -> Self {
        Self { seed, rooms }
    }

    /// The events that are asked for: of a room, by its ID; of a history, by the event to walk back from and how many.
    fn events(&self, path: &str, asked: &str) -> Result<Events, Status> {
        let text = |event: Pdu| event.value().text().clone();
        let nothing = || Status::not_found(asked);
        if path == ROOM {
            let (chain, state) = self.rooms.room(asked).ok_or_else(nothing)?;
            let (auth_chain, events) = (chain.map(text).collect(), state.map(text).collect());
            return Ok(Events { auth_chain, events });
        }
        let (from, limit) = asked.split_once('/').ok_or_else(nothing)?;
        let limit = limit.parse().map_err(|_| nothing())?;
        let history = self.rooms.history(from, limit).ok_or_else(nothing)?;
        Ok(Events {
            auth_chain: Vec::new(),
            events: history.map(text).collect(),
        })
    }
}

async fn unary<M: Message + Default + 'static>(
    way: &Way,
    path: &'static str,
    data: Bytes,
) -> Result<M, CallError> {
    // A room has no size that a limit would know.
    let mut client = Grpc::new(Channel(way.clone())).max_decoding_message_size(usize::MAX);
    client.ready().await.map_err(failed)?;
    let request = ::tonic::Request::new(Plain { data });
    let path = PathAndQuery::from_static(path);
    let codec = ProstCodec::<Plain, M>::default();
    let reply = client.unary(request, path, codec).await;
    Ok(reply.map_err(failed)?.into_inner())
}

/// tonic's answer to a request whose message is [`Plain`]: the message that `reply` makes of its bytes. Dropping the future drops the request.
pub async fn answered<M: Message + Default + 'static>(
    request: Request<Incoming>,
    reply: impl FnOnce(Bytes) -> Result<M, Status> + Clone,
) -> Response<Body> {
    let handler = service_fn(move |request: ::tonic::Request<Plain>| {
        let reply = reply.clone()(request.into_inner().data);
        std::future::ready(reply.map(::tonic::Response::new))
    });
    let mut server = ::tonic::server::Grpc::new(ProstCodec::<M, Plain>::default());
    let response = server.unary(handler, request).await;
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}

#[async_trait]
impl Speech for Tonic {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if path == ROOM || path == HISTORY {
            let events = |asked: Bytes| self.events(&path, &String::from_utf8_lossy(&asked));
            return answered(request, events).await;
        }
        let plain = |data: Bytes| {
            let data = match &path[..] {
                PROFILE => profile_content(self.seed, &String::from_utf8_lossy(&data)),
                TRANSACTION => receipt_of(&data).into(),
                other => return Err(Status::unimplemented(other)),
            };
            Ok(Plain { data })
        };
        answered(request, plain).await
    }

    async fn ask(&self, way: &Way, asked: Asked<'_>) -> Result<Reply, CallError> {
        match asked {
            Asked::Profile(query) => {
                let user_id = query.user_id.clone().into();
                let reply: Plain = unary(way, PROFILE, user_id).await?;
                message_reply(reply.data)
            }
            Asked::Transaction(transaction) => {
                let content = content_of(transaction);
                let expected = receipt_of(&content);
                let got: Plain = unary(way, TRANSACTION, content).await?;
                transaction_reply(transaction, &expected, &got.data)
            }
            Asked::Join(join) => {
                let room_id = join.room_id.clone().into();
                let got: Events = unary(way, ROOM, room_id).await?;
                Ok(pieces::whole(got.auth_chain.into_iter().chain(got.events)))
            }
            Asked::Backfill(backfill) => {
                let from = backfill.from.first().map_or("", String::as_str);
                let asked = format!("{from}/{}", backfill.limit).into();
                let got: Events = unary(way, HISTORY, asked).await?;
                Ok(pieces::whole(got.events))
            }
            Asked::File => Err(failed("this peer has no files")),
        }
    }
}

/// A way as tonic wants one.
struct Channel(Way);

impl Service<Request<::tonic::body::Body>> for Channel {
    type Response = Response<Body>;
    type Error = CallError;
    type Future = Boxed<'static, Result<Response<Body>, CallError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<::tonic::body::Body>) -> Self::Future {
        let way = self.0.clone();
        Box::pin(async move {
            let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
            way.send(request).await
        })
    }
}

/// The message that everybody would write first.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Plain {
    /// All that it says.
    #[prost(bytes = "bytes", tag = "1")]
    pub data: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Events {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    auth_chain: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    events: Vec<Bytes>,
}
