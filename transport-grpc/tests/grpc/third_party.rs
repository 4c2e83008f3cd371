//! An operation from outside the workspace, with a message of its own and without one.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use comity_core::{
    Client, Operations,
    api::GetVersionReply,
    call::{
        AclDuty, Alternative, Authentication, Body, Call, Clocks, Endpoint, Flow, Idempotency,
        Message, Operation, OperationSpec, Reply, ReplyShape, SizeLimits, Unregistered, operation,
    },
    endpoint::{Content, ContentKind, EndpointForm, EndpointParts, PathTemplate, Query},
    error::FederationError,
};
use comity_grpc::{CodecError, Codecs, ContentFields, GrpcCodec, ReplyCodec, RequestFields};

use futures_util::TryStreamExt;

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

/// Takes bytes and gives bytes, by a message of its own.
#[derive(Clone, PartialEq, Debug)]
struct Fetch {
    content: Content,
}

impl Operation for Fetch {
    type Reply = Body;
    const SPEC: &'static OperationSpec = &OperationSpec {
        name: "Fetch",
        reply: ReplyShape::Body,
        ..*Greet::SPEC
    };
}

impl Endpoint for Fetch {
    const METHOD: &'static str = "POST";
    const PATH: PathTemplate = PathTemplate::new("/_own/v1/fetch");
    const CONTENT: ContentKind = ContentKind::Opaque;

    fn write(&self) -> EndpointParts {
        EndpointParts {
            content: self.content.clone(),
            ..EndpointParts::default()
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            content: parts.content.clone(),
        })
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct FetchRequest {}

impl GrpcCodec for Fetch {
    const RPC: &'static str = "own.v1.Own/Fetch";
    type Request = FetchRequest;
    const REPLY: ReplyCodec = ReplyCodec::BODY;

    // What has content goes through `Invoke`.
    fn request_to_message(parts: &EndpointParts) -> Option<FetchRequest> {
        matches!(parts.content, Content::Absent).then(FetchRequest::default)
    }

    fn request_from_message(_: &FetchRequest) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: vec![],
            query: Query::default(),
            content: ContentFields::Absent,
        })
    }
}

/// Says what arrived, in a body with everything that a body may have.
fn echo() -> comity_core::CallService {
    handler(|call: Call| async move {
        let content = call.form().unwrap().content();
        Ok(Reply::Body(Body {
            status: 206,
            content_disposition: Some("inline".to_owned()),
            ..Body::new(content.media_type().map(str::to_owned), content.bytes())
        }))
    })
}

#[tokio::test]
async fn a_body_comes_back_by_a_typed_message_and_by_invoke() {
    let codecs = Codecs::federation().with::<Fetch>();
    let operations = Operations::none().with([operation::<Fetch>()]).unwrap();
    let serving = Serving::with(echo(), operations, codecs.clone()).await;
    let client = Client::new(Arc::new(serving.transport().with_codecs(codecs)));
    let bytes = Bytes::from_static(b"\0\xff{");
    let with_type = |content_type: &str| Content::Opaque {
        content_type: content_type.to_owned(),
        bytes: bytes.clone(),
    };
    for (content, media_type) in [
        (Content::Absent, None),
        (with_type("a/b"), Some("a/b")),
        (with_type("application/json"), Some("application/json")),
        (with_type(""), None),
    ] {
        let sent = content.bytes();
        let reply = client.call(&destination(), Fetch { content }).await;
        let body = reply.unwrap();
        assert_eq!(body.status, 206);
        assert_eq!(body.content_type.as_deref(), media_type);
        assert_eq!(body.content_disposition.as_deref(), Some("inline"));
        let arrived: Vec<_> = body.bytes.try_collect().await.unwrap();
        assert_eq!(arrived.concat(), sent);
    }
}

#[tokio::test]
async fn a_handlers_error_behind_a_body_is_the_peers_answer_on_either_way() {
    let codecs = Codecs::federation().with::<Fetch>();
    let operations = Operations::none().with([operation::<Fetch>()]).unwrap();
    let refusing = crate::setting::fails(FederationError::forbidden("not for you"));
    let serving = Serving::with(refusing, operations, codecs.clone()).await;
    let content = Content::Opaque {
        content_type: "a/b".to_owned(),
        bytes: Bytes::from_static(b"x"),
    };
    for content in [Content::Absent, content] {
        let client = Client::new(Arc::new(serving.transport().with_codecs(codecs.clone())));
        let got = client.call(&destination(), Fetch { content }).await;
        let Err(comity_core::error::CallError::Federation(error)) = got else {
            panic!("{got:?}");
        };
        assert_eq!(
            (error.http_status(), error.errcode()),
            (403, Some("M_FORBIDDEN"))
        );
    }
}

#[tokio::test]
async fn a_call_that_no_row_knows_goes_through_invoke() {
    let operations = Operations::federation().with_unregistered();
    let serving = Serving::with(echo(), operations, Codecs::federation()).await;
    let content = Content::Opaque {
        content_type: "message/mls".to_owned(),
        bytes: (0..=255).collect(),
    };
    let request = Unregistered::new("X-OWN", "/_tuwunel//%zz?", content).unwrap();
    let body = serving
        .client()
        .call(&destination(), request)
        .await
        .unwrap();
    assert_eq!(body.content_type.as_deref(), Some("message/mls"));
    let arrived: Vec<_> = body.bytes.try_collect().await.unwrap();
    assert_eq!(arrived.concat(), (0..=255).collect::<Vec<u8>>());

    // A method and target that are no call, which the client would not send.
    for (method, target) in [
        ("A B", "/x"),
        ("GET", "x"),
        ("CONNECT", "/x"),
        ("GET", "/\n"),
    ] {
        let mut call = Call::new(
            destination(),
            Greet {
                name: "x".to_owned(),
            },
        );
        let form = EndpointForm::received(
            method.to_owned().into(),
            target.to_owned(),
            EndpointParts::default(),
        );
        call = Call::received(call.request().clone_box(), form, call.context().clone());
        let got = serving.invoking_client().send(call).await;
        let Err(error) = got else {
            panic!("{method} {target}")
        };
        if let comity_core::error::CallError::Federation(error) = error {
            assert_eq!(error.http_status(), 400, "{method} {target}: {error}");
        }
    }
}

/// Replies in a tuple where the endpoint form is what travels.
#[derive(Clone, PartialEq, Debug)]
struct Enter;

impl Operation for Enter {
    type Reply = GetVersionReply;
    const SPEC: &'static OperationSpec = &OperationSpec {
        name: "Enter",
        ..*Greet::SPEC
    };
}

impl Endpoint for Enter {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_own/v1/enter");
    const ALTERNATIVES: &'static [Alternative] = &[Alternative {
        method: "POST",
        path: PathTemplate::new("/_own/unstable/enter"),
    }];
    const REPLY_IN_TUPLE: bool = true;

    fn write(&self) -> EndpointParts {
        EndpointParts::default()
    }

    fn read(_: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self)
    }
}

impl GrpcCodec for Enter {
    const RPC: &'static str = "own.v1.Own/Enter";
    type Request = FetchRequest;
    const REPLY: ReplyCodec = ReplyCodec::message::<comity_proto::GetVersionReply>();

    fn request_to_message(_: &EndpointParts) -> Option<FetchRequest> {
        Some(FetchRequest::default())
    }

    fn request_from_message(_: &FetchRequest) -> Result<RequestFields<'_>, CodecError> {
        Ok(RequestFields {
            path: vec![],
            query: Query::default(),
            content: ContentFields::Absent,
        })
    }
}

#[tokio::test]
async fn a_typed_message_needs_no_tuple_and_invoke_has_it() {
    let own = Codecs::federation().with::<Enter>();
    for codecs in [own.clone(), Codecs::none()] {
        let service = handler(|_| async {
            let object = object(r#"{"server":{"name":"x"},"odd":[]}"#);
            Ok(Reply::Message(Message::from_content(object)))
        });
        let operations = Operations::none().with([operation::<Enter>()]).unwrap();
        let serving = Serving::with(service, operations, own.clone()).await;
        let client = Client::new(Arc::new(serving.transport().with_codecs(codecs)));
        let reply = client.call(&destination(), Enter).await.unwrap();
        assert!(reply.server.is_some());
        assert!(reply.extra.get("odd").is_some());
    }
}

#[tokio::test]
async fn a_typed_message_stands_for_every_spelling_of_its_call() {
    let own = Codecs::federation().with::<Enter>();
    let service = handler(|call: Call| async move {
        let form = call.form().unwrap();
        assert_eq!(
            (form.method(), form.target()),
            ("POST", "/_own/unstable/enter")
        );
        Ok(Reply::Message(Message::from_content(object("{}"))))
    });
    let operations = Operations::none().with([operation::<Enter>()]).unwrap();
    let serving = Serving::with(service, operations, own.clone()).await;
    let other = &Enter::ALTERNATIVES[0];
    let parts = EndpointParts::default();
    let form = EndpointForm::from_parts(other.method, &other.path, parts).unwrap();
    let context = comity_core::call::CallContext::to(destination());
    let call = Call::received(Box::new(Enter), form, context);
    let client = Client::new(Arc::new(serving.transport().with_codecs(own)));
    client.send(call).await.unwrap().typed::<Enter>().unwrap();
}
