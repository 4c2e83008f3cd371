//! The request target on the wire is the one that was signed, byte for byte.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use comity_core::error::{Delivery, TransportErrorKind};
use comity_net::{ListenerOptions, Protocol, body};
use http::Response;
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use crate::setting::{
    Authority, Peer, Serving, ask, echo, get, put, read_head, route, service, text, write,
};

/// Targets that some library on the way might want to improve.
const TARGETS: [&str; 13] = [
    "/",
    "/?",
    "/_matrix/federation/v1/send/1?",
    "/_matrix/federation/v1/state/!room:a.b?event_id=$x",
    "/_matrix/federation/v1/state/%21room%3aa.b",
    "/a/%2f%2E%2e/b",
    "/a/../b/./c//d/",
    "/it's/(a)*~test;x=1,2",
    "/p?q='x'&r=a+b&r=%20&&=",
    "/p?a=b?c=d/e",
    "/{json}/\"q\"?x={a:[1]}",
    "/[::1]:8448@x|y",
    "/p?x=|^`\\",
];

#[tokio::test]
async fn http1_sends_and_receives_the_target_verbatim() {
    let authority = Authority::new();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let peer = Peer::tls(&authority, &[b"http/1.1"], move |mut tls, _| {
        let seen = Arc::clone(&seen);
        async move {
            loop {
                let head = read_head(&mut tls).await;
                if head.is_empty() {
                    return;
                }
                seen.lock().unwrap().push(head);
                write(&mut tls, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    })
    .await;
    let pool = authority.pool(Protocol::Http1);
    let serving = Serving::start(ListenerOptions::with_tls(authority.server()), echo()).await;
    for target in TARGETS {
        ask(&pool, &route(peer.address), target).await.unwrap();
        let head = heads.lock().unwrap().pop().unwrap();
        assert!(
            head.starts_with(&format!("GET {target} HTTP/1.1\r\n")),
            "{head}"
        );
        assert!(head.contains("\r\nhost: matrix.test:8448\r\n"), "{head}");
        assert_eq!(ask(&pool, &serving.route(), target).await.unwrap(), target);
    }
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn http2_sends_and_receives_the_target_verbatim() {
    let authority = Authority::new();
    let (seen, mut heads) = tokio::sync::mpsc::channel(1);
    let peer = Peer::tls(&authority, &[b"h2"], move |tls, _| {
        let seen = seen.clone();
        async move {
            let mut connection = h2::server::handshake(tls).await.unwrap();
            while let Some(Ok((request, mut reply))) = connection.accept().await {
                seen.send(request.into_parts().0).await.unwrap();
                reply.send_response(Response::new(()), true).unwrap();
            }
        }
    })
    .await;
    let pool = authority.pool(Protocol::Http1Or2);
    let serving = Serving::start(ListenerOptions::with_tls(authority.server()), echo()).await;
    for target in TARGETS {
        ask(&pool, &route(peer.address), target).await.unwrap();
        let head = heads.recv().await.unwrap();
        assert_eq!(head.uri.path_and_query().unwrap().as_str(), target);
        assert_eq!(head.uri.authority().unwrap().as_str(), "matrix.test:8448");
        assert_eq!(head.uri.scheme_str(), Some("https"));
        assert_eq!(head.headers.get("host"), None);
        assert_eq!(ask(&pool, &serving.route(), target).await.unwrap(), target);
    }
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn a_full_uri_is_no_target() {
    let authority = Authority::new();
    let pool = authority.pool(Protocol::Http1);
    for uri in ["https://elsewhere.test/path", "*", "elsewhere.test:443"] {
        let error = pool
            .send(&route(([127, 0, 0, 1], 1).into()), get(uri))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.delivery()),
            (TransportErrorKind::Unsupported, Delivery::NotSent)
        );
    }
}

#[tokio::test]
async fn both_protocols_work_without_tls() {
    let authority = Authority::new();
    let serving = Serving::start(
        ListenerOptions::default(),
        service(
            |request| async move { Response::new(body::full(format!("{:?}", request.version()))) },
        ),
    )
    .await;
    let connector = comity_net::Connector::danger_without_tls()
        .with_guard(comity_net::AddressGuard::default().allow_loopback());
    for (protocol, version) in [
        (Protocol::Http1, "HTTP/1.1"),
        (Protocol::Http1Or2, "HTTP/1.1"),
        (Protocol::Http2, "HTTP/2.0"),
    ] {
        let options = comity_net::PoolOptions::default().with_protocol(protocol);
        let pool = comity_net::Pool::new(connector.clone(), options);
        assert_eq!(ask(&pool, &serving.route(), "/").await.unwrap(), version);
    }
    drop(authority);
}

#[tokio::test]
async fn bodies_travel_whole_in_both_directions() {
    let authority = Authority::new();
    let serving = Serving::start(
        ListenerOptions::with_tls(authority.server()),
        service(|request| async move { Response::new(request.into_body()) }),
    )
    .await;
    let content: Vec<u8> = (0..3_000_000_u32).map(|i| b'a' + (i % 23) as u8).collect();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pool = authority.pool(protocol);
        let response = pool
            .send(&serving.route(), put("/", content.clone()))
            .await
            .unwrap();
        assert!(text(response).await.into_bytes() == content);
    }
}

/// A client may wait for them before it says a word (RFC 9113 §3.4).
#[tokio::test]
async fn a_listeners_settings_come_before_the_clients_preface() {
    let options = ListenerOptions {
        protocol: Protocol::Http2,
        ..ListenerOptions::default()
    };
    let serving = Serving::start(options, echo()).await;
    let mut tcp = TcpStream::connect(serving.address).await.unwrap();
    let mut frame = [0; 9];
    let read = timeout(Duration::from_secs(60), tcp.read_exact(&mut frame));
    read.await.expect("it does not wait for us").unwrap();
    assert_eq!(frame[3], 4, "a frame of SETTINGS");
}
