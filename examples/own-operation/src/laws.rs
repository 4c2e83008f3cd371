//! The laws of Comity's own operations, kept by one from outside, over the conformance kit's hostile samples.
//!
//! The sample stands in this crate, under `cfg(test)`: the kit's trait and the request would both be foreign to a test in `tests/`.

use std::sync::Arc;

use comity_conformance::{Lists, ReplySample, Sample, extra_query, identifier, json, no_body};
use comity_core::{
    CallService, Client, Operations, ServerName,
    call::{Call, Endpoint, Operation},
    endpoint::{Content, EndpointParts},
    transport::{MemoryMode, MemoryTransport, Transport},
};
use comity_grpc::{GrpcCodec, ReplyMessage};
use comity_http::{HttpServer, ServiceTransport};
use proptest::{
    prop_assert, prop_assert_eq, proptest,
    sample::select,
    strategy::{BoxedStrategy, Strategy},
};
use prost::Message;

use crate::{GetRoomComplexity, grpc, operations};

impl Sample for GetRoomComplexity {
    const LISTS: Lists<Self> = Lists::NONE;

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
        let number = select(&["0", "0.302", "1.10", "1e400", "-0.5E-7", "9007199254740993"][..]);
        let number = number.prop_map(json::parse).boxed();
        json::hostile(vec![("v1", number)])
            .prop_map(ReplySample::Message)
            .boxed()
    }
}

proptest! {
    /// A request's message stands for exactly what was signed, also after it was bytes.
    #[test]
    fn the_request_message_says_what_the_request_said(
        request in GetRoomComplexity::requests(),
        content in GetRoomComplexity::contents(),
    ) {
        let parts = EndpointParts { content, ..Endpoint::write(&request) };
        match GetRoomComplexity::request_to_message(&parts) {
            Some(message) => {
                let message = Message::decode(&message.encode_to_vec()[..]).unwrap();
                let fields = GetRoomComplexity::request_from_message(&message).unwrap();
                prop_assert!(fields.matches(&parts));
                let limit = GetRoomComplexity::SPEC.limits.request;
                prop_assert_eq!(fields.ingest(limit).unwrap(), parts);
            }
            // `Invoke` carries it.
            None => prop_assert!(parts.content != Content::Absent),
        }
    }

    /// So does a reply's, whatever a peer may send in place of a number.
    #[test]
    fn the_reply_message_says_what_the_reply_said(reply in GetRoomComplexity::replies()) {
        let ReplySample::Message(content) = reply else { unreachable!("the reply is a message") };
        let message = grpc::GetRoomComplexityReply::from_content(&content);
        let message = grpc::GetRoomComplexityReply::decode(&message.encode_to_vec()[..]).unwrap();
        let read = message.content().unwrap().ingest(GetRoomComplexity::SPEC.limits.message);
        prop_assert_eq!(read.unwrap(), Some(content));
    }

    /// The endpoint form says what the request says, and an operation that its registry knows gets there.
    #[test]
    fn a_call_arrives_as_it_was_made(
        request in GetRoomComplexity::requests(),
        reply in GetRoomComplexity::replies(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let destination: ServerName = "callee.example".parse().unwrap();
        for transport in transports(&request, &reply) {
            let call = Call::new(destination.clone(), request.clone());
            let (arrived, broken) = runtime.block_on(async {
                let arrived = Client::new(transport).send(call).await.unwrap();
                ReplySample::read(arrived).await
            });
            prop_assert!(broken.is_none(), "{:?}", broken);
            prop_assert_eq!(&arrived, &reply);
        }
    }
}

/// HTTP and memory, each to a server that expects this request and gives this reply.
fn transports(request: &GetRoomComplexity, reply: &ReplySample) -> [Arc<dyn Transport>; 2] {
    let all = Operations::federation().with(operations()).unwrap();
    let (request, reply) = (request.clone(), reply.clone());
    let server = CallService::new(tower::service_fn(move |call: Call| {
        assert!(call.request().same(&request), "{call:?} is not {request:?}");
        std::future::ready(Ok(reply.to_reply(None)))
    }));
    let http = HttpServer::new(all.clone(), server.clone());
    [
        Arc::new(ServiceTransport::new(http)),
        Arc::new(MemoryTransport::new(all, server, MemoryMode::ThroughCodec)),
    ]
}
