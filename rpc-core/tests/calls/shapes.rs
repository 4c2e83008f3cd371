//! What the endpoint form of an operation may say beside method and path: other spellings, a tuple around the reply, bytes.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    Client, Operations, Router,
    api::{GetStateReply, GetVersionReply, NoMembers},
    call::{
        Alternative, Body, CallContext, Edition, EditionSpan, Endpoint, EventReply, Op, Operation,
        Reply, operation,
    },
    endpoint::{
        Content, ContentKind, EndpointParts, PathTemplate, ReplyHead, WireBody, read_reply,
        write_reply,
    },
    error::{CallError, FederationError, TransportErrorKind},
    event::Pdu,
    transport::{MemoryMode, MemoryTransport},
};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::homeserver::{name, pdu};

const DEFAULT: comity_core::call::SizeLimits = comity_core::call::SizeLimits {
    stream: 100,
    ..comity_core::call::SizeLimits::SMALL
};

comity_core::define_operations! {
    /// Calls of odd forms.
    group Odd odd {
        /// Replies in a tuple, and has other spellings.
        none enter: crate::shapes::Enter => GetVersionReply {
            idempotency: Safe, flow: Concurrent, reply: Message, limits: crate::shapes::DEFAULT,
            clocks: comity_core::call::Clocks::DEFAULT, errors: [], server_acl: Unchecked, editions: [],
        }
        /// Shares its path with the parameter of another.
        none enter_known: crate::shapes::EnterKnown => GetVersionReply {
            idempotency: Safe, flow: Concurrent, reply: Message, limits: crate::shapes::DEFAULT,
            clocks: comity_core::call::Clocks::DEFAULT, errors: [], server_acl: Unchecked, editions: [],
        }
        /// Streams in a tuple.
        none list: crate::shapes::List => GetStateReply {
            idempotency: Safe, flow: Concurrent, reply: Events { arrays: &["pdus", "auth_chain"] }, limits: comity_core::call::SizeLimits::DEFAULT,
            clocks: comity_core::call::Clocks::DEFAULT, errors: [], server_acl: Unchecked, editions: [],
        }
        /// Takes and gives bytes.
        none fetch: crate::shapes::Fetch => Body {
            idempotency: Safe, flow: Concurrent, reply: Body, limits: crate::shapes::DEFAULT,
            clocks: comity_core::call::Clocks::DEFAULT, errors: [], server_acl: Unchecked, editions: [],
        }
    }
}

macro_rules! requests {
    ($($Name:ident $method:literal $path:literal { $($facts:tt)* })*) => {$(
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $Name {
            pub path: Vec<String>,
            pub content: Content,
        }

        impl Endpoint for $Name {
            const METHOD: &'static str = $method;
            const PATH: PathTemplate = PathTemplate::new($path);
            $($facts)*

            fn write(&self) -> EndpointParts {
                EndpointParts { path: self.path.clone(), content: self.content.clone(), ..Default::default() }
            }

            fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
                Ok(Self { path: parts.path.clone(), content: parts.content.clone() })
            }
        }
    )*};
}

requests! {
    Enter "PUT" "/_own/v1/enter/{id}" {
        const REPLY_IN_TUPLE: bool = true;
        const ALTERNATIVES: &'static [Alternative] = &[
            Alternative { method: "POST", path: PathTemplate::new("/_own/v1/enter/{id}") },
            Alternative { method: "PUT", path: PathTemplate::new("/_own/unstable/enter/{id}") },
        ];
    }
    EnterKnown "PUT" "/_own/v1/enter/known" {}
    List "GET" "/_own/v1/list" { const REPLY_IN_TUPLE: bool = true; }
    Fetch "POST" "/_own/v1/fetch" { const CONTENT: ContentKind = ContentKind::Opaque; }
    Clash "PUT" "/_own/unstable/enter/{other}" {}
    Removed "PUT" "/_own/v1/removed" {}
}

impl Operation for Clash {
    type Reply = GetVersionReply;
    const SPEC: &'static comity_core::call::OperationSpec = &comity_core::call::OperationSpec {
        name: "Clash",
        ..*Enter::SPEC
    };
}

impl Operation for Removed {
    type Reply = GetVersionReply;
    const SPEC: &'static comity_core::call::OperationSpec = &comity_core::call::OperationSpec {
        name: "Removed",
        editions: &[
            EditionSpan {
                edition: Edition::Matrix,
                since: "r0",
                until: Some("v1.18"),
            },
            EditionSpan {
                edition: Edition::Ietf,
                since: "00",
                until: None,
            },
        ],
        ..*Enter::SPEC
    };
}

struct House;

#[async_trait]
impl Odd for House {
    async fn enter(&self, _: &CallContext, _: Enter) -> Result<GetVersionReply, FederationError> {
        Ok(GetVersionReply::default())
    }

    async fn list(&self, _: &CallContext, _: List) -> Result<GetStateReply, FederationError> {
        Ok(EventReply::new(
            vec![("pdus", events()), ("auth_chain", vec![])],
            NoMembers::default(),
        ))
    }

    async fn fetch(&self, _: &CallContext, request: Fetch) -> Result<Body, FederationError> {
        let Content::Opaque {
            content_type,
            bytes,
        } = request.content
        else {
            return Err(FederationError::bad_json("no bytes"));
        };
        Ok(Body {
            status: 201,
            content_disposition: Some("attachment; filename=x".to_owned()),
            ..Body::new(Some(content_type), bytes)
        })
    }
}

fn events() -> Vec<Pdu> {
    vec![pdu(r#"{"type":"]"}"#), pdu(r#"{"type":"m.b"}"#)]
}

fn own() -> Operations {
    Operations::federation().with(operations()).unwrap()
}

fn client(mode: MemoryMode) -> Client {
    let service = Router::new()
        .with(odd(Arc::new(House)))
        .layered(tower::layer::util::Identity::new());
    Client::new(Arc::new(MemoryTransport::new(own(), service, mode)))
}

async fn written(operation: Op, reply: Reply) -> (ReplyHead, String) {
    let wire = write_reply(operation, Ok(reply));
    let bytes = match wire.body {
        WireBody::Whole(bytes) => bytes,
        WireBody::Stream(stream) => stream
            .try_collect::<Vec<Bytes>>()
            .await
            .unwrap()
            .concat()
            .into(),
    };
    (wire.head, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn read(operation: Op, status: u16, body: &str, piece: usize) -> Result<Reply, CallError> {
    let head = ReplyHead {
        status,
        content_type: Some("application/json".to_owned()),
        ..ReplyHead::default()
    };
    let pieces: Vec<_> = body
        .as_bytes()
        .chunks(piece)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    read_reply(operation, head, stream::iter(pieces).boxed()).await
}

/// The number of elements of a streamed reply, if it is whole.
async fn count(reply: Reply) -> Result<usize, CallError> {
    let mut reply = reply.typed::<List>()?;
    let mut count = 0;
    while let Some(arrival) = reply.next().await {
        arrival?;
        count += 1;
    }
    reply.finish().await?;
    Ok(count)
}

#[tokio::test]
async fn a_reply_in_a_tuple_is_written_so_and_crosses_the_codec() {
    for mode in [MemoryMode::ByValue, MemoryMode::ThroughCodec] {
        let request = Enter {
            path: vec!["x".to_owned()],
            ..Enter::default()
        };
        let to = name("b.example");
        assert_eq!(
            client(mode).enter(&to, request).await.unwrap(),
            GetVersionReply::default()
        );
        let mut reply = client(mode).list(&to, List::default()).await.unwrap();
        let mut arrived = 0;
        while let Some(arrival) = reply.next().await {
            arrival.unwrap();
            arrived += 1;
        }
        assert_eq!(arrived, 2);
        reply.finish().await.unwrap();
    }
    let message = Reply::Message(comity_core::call::Message::from_value(
        GetVersionReply::default(),
    ));
    let (head, text) = written(operation::<Enter>(), message).await;
    assert_eq!((head.status, text.as_str()), (200, "[200,{}]"));
    let context = CallContext::default();
    let reply = House.list(&context, List::default()).await.unwrap();
    let reply = comity_core::call::ReplyForm::into_reply(reply);
    let (_, text) = written(operation::<List>(), reply).await;
    assert_eq!(
        text,
        r#"[200,{"pdus":[{"type":"]"},{"type":"m.b"}],"auth_chain":[]}]"#
    );
}

#[tokio::test]
async fn a_reply_in_a_tuple_is_read_bare_too_and_in_any_pieces() {
    let spaced = " [ 200 ,\n{\"pdus\":[{\"type\":\"]\"} , {}], \"auth_chain\" : [] } \t]\r\n ";
    for body in [
        r#"[200,{"pdus":[{"type":"]"},{}],"auth_chain":[]}]"#,
        r#"{"pdus":[{"type":"]"},{}],"auth_chain":[]}"#,
        spaced,
    ] {
        for piece in 1..body.len() + 1 {
            let reply = read(operation::<List>(), 200, body, piece).await.unwrap();
            assert_eq!(count(reply).await.unwrap(), 2, "{body} by {piece}");
            let reply = read(operation::<Enter>(), 200, body, piece).await.unwrap();
            reply.typed::<Enter>().unwrap();
        }
    }
}

#[tokio::test]
async fn what_is_no_tuple_of_200_and_an_object_is_refused() {
    let spaces = " ".repeat(100_000);
    for body in [
        "",
        "[",
        "[200",
        "[200,",
        "[200,{}",
        "[200,{}}",
        "[200,{}],",
        "[200,{}]]",
        "[200,{}]{}",
        "[200,{},1]",
        "[200]",
        "[200,[]]",
        "[403,{}]",
        "[2000,{}]",
        "[200.0,{}]",
        "[\"200\",{}]",
        "[{}]",
        "[{},200]",
        "[]",
        "]",
        "{}]",
        "200",
        &spaces,
        &format!("[{spaces}"),
    ] {
        for piece in [1, 3, usize::MAX] {
            let over = format!("{:.20}", body);
            let error = match read(operation::<List>(), 200, body, piece).await {
                Ok(reply) => count(reply).await.unwrap_err(),
                Err(error) => error,
            };
            let CallError::Transport(error) = error else {
                panic!("{over}: {error}")
            };
            assert_eq!(error.kind(), TransportErrorKind::Protocol, "{over}");
            let read = read(operation::<Enter>(), 200, body, piece).await;
            assert!(read.is_err(), "{over}");
        }
    }
    // Nothing but these operations takes a tuple.
    let version = operation::<comity_core::api::GetVersion>();
    assert!(read(version, 200, "[200,{}]", 9).await.is_err());
}

#[tokio::test]
async fn a_body_crosses_with_its_status_type_and_name() {
    let bytes = Bytes::from_static(b"\0\xff[not json");
    for (mode, media_type) in [
        (MemoryMode::ByValue, "message/mls"),
        (MemoryMode::ThroughCodec, "message/mls"),
        // The draft of that family names no media type.
        (MemoryMode::ThroughCodec, ""),
    ] {
        let request = Fetch {
            content: Content::Opaque {
                content_type: media_type.to_owned(),
                bytes: bytes.clone(),
            },
            ..Fetch::default()
        };
        let body = client(mode)
            .fetch(&name("b.example"), request)
            .await
            .unwrap();
        assert_eq!(body.status, 201);
        assert_eq!(body.content_type.as_deref(), Some(media_type));
        assert_eq!(
            body.content_disposition.as_deref(),
            Some("attachment; filename=x")
        );
        let arrived: Vec<_> = body.bytes.try_collect().await.unwrap();
        assert_eq!(arrived.concat(), bytes);
    }
}

#[tokio::test]
async fn a_body_is_bounded_and_a_failure_is_no_body() {
    let reply = read(operation::<Fetch>(), 204, "", 1).await.unwrap();
    assert_eq!(reply.typed::<Fetch>().unwrap().status, 204);
    for (bytes, fits) in [(100, true), (101, false)] {
        let reply = read(operation::<Fetch>(), 200, &"x".repeat(bytes), 7).await;
        let body = reply.unwrap().typed::<Fetch>().unwrap();
        let read = body.bytes.try_collect::<Vec<_>>().await;
        assert_eq!(read.is_ok(), fits);
        if let Err(error) = read {
            assert!(error.to_string().contains("limits.stream"), "{error}");
        }
    }
    let refused = read(operation::<Fetch>(), 302, "", 1).await.unwrap_err();
    assert!(matches!(refused, CallError::Federation(error) if error.http_status() == 302));
    // A handler that says so of its own reply is at fault.
    let (head, text) = written(
        operation::<Fetch>(),
        Reply::Body(Body {
            status: 404,
            ..Body::new(None, Bytes::from_static(b"secret"))
        }),
    )
    .await;
    assert_eq!(head.status, 500);
    assert!(!text.contains("secret") && text.contains("404"), "{text}");
}

#[test]
fn every_spelling_is_routed_and_a_literal_goes_before_a_parameter() {
    let own = own();
    let route = |method, target| {
        let (op, parts) = own.route(method, target)?;
        Ok::<_, FederationError>((op.spec().name, parts.path))
    };
    for (method, target) in [
        ("PUT", "/_own/v1/enter/a%2Fb"),
        ("POST", "/_own/v1/enter/a%2Fb"),
        ("PUT", "/_own/unstable/enter/a%2Fb"),
    ] {
        let found = route(method, target).unwrap();
        assert_eq!(found, ("Enter", vec!["a/b".to_owned()]));
    }
    assert_eq!(
        route("PUT", "/_own/v1/enter/known").unwrap(),
        ("EnterKnown", vec![])
    );
    // Which is registered first does not count.
    let reversed = Operations::none().with(operations().into_iter().rev());
    let (op, _) = reversed
        .unwrap()
        .route("PUT", "/_own/v1/enter/known")
        .unwrap();
    assert_eq!(op.spec().name, "EnterKnown");
    // An escape in a literal makes it another segment.
    assert_eq!(
        route("PUT", "/_own/v1/enter/%6bnown").unwrap(),
        ("Enter", vec!["known".to_owned()])
    );
    let other = route("GET", "/_own/unstable/enter/x").unwrap_err();
    assert_eq!(other.http_status(), 405);
}

#[test]
fn a_spelling_that_is_taken_is_refused() {
    let error = own().with([operation::<Clash>()]).unwrap_err();
    assert!(
        error.to_string().contains("PUT /_own/unstable/enter/"),
        "{error}"
    );
    let error = Operations::none()
        .with([operation::<Clash>(), operation::<Enter>()])
        .unwrap_err();
    assert!(error.to_string().contains("Enter"), "{error}");
    let error = own().with([operation::<Enter>()]).unwrap_err();
    assert!(error.to_string().contains("Enter"), "{error}");
}

#[test]
fn the_tables_own_spellings_do_not_clash() {
    Operations::none()
        .with(comity_core::api::operations())
        .unwrap();
}
