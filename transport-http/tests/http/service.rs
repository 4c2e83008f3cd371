//! A service in the same process instead of a network: it sees what a peer would see, and its answers read the same.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use comity_core::{
    Client,
    api::*,
    auth::{Sign, SigningKey},
    call::{Arrival, SizeLimits},
    error::{CallError, Delivery, TransportErrorKind},
};
use comity_http::{HttpServer, ServiceTransport};
use comity_net::{Body, BoxError, body};
use futures_util::stream;
use http::{Request, Response, header};
use http_body_util::BodyExt;
use tower::service_fn;

use crate::setting::{destination, handler};

/// A client of an application that is one function.
fn client_of<F, R>(app: F) -> Client
where
    F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    Client::new(Arc::new(ServiceTransport::new(service_fn(app))))
}

fn json(text: impl Into<Bytes>) -> Response<Body> {
    json_body(body::full(text))
}

fn json_body(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn missing() -> GetMissingEvents {
    GetMissingEvents {
        room_id: "!a/b c:example.org".to_owned(),
        latest_events: vec!["$latest".to_owned()],
        ..GetMissingEvents::default()
    }
}

#[tokio::test]
async fn the_service_gets_the_request_as_it_was_signed() {
    let app = |request: Request<Body>| async {
        let (head, body) = request.into_parts();
        assert_eq!(head.method, "POST");
        assert_eq!(
            head.uri,
            "/_matrix/federation/v1/get_missing_events/%21a%2Fb%20c%3Aexample.org"
        );
        assert_eq!(head.headers[header::HOST], destination().as_str());
        assert_eq!(head.headers[header::CONTENT_TYPE], "application/json");
        let credentials = head.headers[header::AUTHORIZATION].to_str().unwrap();
        assert!(credentials.starts_with("X-Matrix "), "{credentials}");
        assert_eq!(
            body.collect().await.unwrap().to_bytes(),
            r#"{"earliest_events":[],"latest_events":["$latest"]}"#
        );
        Ok::<_, Infallible>(json(r#"{"events":[{"type":"a"}],"org.example.more":1.5}"#))
    };
    let key = Arc::new(SigningKey::generate("1").unwrap());
    let sign = Sign::layer("caller.test".parse().unwrap(), key);
    let transport = ServiceTransport::new(service_fn(app));
    let client = Client::layered(Arc::new(transport), sign);
    let reply = client
        .get_missing_events(&destination(), missing())
        .await
        .unwrap();
    assert_eq!(reply.events.len(), 1);
    assert_eq!(reply.extra.get("org.example.more").unwrap().text(), "1.5");
}

#[tokio::test]
async fn an_error_answer_keeps_status_code_and_body() {
    let client = client_of(|_| async {
        let mut response = json(r#"{"error":"no","errcode":"M_FORBIDDEN","why":[1]}"#);
        *response.status_mut() = http::StatusCode::FORBIDDEN;
        Ok(response)
    });
    let error = client.get_missing_events(&destination(), missing()).await;
    let CallError::Federation(error) = error.unwrap_err() else {
        panic!("the answer is the peer's");
    };
    assert_eq!(error.http_status(), 403);
    assert_eq!(error.errcode(), Some("M_FORBIDDEN"));
    assert!(error.body().ends_with(br#""why":[1]}"#));
}

#[tokio::test]
async fn a_reply_streams_and_one_that_breaks_off_is_an_error() {
    let chunks = |last: Option<BoxError>| {
        let chunks = [r#"{"auth_chain":[],"state":[{"n":1}"#, r#",{"n":2}"#];
        let chunks = chunks.map(|chunk| Ok(Bytes::from_static(chunk.as_bytes())));
        let last = last.map_or_else(|| Ok(Bytes::from_static(b"]}")), Err);
        body::from_stream(stream::iter(chunks.into_iter().chain([last])))
    };
    for broken in [false, true] {
        let client = client_of(move |_| async move {
            let last = broken.then(|| "the application gave up".into());
            Ok(json_body(chunks(last)))
        });
        let state = r#"{"type":"m.room.member"}"#;
        let state = comity_core::json::Value::parse(state.into(), 1 << 10).unwrap();
        let request = SendJoin {
            room_id: "!r".into(),
            event_id: "$e".into(),
            event: comity_core::event::Pdu::judge(state).unwrap(),
            omit_members: None,
            extra_query: Default::default(),
        };
        let mut reply = client.send_join(&destination(), request).await.unwrap();
        let mut events = 0;
        let mut failure = None;
        while let Some(arrival) = reply.next().await {
            match arrival {
                Ok(Arrival::Item { .. }) => events += 1,
                Ok(Arrival::Bad { .. }) => panic!("no event is malformed"),
                Err(error) => failure = Some(error),
            }
        }
        assert_eq!(events, 2);
        match failure {
            None => assert!(!broken),
            Some(CallError::Transport(error)) => {
                assert!(broken);
                assert_eq!(error.kind(), TransportErrorKind::Closed);
                assert_eq!(error.delivery(), Delivery::MaybeProcessed);
            }
            Some(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_reply_over_its_limit_is_refused_and_names_it() {
    let limit = SizeLimits::SMALL.message;
    let client = client_of(move |_| async move {
        Ok(json(format!(
            r#"{{"server":{{"name":"{}"}}}}"#,
            "x".repeat(limit)
        )))
    });
    let error = client
        .get_version(&destination(), GetVersion::default())
        .await
        .unwrap_err();
    let CallError::Transport(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.kind(), TransportErrorKind::LimitExceeded);
    assert!(error.message().contains("limits.message"), "{error}");
}

#[tokio::test]
async fn a_request_over_its_limit_is_refused_by_our_own_server_behind_it() {
    let server = HttpServer::new(
        comity_core::Operations::federation(),
        handler(|_| async { panic!("the request is too large to be answered") }),
    );
    let client = Client::new(Arc::new(ServiceTransport::new(server)));
    let mut request = missing();
    request.latest_events = vec!["$e".repeat(1 << 10); 1 << 10];
    let error = client.get_missing_events(&destination(), request).await;
    let CallError::Federation(error) = error.unwrap_err() else {
        panic!("the answer is the server's");
    };
    assert_eq!(error.http_status(), 413);
    assert!(error.to_string().contains("limits.request"), "{error}");
}

#[tokio::test]
async fn a_service_that_fails_leaves_open_what_it_did_and_one_that_is_not_ready_did_nothing() {
    #[derive(Clone)]
    struct NeverReady;

    impl tower::Service<Request<Body>> for NeverReady {
        type Response = Response<Body>;
        type Error = BoxError;
        type Future = std::future::Pending<Result<Response<Body>, BoxError>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), BoxError>> {
            std::task::Poll::Ready(Err("shut down".into()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            panic!("it is not ready")
        }
    }

    let fails = service_fn(async |_: Request<Body>| {
        Err::<Response<Body>, BoxError>("the application panicked".into())
    });
    for (client, expected) in [
        (
            Client::new(Arc::new(ServiceTransport::new(NeverReady))),
            Delivery::NotSent,
        ),
        (
            Client::new(Arc::new(ServiceTransport::new(fails))),
            Delivery::MaybeProcessed,
        ),
    ] {
        let error = client.get_missing_events(&destination(), missing()).await;
        let CallError::Transport(error) = error.unwrap_err() else {
            panic!("nobody answered");
        };
        assert_eq!(error.delivery(), expected);
    }
}
