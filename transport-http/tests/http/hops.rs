//! Calls that are passed on: who passed them, circles, and who speaks in an error.

use std::sync::{Arc, Mutex};

use comity_core::{
    CallService, Operations, ServerName,
    call::{Call, Message, Reply},
    error::{
        CallError, Delivery, ErrorOrigin, FederationError, TransportError, TransportErrorKind,
    },
    json::Object,
    layers::Hops,
    transport::{FixedRoutes, Route, Transport},
};
use comity_http::{HttpServer, HttpServerOptions, HttpTransport};
use comity_net::{AddressGuard, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions};
use tower::Layer;

use crate::{
    raw::{Answer, Raw},
    setting::{Serving, destination, handler},
};

const VERSION: &str = "GET /_matrix/federation/v1/version";

fn gateway(name: &str, service: CallService) -> HttpServer {
    let name: ServerName = name.parse().unwrap();
    let options = HttpServerOptions {
        via: Some(name.clone()),
        ..HttpServerOptions::default()
    };
    let service = CallService::new(Hops::layer(name).layer(service));
    HttpServer::with_options(Operations::federation(), service, options)
}

async fn serve(server: HttpServer) -> Serving {
    Serving::plain_server(server).await
}

/// Passes calls on to this address.
fn onward(address: std::net::SocketAddr) -> CallService {
    let route = Route {
        addresses: vec![address],
        host: "matrix.test".to_owned(),
        certificate_name: "matrix.test".to_owned(),
    };
    let connector =
        Connector::danger_without_tls().with_guard(AddressGuard::default().allow_loopback());
    let transport = Arc::new(HttpTransport::new(
        Arc::new(FixedRoutes::new().with(destination(), route)),
        Pool::new(connector, PoolOptions::default()),
    ));
    handler(move |mut call: Call| {
        let transport = Arc::clone(&transport);
        async move {
            call.context_mut().destination = Some(destination());
            transport.send(call).await
        }
    })
}

async fn ask(serving: &Serving, headers: &str) -> Answer {
    Raw::open(serving).await.ask(VERSION, headers, "").await
}

#[tokio::test]
async fn each_hop_is_noted_in_order_and_in_the_reply() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = Arc::clone(&seen);
    let homeserver = handler(move |call: Call| {
        *keep.lock().unwrap() = call.context().via.clone();
        async { Ok(Reply::Message(Message::from_content(Object::empty()))) }
    });
    let homeserver = HttpServer::new(Operations::federation(), homeserver);
    let homeserver = serve(homeserver).await;
    let two = serve(gateway("gw2.test:8448", onward(homeserver.address))).await;
    let one = serve(gateway("gw1.test", onward(two.address))).await;

    let answer = ask(&one, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("via"), Some("http/1 gw1.test"));
    let hops = ["http/1 gw1.test", "http/1 gw2.test:8448"];
    assert_eq!(*seen.lock().unwrap(), hops);

    // What stood there before stays, one hop or a list of them.
    let before = "Via: 1.1 a (x, y), 2 b\r\nVia: 1.0 c\r\n";
    assert_eq!(ask(&one, before).await.status, 200);
    let hops = [&["1.1 a (x, y)", "2 b", "1.0 c"][..], &hops].concat();
    assert_eq!(*seen.lock().unwrap(), hops);
    // A homeserver that is no gateway speaks for itself.
    assert_eq!(ask(&homeserver, "").await.header("via"), None);
}

#[tokio::test]
async fn a_circle_ends_at_the_first_gateway_that_it_comes_back_to() {
    // Two gateways, each of which takes the other for the homeserver.
    let listener = Listener::bind(("127.0.0.1", 0), ListenerOptions::default())
        .await
        .unwrap();
    let two = gateway("gw2.test", onward(listener.local_addr()));
    let two = serve(two).await;
    let one = gateway("gw1.test", onward(two.address));
    let address = listener.local_addr();
    tokio::spawn(listener.serve(Dispatch::new(one.boxed()), std::future::pending()));
    let served = Serving::plain_server(gateway("gw0.test", onward(address))).await;
    let answer = ask(&served, "").await;
    answer.assert(508, "M_UNKNOWN", "a circle");
    // gw0, gw1, gw2, and gw1 again, whose word it is on the whole way back.
    assert!(answer.body.contains(r#""via":"gw1.test""#), "{answer:?}");
    assert!(
        answer.body.contains("this call passed gw1.test before"),
        "{answer:?}"
    );
    assert_eq!(answer.header("via"), Some("http/1 gw0.test"));
}

#[tokio::test]
async fn a_name_that_only_looks_alike_is_no_circle() {
    let empty = handler(|_| async { Ok(Reply::Message(Message::from_content(Object::empty()))) });
    let serving = serve(gateway("gw1.test", empty)).await;
    for via in [
        "1.1 GW1.test",
        "1.1 gw1.test:8448",
        "1.1 x (gw1.test)",
        "gw1.test",
        "1.1 gw1.tes",
    ] {
        let answer = ask(&serving, &format!("Via: {via}\r\n")).await;
        assert_eq!(answer.status, 200, "{via}: {answer:?}");
    }
    for via in [
        "1.1 gw1.test",
        "2 gw1.test (x)",
        "1.1 a, grpc/1 gw1.test, 1.1 b",
    ] {
        let answer = ask(&serving, &format!("Via: {via}\r\n")).await;
        assert_eq!(answer.status, 508, "{via}: {answer:?}");
    }
}

#[tokio::test]
async fn an_error_says_who_spoke() {
    let transport = |kind| TransportError::new(kind, Delivery::NotSent, "nobody there").into();
    let theirs = FederationError::forbidden("theirs").with_origin(ErrorOrigin::Remote);
    for (error, status, via) in [
        (
            CallError::from(FederationError::forbidden("ours")),
            403,
            true,
        ),
        (transport(TransportErrorKind::Connect), 502, true),
        (transport(TransportErrorKind::Timeout), 504, true),
        (theirs.into(), 403, false),
    ] {
        let fails = handler(move |_| {
            let error = error.clone();
            async { Err(error) }
        });
        let serving = serve(gateway("gw.test", fails)).await;
        let answer = ask(&serving, "").await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(
            answer.body.contains(r#""via":"gw.test""#),
            via,
            "{answer:?}"
        );
        assert_eq!(answer.header("via"), Some("http/1 gw.test"));
    }
    let serving = serve(gateway("gw.test", handler(|_| async { panic!("no call") }))).await;
    let mut raw = Raw::open(&serving).await;
    for (line, status) in [
        ("GET /_matrix/federation/v1/nothing", 404),
        ("DELETE /_matrix/federation/v1/version", 405),
        ("PUT /_matrix/federation/v1/send/1", 400),
    ] {
        let answer = raw
            .ask(line, "", if status == 400 { "{" } else { "" })
            .await;
        assert_eq!(answer.status, status, "{line}: {answer:?}");
        assert!(
            answer.body.contains(r#""via":"gw.test""#),
            "{line}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_client_knows_a_gateways_word_from_the_servers() {
    let fails = handler(|_| async { Err(FederationError::internal("broken").into()) });
    let serving = serve(gateway("gw.test", fails)).await;
    let call = Call::new(destination(), comity_core::api::GetVersion::default());
    let asked = tower::ServiceExt::oneshot(onward(serving.address), call).await;
    let Err(CallError::Federation(error)) = asked else {
        panic!("{asked:?}");
    };
    assert_eq!(error.origin(), &ErrorOrigin::Gateway("gw.test".to_owned()));
}
