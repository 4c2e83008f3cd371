//! The laws of Comity's own operations, kept by one from outside: the conformance kit over a sample of it.
//!
//! The sample stands in this crate, under `cfg(test)`: the kit's trait and the request would both be foreign to a test in `tests/`.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

use comity_conformance::{
    AnySample, Declared, Harness, HarnessError, Kind, Lists, Parameter, ReplySample, Sample,
    Served, Verdict, async_trait, cases, extra_query, identifier, json, no_body,
};
use comity_core::{
    CallService, Operations, ServerName,
    call::{Endpoint, Operation},
    endpoint::{Content, EndpointParts},
    transport::{FixedRoutes, Route, Transport},
};
use comity_grpc::{
    Codecs, GrpcCodec, GrpcServer, GrpcServerOptions, GrpcTransport, ReplyMessage, is_grpc,
};
use comity_http::{HttpServer, HttpTransport};
use comity_net::{
    AddressGuard, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions, Protocol,
};
use proptest::{
    prop_assert, prop_assert_eq, proptest,
    strategy::{BoxedStrategy, Strategy},
};
use prost::Message;

use crate::{GetExtremities, grpc};

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
}

/// The rpcs that were called.
type Called = Arc<Mutex<Vec<String>>>;

/// Over loopback, to a server that has the typed message: by HTTP (`None`), or by gRPC with these codecs.
struct Loopback {
    codecs: Option<Codecs>,
    called: Called,
}

#[async_trait]
impl Harness for Loopback {
    fn name(&self) -> String {
        "loopback".to_owned()
    }

    fn declared(&self) -> Declared {
        match self.codecs {
            None => Declared::default(),
            Some(_) => Declared::default()
                .naming_destination()
                .bounding_error_bodies(2_500),
        }
    }

    async fn serve(
        &self,
        server: &ServerName,
        operations: Operations,
        service: CallService,
    ) -> Result<Served, HarnessError> {
        let codecs = Codecs::federation().with::<GetExtremities>();
        let options = GrpcServerOptions::default();
        let grpc = GrpcServer::new(operations.clone(), codecs, service.clone(), options);
        let called = self.called.clone();
        let claims = move |head: &http::request::Parts| {
            called.lock().unwrap().push(head.uri.path().to_owned());
            is_grpc(head)
        };
        let http = HttpServer::new(operations, service).boxed();
        let dispatch = Dispatch::new(http).with(claims, grpc.into_service());
        let protocol = match self.codecs {
            None => Protocol::Http1,
            Some(_) => Protocol::Http2,
        };
        let options = ListenerOptions {
            protocol,
            ..ListenerOptions::default()
        };
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0), options).await?;
        let route = Route {
            addresses: vec![listener.local_addr()],
            host: server.to_string(),
            certificate_name: server.host().to_owned(),
        };
        tokio::spawn(listener.serve(dispatch, std::future::pending()));
        let guard = AddressGuard::default().allow_loopback();
        let connector = Connector::danger_without_tls().with_guard(guard);
        let pool = Pool::new(connector, PoolOptions::default().with_protocol(protocol));
        let routes = Arc::new(FixedRoutes::new().with(server.clone(), route));
        let transport: Arc<dyn Transport> = match &self.codecs {
            None => Arc::new(HttpTransport::new(routes, pool)),
            Some(codecs) => Arc::new(GrpcTransport::new(routes, pool).with_codecs(codecs.clone())),
        };
        Ok(Served::new(transport))
    }
}

/// Every case of the kit, and whether the typed message was used.
fn passes(codecs: Option<Codecs>, typed: bool) {
    let called = Called::default();
    let harness = Loopback {
        codecs,
        called: called.clone(),
    };
    for case in cases(harness, &[AnySample::of::<GetExtremities>()]) {
        let name = case.name().to_owned();
        match case.run() {
            Verdict::Failed(why) => panic!("{name}: {why}"),
            Verdict::Passed | Verdict::Unsupported(_) => {}
        }
    }
    let rpc = format!("/{}", GetExtremities::RPC);
    assert_eq!(called.lock().unwrap().contains(&rpc), typed);
}

#[test]
fn the_kit_passes_over_http() {
    passes(None, false);
}

#[test]
fn the_kit_passes_over_grpc_with_the_typed_message() {
    passes(Some(Codecs::federation().with::<GetExtremities>()), true);
}

#[test]
fn the_kit_passes_over_grpc_for_a_peer_without_it() {
    passes(Some(Codecs::federation()), false);
}
