//! The laws of Comity's own operations, kept by one from outside, over the conformance kit's hostile samples.
//!
//! The sample stands in this crate, under `cfg(test)`: the kit's trait and the request would both be foreign to a test in `tests/`.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

use comity_conformance::{
    Kind, Lists, Parameter, ReplySample, Sample, extra_query, identifier, json, no_body,
};
use comity_core::{
    CallService, Client, Operations, ServerName,
    call::{Call, Endpoint, Operation},
    endpoint::{Content, EndpointParts},
    transport::{FixedRoutes, MemoryMode, MemoryTransport, Route, Transport},
};
use comity_grpc::{
    Codecs, GrpcCodec, GrpcServer, GrpcServerOptions, GrpcTransport, ReplyMessage, is_grpc,
};
use comity_http::{HttpServer, ServiceTransport};
use comity_net::{
    AddressGuard, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions, Protocol,
};
use proptest::{
    prop_assert, prop_assert_eq, proptest,
    strategy::{BoxedStrategy, Strategy},
};
use prost::Message;

use crate::{GetExtremities, grpc, operations};

// [doc: sample]
impl Sample for GetExtremities {
    const LISTS: Lists<Self> = Lists::NONE;
    const PARAMETERS: &'static [Parameter] = &[];
    const REPLY_MEMBERS: &'static [Parameter] =
        &[Parameter::member("prev_events", Kind::Strings).required()];

    fn requests() -> BoxedStrategy<Self> {
        (identifier(), extra_query())
            .prop_map(|(room_id, extra_query)| Self {
                room_id,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        json::hostile(vec![("prev_events", json::strings())])
            .prop_map(ReplySample::Message)
            .boxed()
    }
}
// [end doc]

proptest! {
    /// A request's message stands for exactly what was signed, also after it was bytes.
    #[test]
    fn the_request_message_says_what_the_request_said(
        request in GetExtremities::requests(),
        content in GetExtremities::contents(),
    ) {
        let parts = EndpointParts { content, ..Endpoint::write(&request) };
        match GetExtremities::request_to_message(&parts) {
            Some(message) => {
                let message = Message::decode(&message.encode_to_vec()[..]).unwrap();
                let fields = GetExtremities::request_from_message(&message).unwrap();
                prop_assert!(fields.matches(&parts));
                let limit = GetExtremities::SPEC.limits.request;
                prop_assert_eq!(fields.ingest(limit).unwrap(), parts);
            }
            // `Invoke` carries it.
            None => prop_assert!(parts.content != Content::Absent),
        }
    }

    /// So does a reply's, whatever a peer may send in place of the IDs.
    #[test]
    fn the_reply_message_says_what_the_reply_said(reply in GetExtremities::replies()) {
        let ReplySample::Message(content) = reply else { unreachable!("the reply is a message") };
        let message = grpc::GetExtremitiesReply::from_content(&content);
        let message = grpc::GetExtremitiesReply::decode(&message.encode_to_vec()[..]).unwrap();
        let read = message.content().unwrap().ingest(GetExtremities::SPEC.limits.message);
        prop_assert_eq!(read.unwrap(), Some(content));
    }

    /// The endpoint form says what the request says, and an operation that its registry knows gets there.
    #[test]
    fn a_call_arrives_as_it_was_made(
        request in GetExtremities::requests(),
        reply in GetExtremities::replies(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for (transport, rpc, called) in transports(&request, &reply).await {
                let call = Call::new(callee(), request.clone());
                let arrived = Client::new(transport).send(call).await.unwrap();
                let (arrived, broken) = ReplySample::read(arrived).await;
                prop_assert!(broken.is_none(), "{:?}", broken);
                prop_assert_eq!(&arrived, &reply);
                prop_assert_eq!(&*called.lock().unwrap(), &Vec::from_iter(rpc));
            }
            Ok(())
        })?;
    }
}

fn callee() -> ServerName {
    "callee.example".parse().unwrap()
}

/// The rpcs that were called.
type Called = Arc<Mutex<Vec<String>>>;

/// HTTP, memory, and gRPC with the typed message and without, each to a server that expects this request and gives this reply; and the rpc
/// that has to be called.
async fn transports(
    request: &GetExtremities,
    reply: &ReplySample,
) -> Vec<(Arc<dyn Transport>, Option<String>, Called)> {
    let all = Operations::federation().with(operations()).unwrap();
    let (request, reply) = (request.clone(), reply.clone());
    let server = CallService::new(tower::service_fn(move |call: Call| {
        assert!(call.request().same(&request), "{call:?} is not {request:?}");
        std::future::ready(Ok(reply.to_reply(None)))
    }));
    let http = HttpServer::new(all.clone(), server.clone());
    let memory = MemoryTransport::new(all.clone(), server.clone(), MemoryMode::ThroughCodec);
    let mut transports: Vec<(Arc<dyn Transport>, _, _)> = vec![
        (
            Arc::new(ServiceTransport::new(http)),
            None,
            Called::default(),
        ),
        (Arc::new(memory), None, Called::default()),
    ];
    let ours = Codecs::federation().with::<GetExtremities>();
    for (codecs, rpc) in [
        (ours, GetExtremities::RPC),
        (
            Codecs::federation(),
            "comity.federation.v1.Invocation/Invoke",
        ),
    ] {
        let called = Called::default();
        let grpc = over_grpc(all.clone(), server.clone(), called.clone()).await;
        transports.push((
            Arc::new(grpc.with_codecs(codecs)),
            Some(format!("/{rpc}")),
            called,
        ));
    }
    transports
}

/// gRPC over loopback; the server has the typed message, and ends with the runtime.
async fn over_grpc(operations: Operations, server: CallService, called: Called) -> GrpcTransport {
    let codecs = Codecs::federation().with::<GetExtremities>();
    let options = GrpcServerOptions::default();
    let grpc = GrpcServer::new(operations.clone(), codecs, server.clone(), options);
    let claims = move |head: &http::request::Parts| {
        called.lock().unwrap().push(head.uri.path().to_owned());
        is_grpc(head)
    };
    let dispatch = Dispatch::new(HttpServer::new(operations, server).boxed())
        .with(claims, grpc.into_service());
    let options = ListenerOptions {
        protocol: Protocol::Http2,
        ..ListenerOptions::default()
    };
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0), options)
        .await
        .unwrap();
    let route = Route {
        addresses: vec![listener.local_addr()],
        host: callee().to_string(),
        certificate_name: callee().host().to_owned(),
    };
    tokio::spawn(listener.serve(dispatch, std::future::pending()));
    let connector =
        Connector::danger_without_tls().with_guard(AddressGuard::default().allow_loopback());
    let options = PoolOptions::default().with_protocol(Protocol::Http2);
    let routes = FixedRoutes::new().with(callee(), route);
    GrpcTransport::new(Arc::new(routes), Pool::new(connector, options))
}
