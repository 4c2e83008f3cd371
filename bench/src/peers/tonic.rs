//! tonic with a message of one `bytes` field: what everybody would write first. Nothing is proven and nothing is looked at.

use std::task::{Context, Poll};

use ::tonic::{
    Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{Boxed, call::Reply, error::CallError};
use comity_net::Body;
use http::{Request, Response, uri::PathAndQuery};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use prost::Message;
use tower::{Service, service_fn};

use super::{
    Asked, Speech, Way, failed,
    floor::{content_of, message_reply, profile_content, receipt_of, transaction_reply},
};

const PROFILE: &str = "/bench.Plain/Profile";
const TRANSACTION: &str = "/bench.Plain/Transaction";

pub(super) struct Tonic {
    seed: u64,
}

impl Tonic {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed }
    }

    async fn unary(way: &Way, path: &'static str, data: Bytes) -> Result<Bytes, CallError> {
        let mut client = Grpc::new(Channel(way.clone()));
        client.ready().await.map_err(failed)?;
        let (request, path) = (
            ::tonic::Request::new(Plain { data }),
            PathAndQuery::from_static(path),
        );
        let reply = client.unary(request, path, PlainCodec).await;
        Ok(reply.map_err(failed)?.into_inner().data)
    }
}

#[async_trait]
impl Speech for Tonic {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let seed = self.seed;
        let path = request.uri().path().to_owned();
        let handler = service_fn(move |request: ::tonic::Request<Plain>| {
            let data = request.into_inner().data;
            let reply = match &path[..] {
                PROFILE => Ok(profile_content(seed, &String::from_utf8_lossy(&data))),
                TRANSACTION => Ok(receipt_of(&data).into()),
                other => Err(Status::unimplemented(other)),
            };
            std::future::ready(reply.map(|data| ::tonic::Response::new(Plain { data })))
        });
        let mut server = ::tonic::server::Grpc::new(PlainCodec);
        let response = server.unary(handler, request).await;
        response.map(|body| body.map_err(Into::into).boxed_unsync())
    }

    async fn ask(&self, way: &Way, asked: Asked<'_>) -> Result<Reply, CallError> {
        match asked {
            Asked::Profile(query) => {
                let user_id = query.user_id.clone().into();
                message_reply(Self::unary(way, PROFILE, user_id).await?)
            }
            Asked::Transaction(transaction) => {
                let content = content_of(transaction);
                let expected = receipt_of(&content);
                let got = Self::unary(way, TRANSACTION, content).await?;
                transaction_reply(transaction, &expected, &got)
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

#[derive(Clone, PartialEq, prost::Message)]
struct Plain {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
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
