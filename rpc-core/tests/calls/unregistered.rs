//! Calls that no row knows.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use comity_core::{
    Client, Operations, Router, ServerName,
    api::{self, GetVersionReply},
    auth::{KeyRing, KeyRingOptions, Verify, XMatrixAuthenticator},
    call::{BadUnregistered, Body, Call, Unregistered},
    endpoint::Content,
    error::{CallError, Delivery, TransportErrorKind},
    json::Object,
    transport::{MemoryMode, MemoryTransport, Transport},
};
use futures_util::TryStreamExt;
use tower::layer::util::Identity;

use crate::homeserver::*;

const MODES: [MemoryMode; 2] = [MemoryMode::ByValue, MemoryMode::ThroughCodec];

type Seen = Arc<Mutex<Vec<(ServerName, Unregistered)>>>;

/// A server that keeps what no row knows and answers with its target, behind verification.
fn keeping(operations: Operations, mode: MemoryMode, seen: &Seen) -> Arc<dyn Transport> {
    let (a, b) = (
        Homeserver::new("a.example", 1),
        Homeserver::new("b.example", 2),
    );
    let keys = MemoryTransport::new(
        Operations::federation(),
        a.router().layered(Identity::new()),
        mode,
    );
    let ring = KeyRing::new(Client::new(Arc::new(keys)), KeyRingOptions::default());
    let authenticator = XMatrixAuthenticator::new(b.name.clone(), Arc::new(ring));
    let seen = seen.clone();
    let service = Router::new()
        .with(api::server(b))
        .with_unregistered(move |context, request: Unregistered| {
            let reply = Body::new(
                Some("text/plain".to_owned()),
                Bytes::from(request.target().to_owned()),
            );
            let origin = context.origin().clone();
            seen.lock().unwrap().push((origin, request));
            async move { Ok(reply) }
        })
        .layered(Verify::layer(Arc::new(authenticator)));
    Arc::new(MemoryTransport::new(operations, service, mode))
}

fn taking() -> Operations {
    Operations::federation().with_unregistered()
}

fn json(text: &'static str) -> Content {
    Content::Json(Object::parse(Bytes::from_static(text.as_bytes()), 1 << 20).unwrap())
}

#[tokio::test]
async fn it_reaches_its_handler_signed_and_as_it_was_sent() {
    let a = Homeserver::new("a.example", 1);
    for mode in MODES {
        let seen = Seen::default();
        let client = signing(keeping(taking(), mode, &seen), &a);
        for (method, target, content) in [
            ("GET", "/_matrix/federation/v1/unheard-of", Content::Absent),
            ("DELETE", "/_tuwunel/x%2F..%2f//%zz?a=%&&a", Content::Absent),
            ("put", "/_matrix/federation/v3/send/%2B+", json("{}")),
            // The path of a row, by a method that it does not have.
            ("PATCH", "/_matrix/federation/v1/version", json("{\"n\":1}")),
            (
                "POST",
                "/x",
                json("{\"f\":1.50E+3,\"i\":123456789012345678901234567890,\"z\":-0}"),
            ),
        ] {
            let request = Unregistered::new(method, target, content).unwrap();
            let reply = client.call(&name("b.example"), request.clone()).await;
            let body: Vec<_> = reply.unwrap().bytes.try_collect().await.unwrap();
            assert_eq!(body.concat(), target.as_bytes());
            assert_eq!(
                seen.lock().unwrap().pop().unwrap(),
                (a.name.clone(), request)
            );
        }
    }
}

#[tokio::test]
async fn a_target_that_a_row_knows_is_that_operation() {
    let a = Homeserver::new("a.example", 1);
    for mode in MODES {
        let seen = Seen::default();
        let client = signing(keeping(taking(), mode, &seen), &a);
        let request =
            Unregistered::new("GET", "/_matrix/federation/v1/version", Content::Absent).unwrap();
        let reply = client.call(&name("b.example"), request).await;
        // By value too the typed handler answers; its reply comes as the bytes that it is.
        let body = reply.unwrap();
        assert_eq!(body.content_type.as_deref(), Some("application/json"));
        let bytes: Vec<_> = body.bytes.try_collect().await.unwrap();
        let object = Object::parse(bytes.concat().into(), 1 << 20).unwrap();
        assert_eq!(
            comity_core::call::MessageForm::write(&GetVersionReply::default()),
            object
        );
        assert!(seen.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn unsigned_it_is_refused_and_where_it_is_not_taken_in_unrecognized() {
    let a = Homeserver::new("a.example", 1);
    for mode in MODES {
        let seen = Seen::default();
        let bare = Client::new(keeping(taking(), mode, &seen));
        let closed = signing(keeping(Operations::federation(), mode, &seen), &a);
        // The registry takes it in, and nobody answers.
        let b = Homeserver::new("b.example", 2);
        let silent = b.router().layered(Identity::new());
        let silent = Client::new(Arc::new(MemoryTransport::new(taking(), silent, mode)));
        for (client, method, target, status) in [
            (&bare, "GET", "/x", 401),
            (&closed, "GET", "/x", 404),
            (&closed, "POST", "/_matrix/federation/v1/version", 405),
            (&silent, "GET", "/x", 404),
        ] {
            let request = Unregistered::new(method, target, Content::Absent).unwrap();
            let error = client.call(&name("b.example"), request).await.unwrap_err();
            let CallError::Federation(error) = error else {
                panic!("{error}")
            };
            assert_eq!(error.http_status(), status, "{method} {target}: {error}");
        }
        assert!(seen.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_handler_that_trusts_nobody_is_not_reached_without_a_proof() {
    let router = Router::new().with_unregistered(|_, _| async { panic!("reached") });
    let service = router.layered(Identity::new());
    let memory = MemoryTransport::new(taking(), service, MemoryMode::ThroughCodec);
    let request = Unregistered::new("GET", "/x", Content::Absent).unwrap();
    let error = Client::new(Arc::new(memory))
        .call(&name("b.example"), request)
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::Federation(error) if error.http_status() == 401));
}

#[tokio::test]
async fn opaque_content_is_never_under_x_matrix() {
    let a = Homeserver::new("a.example", 1);
    let seen = Seen::default();
    let transport = keeping(taking(), MemoryMode::ThroughCodec, &seen);
    let opaque = Content::Opaque {
        content_type: "application/octet-stream".to_owned(),
        bytes: Bytes::from_static(b"{}"),
    };
    let request = Unregistered::new("POST", "/x", opaque).unwrap();
    let error = signing(transport.clone(), &a)
        .call(&name("b.example"), request.clone())
        .await
        .unwrap_err();
    let CallError::Transport(error) = error else {
        panic!("{error}")
    };
    assert_eq!(error.delivery(), Delivery::NotSent);
    // Signed as if it were the JSON that it looks like.
    let json = Unregistered::new("POST", "/x", json("{}")).unwrap();
    let mut signed = Call::new(name("b.example"), json);
    let form = signed.make_form().unwrap();
    let header = comity_core::auth::SignedRequest {
        method: form.method(),
        uri: form.target(),
        origin: &a.name,
        destination: "b.example",
        content: Some(b"{}"),
    }
    .sign(&a.key)
    .to_header();
    let mut call = Call::new(name("b.example"), request);
    call.context_mut().credentials.push(header);
    let error = transport.send(call).await.unwrap_err();
    assert!(matches!(error, CallError::Federation(error) if error.http_status() == 401));
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn what_no_wire_should_carry_is_not_made() {
    let new = |method: &str, target: &str| Unregistered::new(method, target, Content::Absent);
    let long = "M".repeat(33);
    for method in ["", "A B", "GET\r\n", "É", "CONNECT", "connect", &long] {
        assert_eq!(
            new(method, "/").unwrap_err(),
            BadUnregistered::Method,
            "{method}"
        );
    }
    let long = format!("/{}", "x".repeat(8 * 1024));
    for target in ["", "x", "*", "/ ", "/#", "/é", "/\n", "http://x/", &long] {
        let error = new("GET", target).unwrap_err();
        assert!(matches!(error, BadUnregistered::Target(_)), "{target}");
    }
    for content_type in ["", "application/json", "Application/JSON; charset=utf-8"] {
        let content = Content::Opaque {
            content_type: content_type.to_owned(),
            bytes: Bytes::from_static(b"x"),
        };
        let error = Unregistered::new("GET", "/", content).unwrap_err();
        assert_eq!(error, BadUnregistered::MediaType);
    }
    let error = CallError::from(new("", "/").unwrap_err());
    assert!(
        matches!(error, CallError::Transport(error) if error.kind() == TransportErrorKind::Unsupported)
    );
    assert!(new("M-SEARCH", "/?").is_ok());
}
