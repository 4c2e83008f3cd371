//! An operation from outside the workspace, with a message of its own and without one.

use std::{sync::Arc, time::Duration};

use comity_core::{
    Client, Operations,
    api::GetVersionReply,
    call::{
        AclDuty, Authentication, Call, Clocks, Endpoint, Flow, Idempotency, Message, Operation,
        OperationSpec, Reply, ReplyShape, SizeLimits, operation,
    },
    endpoint::{Content, EndpointParts, PathTemplate, Query},
    error::FederationError,
};
use comity_grpc::{CodecError, Codecs, ContentFields, GrpcCodec, ReplyCodec, RequestFields};

use crate::setting::{Serving, destination, handler, object};

#[derive(Clone, PartialEq, Debug)]
struct Greet {
    name: String,
}

impl Operation for Greet {
    type Reply = GetVersionReply;
    const SPEC: &'static OperationSpec = &OperationSpec {
        name: "Greet",
        group: "Own",
        authentication: Authentication::None,
        idempotency: Idempotency::Safe,
        flow: Flow::Concurrent,
        reply: ReplyShape::Message,
        limits: SizeLimits::SMALL,
        clocks: Clocks {
            head: Duration::from_secs(5),
            ..Clocks::DEFAULT
        },
        errors: &[],
        server_acl: AclDuty::Unchecked,
        editions: &[],
    };
}

impl Endpoint for Greet {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_own/v1/greet/{name}");

    fn write(&self) -> EndpointParts {
        EndpointParts {
            path: vec![self.name.clone()],
            ..EndpointParts::default()
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            name: parts.path_parameter(0).to_owned(),
        })
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct GreetRequest {
    #[prost(string, tag = "1")]
    name: String,
}

impl GrpcCodec for Greet {
    const RPC: &'static str = "own.v1.Own/Greet";
    type Request = GreetRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<comity_proto::GetVersionReply>();

    fn request_to_message(parts: &EndpointParts) -> Option<GreetRequest> {
        matches!(parts.content, Content::Absent).then(|| GreetRequest {
            name: parts.path_parameter(0).to_owned(),
        })
    }

    fn request_from_message(message: &GreetRequest) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: vec![&message.name],
            query: Query::default(),
            content: ContentFields::Absent,
        })
    }
}

#[tokio::test]
async fn an_operation_from_outside_is_called_like_any_other() {
    let own = Codecs::federation().with::<Greet>();
    for (serves, calls) in [
        (own.clone(), own.clone()),
        (own.clone(), Codecs::federation()),
        (Codecs::federation(), own.clone()),
    ] {
        let service = handler(|call: Call| async move {
            assert_eq!(call.form().unwrap().target(), "/_own/v1/greet/A%20B");
            Ok(Reply::Message(Message::from_content(object(
                r#"{"hello":true}"#,
            ))))
        });
        let operations = Operations::federation()
            .with([operation::<Greet>()])
            .unwrap();
        let serving = Serving::with(service, operations, serves).await;
        let client = Client::new(Arc::new(serving.transport().with_codecs(calls)));
        let request = Greet {
            name: "A B".to_owned(),
        };
        let reply = client.call(&destination(), request).await.unwrap();
        assert!(reply.extra.get("hello").is_some());
    }
}

#[tokio::test]
async fn an_operation_that_the_peer_does_not_know_is_unrecognized() {
    let serving = Serving::start(crate::setting::nobody()).await;
    let codecs = Codecs::federation().with::<Greet>();
    let client = Client::new(Arc::new(serving.transport().with_codecs(codecs)));
    let request = Greet {
        name: "x".to_owned(),
    };
    let got = client.call(&destination(), request).await;
    let Err(comity_core::error::CallError::Federation(error)) = got else {
        panic!("{got:?}");
    };
    assert_eq!(error.errcode(), Some("M_UNRECOGNIZED"));
    assert_eq!(error.http_status(), 404);
}
