//! An independent implementation of gRPC at the other end: tonic's, with its own framing, codec, limits and statuses.
//!
//! The plain tonic of `comity-bench` is not used: it speaks one message of bytes, no method of ours, and its package stands on this one.

use std::{convert::Infallible, task::Poll};

use comity_core::{
    Boxed,
    api::{Calls, GetVersion},
    call::{Arrival, Call, EventStream, Message as Whole, Part, Reply, ReplyForm},
    error::CallError,
};
use comity_net::{Body, Pool};
use comity_proto as pb;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::BodyExt;
use prost::Message;
use tonic::Status;
use tonic_prost::ProstCodec;
use tower::{Service, service_fn, util::BoxCloneSyncService};

use crate::setting::{Serving, destination, handler, object, pdu, value};

/// A pool's connections under tonic's client.
struct Channel(Pool, comity_core::transport::Route);

impl Service<Request<tonic::body::Body>> for Channel {
    type Response = Response<Body>;
    type Error = comity_core::error::TransportError;
    type Future = Boxed<'static, Result<Response<Body>, Self::Error>>;
    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let (pool, route) = (self.0.clone(), self.1.clone());
        let (mut head, body) = request.into_parts();
        head.uri = head.uri.path().parse().unwrap();
        let request = Request::from_parts(head, body.map_err(Into::into).boxed_unsync());
        Box::pin(async move { pool.send(&route, request).await })
    }
}

fn client(serving: &Serving) -> tonic::client::Grpc<Channel> {
    let origin = "https://matrix.test".parse().unwrap();
    tonic::client::Grpc::with_origin(Channel(serving.pool(), serving.route()), origin)
}

#[tokio::test]
async fn tonics_client_calls_our_server() {
    let serving = Serving::start(handler(|call: Call| async move {
        match call.spec().name {
            "GetVersion" => Ok(Reply::Message(Whole::from_content(object(
                r#"{"server":{},"x":1}"#,
            )))),
            _ => Err(comity_core::error::FederationError::forbidden("no").into()),
        }
    }))
    .await;
    let mut client = client(&serving);
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/comity.federation.v1.Server/GetVersion");
    let request = tonic::Request::new(pb::GetVersionRequest::default());
    let reply = client.unary(request, path, ProstCodec::default()).await;
    let reply: pb::GetVersionReply = reply.unwrap().into_inner();
    assert_eq!(reply.server.unwrap(), "{}");
    assert_eq!(reply.extra_json, r#"{"x":1}"#);

    let path = http::uri::PathAndQuery::from_static("/comity.federation.v1.Keys/GetServerKeys");
    let request = tonic::Request::new(pb::GetServerKeysRequest::default());
    let codec = ProstCodec::<_, pb::GetServerKeysReply>::default();
    let status = client.unary(request, path, codec).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::PermissionDenied);
    assert_eq!(status.message(), "no");
}

#[tokio::test]
async fn tonics_client_reads_our_stream() {
    let serving = Serving::start(handler(|_| async {
        let parts = (0..1000).map(|index| {
            Ok(Part::Item {
                array: "state",
                index,
                value: value("{}"),
            })
        });
        let parts = stream::iter(std::iter::once(Ok(Part::Array("state"))).chain(parts)).boxed();
        Ok(Reply::Events(EventStream { parts }))
    }))
    .await;
    let request = pb::SendJoinRequest {
        room_id: "!r".to_owned(),
        event_id: "$e".to_owned(),
        event: Some("{}".into()),
        ..Default::default()
    };
    let mut request = tonic::Request::new(request);
    let metadata = request.metadata_mut();
    metadata.insert("x-matrix-method", "PUT".parse().unwrap());
    metadata.insert_bin(
        "x-matrix-uri-bin",
        tonic::metadata::MetadataValue::from_bytes(b"/_matrix/federation/v2/send_join/!r/$e"),
    );
    let mut client = client(&serving);
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/comity.federation.v1.Membership/SendJoin");
    let codec = ProstCodec::default();
    let reply = client.server_streaming(request, path, codec).await.unwrap();
    let chunks: Vec<pb::Chunk> = reply.into_inner().map(Result::unwrap).collect().await;
    assert_eq!(
        chunks.iter().map(|chunk| chunk.items.len()).sum::<usize>(),
        1000
    );
    assert!(chunks.iter().all(|chunk| chunk.items.len() <= 200));
    assert!(chunks.last().unwrap().complete);
}

/// Our client against tonic's server, which answers any request with these messages or this status.
async fn tonic_server<M>(answer: Result<Vec<M>, Status>) -> Serving
where
    M: Message + Clone + 'static,
{
    let replies = service_fn(move |_: tonic::Request<()>| {
        let answer = answer.clone();
        async move { answer.map(|list| tonic::Response::new(stream::iter(list).map(Ok))) }
    });
    let service = service_fn(move |request: Request<Body>| {
        let replies = replies.clone();
        async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<M, ()>::default());
            let response = grpc.server_streaming(replies, request).await;
            Ok::<_, Infallible>(response.map(|body| body.map_err(Into::into).boxed_unsync()))
        }
    });
    Serving::http(BoxCloneSyncService::new(service)).await
}

#[tokio::test]
async fn our_client_calls_tonics_server() {
    let reply = pb::GetVersionReply {
        server: Some("{\"name\":\"tonic\"}".into()),
        ..Default::default()
    };
    let serving = tonic_server(Ok(vec![reply])).await;
    let reply = serving
        .client()
        .get_version(&destination(), GetVersion::default())
        .await
        .unwrap();
    assert_eq!(
        reply.server.unwrap().value().as_text(),
        "{\"name\":\"tonic\"}"
    );

    let serving = tonic_server::<pb::GetVersionReply>(Err(Status::unavailable("draining"))).await;
    let got = serving
        .client()
        .get_version(&destination(), GetVersion::default())
        .await;
    assert!(matches!(got, Err(CallError::Transport(_))), "{got:?}");
}

#[tokio::test]
async fn our_client_reads_tonics_stream() {
    let chunks = [
        pb::Chunk {
            array: Some(1),
            array_start: true,
            items: vec![pdu(1).value().text().clone()],
            ..Default::default()
        },
        pb::Chunk {
            members_json: "{}".into(),
            complete: true,
            ..Default::default()
        },
    ];
    let serving = tonic_server(Ok(chunks.to_vec())).await;
    let request = comity_core::api::SendJoin {
        room_id: "!r".to_owned(),
        event_id: "$e".to_owned(),
        event: pdu(1),
        omit_members: None,
        extra_query: Default::default(),
    };
    let mut reply = serving
        .client()
        .send_join(&destination(), request)
        .await
        .unwrap();
    let arrival = reply.next().await.unwrap().unwrap();
    assert_eq!(
        arrival,
        Arrival::Item {
            array: "state",
            item: pdu(1),
        }
    );
    assert!(reply.next().await.is_none());
    let _ = reply.into_reply();
}
