//! Headers of the caller's own making: what a gateway tells the server behind it.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

use comity_core::{
    CallService, Operations,
    api::{Calls, GetVersion},
    call::{Call, CallContext, Message, Reply},
    json::Object,
    transport::{FixedRoutes, Route, Transport},
};
use comity_http::{HttpServer, HttpTransport, HttpTransportOptions, WriteHeaders};
use comity_net::{
    AddressGuard, Body, Connector, Dispatch, HttpService, Listener, ListenerOptions, Pool,
    PoolOptions, Protocol, TrustedProxies, body,
};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use tower::service_fn;

use crate::setting::{Serving, destination, handler};

/// A server that keeps the headers of its last request, with its target.
async fn homeserver() -> (Route, Arc<Mutex<(String, HeaderMap)>>) {
    let seen: Arc<Mutex<(String, HeaderMap)>> = Arc::default();
    let keep = Arc::clone(&seen);
    let service = HttpService::new(service_fn(move |request: Request<Body>| {
        *keep.lock().unwrap() = (request.uri().to_string(), request.headers().clone());
        let mut response = Response::new(body::full(r#"{"server":{"name":"x"}}"#));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        async { Ok(response) }
    }));
    let listener = Listener::bind(("127.0.0.1", 0), ListenerOptions::default())
        .await
        .unwrap();
    let route = Route {
        addresses: vec![listener.local_addr()],
        host: "matrix.test".to_owned(),
        certificate_name: "matrix.test".to_owned(),
    };
    tokio::spawn(listener.serve(Dispatch::new(service), std::future::pending()));
    (route, seen)
}

fn transport(route: Route, write: WriteHeaders) -> HttpTransport {
    let connector =
        Connector::danger_without_tls().with_guard(AddressGuard::default().allow_loopback());
    HttpTransport::with_options(
        Arc::new(FixedRoutes::new().with(destination(), route)),
        Pool::new(
            connector,
            PoolOptions::default().with_protocol(Protocol::Http1),
        ),
        HttpTransportOptions::default().with_headers(write),
    )
}

/// What a gateway says to its homeserver: the one address, and that it came over TLS.
fn forwarded(context: &CallContext, headers: &mut HeaderMap) {
    headers.remove("x-forwarded-for");
    if let Some(client) = context.client {
        let client = HeaderValue::from_str(&client.to_string()).unwrap();
        headers.insert("x-forwarded-for", client);
    }
    headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
}

#[tokio::test]
async fn the_headers_are_the_callers_to_write_and_the_framing_is_not() {
    let (route, seen) = homeserver().await;
    let transport = transport(
        route,
        Arc::new(|context, headers| {
            assert_eq!(context.destination, Some(destination()));
            for (name, value) in [
                ("user-agent", "Other/1"),
                ("proxy-authorization", "Bearer secret"),
                ("host", "elsewhere.test"),
                ("content-length", "7"),
                ("transfer-encoding", "chunked"),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }),
    );
    let call = Call::new(destination(), GetVersion::default());
    transport.send(call).await.unwrap();
    let (target, headers) = seen.lock().unwrap().clone();
    assert_eq!(target, "/_matrix/federation/v1/version");
    assert_eq!(headers["user-agent"], "Other/1");
    assert_eq!(headers["proxy-authorization"], "Bearer secret");
    assert_eq!(headers["host"], "matrix.test");
    assert!(!headers.contains_key("content-length"));
    assert!(!headers.contains_key("transfer-encoding"));
}

/// A gateway behind nothing, or behind a proxy on the same host.
async fn gateway(trusted_proxies: TrustedProxies) -> (Serving, Arc<Mutex<(String, HeaderMap)>>) {
    let (route, seen) = homeserver().await;
    let next = Arc::new(transport(route, Arc::new(forwarded)));
    let service = handler(move |mut call: Call| {
        let next = Arc::clone(&next);
        async move {
            call.context_mut().destination = Some(destination());
            next.send(call).await
        }
    });
    let options = ListenerOptions {
        trusted_proxies,
        ..ListenerOptions::default()
    };
    let server = HttpServer::new(Operations::federation(), service);
    (Serving::start(server, options, None).await, seen)
}

async fn ask(serving: &Serving, headers: &str) -> String {
    let line = "GET /_matrix/federation/v1/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    serving.raw(format!("{line}{headers}\r\n").as_bytes()).await
}

#[tokio::test]
async fn the_clients_address_is_told_once_and_never_as_the_client_wrote_it() {
    let lies = "X-Forwarded-For: 198.51.100.9\r\nX-Forwarded-Proto: http\r\n";
    let (open, seen) = gateway(TrustedProxies::default()).await;
    assert!(ask(&open, lies).await.starts_with("HTTP/1.1 200"));
    let told = |headers: &HeaderMap| -> Vec<String> {
        let values = headers.get_all("x-forwarded-for").iter();
        values
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    };
    {
        let (_, headers) = &*seen.lock().unwrap();
        assert_eq!(told(headers), ["127.0.0.1"]);
        assert_eq!(headers["x-forwarded-proto"], "https");
    }
    let trusted = TrustedProxies::default().trust("127.0.0.1").unwrap();
    let (behind, seen) = gateway(trusted).await;
    for (list, expected) in [
        ("X-Forwarded-For: 198.51.100.9, 192.0.2.1\r\n", "192.0.2.1"),
        ("X-Forwarded-For: 2001:db8::1, 127.0.0.1\r\n", "2001:db8::1"),
        ("X-Forwarded-For: nonsense\r\n", "127.0.0.1"),
        ("", "127.0.0.1"),
    ] {
        assert!(ask(&behind, list).await.starts_with("HTTP/1.1 200"));
        assert_eq!(told(&seen.lock().unwrap().1), [expected], "{list}");
    }
}

#[tokio::test]
async fn a_call_knows_the_address_it_came_from() {
    let client: Arc<Mutex<Option<IpAddr>>> = Arc::default();
    let keep = Arc::clone(&client);
    let service: CallService = handler(move |call: Call| {
        *keep.lock().unwrap() = call.context().client;
        async { Ok(Reply::Message(Message::from_content(Object::empty()))) }
    });
    let serving = Serving::tls(service).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let caller = serving.client(protocol);
        let name = destination();
        let asked = caller.get_version(&name, GetVersion::default());
        asked.await.unwrap();
        let seen = client.lock().unwrap().take();
        assert_eq!(seen, Some("127.0.0.1".parse().unwrap()));
    }
}
