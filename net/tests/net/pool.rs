//! Which connections are made, kept and closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use comity_net::{ConnectionInfo, ListenerOptions, Pool, PoolOptions, Protocol, body};
use futures_util::future::join_all;
use http::Response;

use crate::setting::{
    Authority, Peer, Serving, ask, echo, eventually, get, put, read_head, route, service, text,
    write,
};

/// A service that answers with the port of the connection's other end, after a while.
async fn ports(authority: &Authority) -> Serving {
    let options = ListenerOptions::with_tls(authority.server());
    Serving::start(
        options,
        service(|request| async move {
            let info = Arc::clone(request.extensions().get::<Arc<ConnectionInfo>>().unwrap());
            tokio::time::sleep(Duration::from_millis(20)).await;
            Response::new(body::full(
                info.peer().socket_addr().unwrap().port().to_string(),
            ))
        }),
    )
    .await
}

#[tokio::test]
async fn http1_uses_a_connection_again_when_the_body_was_read() {
    let authority = Authority::new();
    let serving = ports(&authority).await;
    let pool = authority.pool(Protocol::Http1);
    let first = ask(&pool, &serving.route(), "/").await.unwrap();
    for _ in 0..5 {
        assert_eq!(ask(&pool, &serving.route(), "/").await.unwrap(), first);
    }
    let route = serving.route();
    let both = join_all([ask(&pool, &route, "/"), ask(&pool, &route, "/")]).await;
    assert_ne!(both[0].as_ref().unwrap(), both[1].as_ref().unwrap());
}

#[tokio::test]
async fn http1_closes_a_connection_whose_body_was_dropped() {
    let authority = Authority::new();
    let serving = ports(&authority).await;
    let pool = authority.pool(Protocol::Http1);
    let response = pool.send(&serving.route(), get("/")).await.unwrap();
    let first = response
        .extensions()
        .get::<Arc<ConnectionInfo>>()
        .unwrap()
        .local()
        .socket_addr()
        .unwrap()
        .port();
    drop(response);
    assert_ne!(
        ask(&pool, &serving.route(), "/").await.unwrap(),
        first.to_string()
    );
}

#[tokio::test]
async fn http1_closes_a_connection_that_was_idle_for_too_long() {
    let authority = Authority::new();
    let closed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&closed);
    let peer = Peer::tls(&authority, &[b"http/1.1"], move |mut tls, _| {
        let counter = Arc::clone(&counter);
        async move {
            while !read_head(&mut tls).await.is_empty() {
                write(&mut tls, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
            }
            counter.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let options = PoolOptions::default().with_idle_timeout(Duration::from_millis(100));
    let pool = Pool::new(
        authority.connector(),
        options.with_protocol(Protocol::Http1),
    );
    ask(&pool, &route(peer.address), "/").await.unwrap();
    eventually("the peer sees it close", || {
        closed.load(Ordering::SeqCst) == 1
    })
    .await;
    ask(&pool, &route(peer.address), "/").await.unwrap();
    assert_eq!(peer.accepted(), 2);
}

#[tokio::test]
async fn http2_closes_a_connection_that_was_idle_for_too_long() {
    let authority = Authority::new();
    let closed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&closed);
    let peer = Peer::tls(&authority, &[b"h2"], move |tls, _| {
        let counter = Arc::clone(&counter);
        async move {
            let mut connection = h2::server::handshake(tls).await.unwrap();
            while let Some(Ok((_, mut reply))) = connection.accept().await {
                reply.send_response(Response::new(()), true).unwrap();
            }
            counter.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let options = PoolOptions::default().with_idle_timeout(Duration::from_millis(100));
    let pool = Pool::new(
        authority.connector(),
        options.with_protocol(Protocol::Http2),
    );
    ask(&pool, &route(peer.address), "/").await.unwrap();
    eventually("the peer sees it close", || {
        closed.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_dials_once_for_fifty_first_callers() {
    let authority = Authority::new();
    let serving = ports(&authority).await;
    for protocol in [Protocol::Http2, Protocol::Http1Or2] {
        let pool = authority.pool(protocol);
        let route = serving.route();
        let answers = join_all((0..50).map(|_| ask(&pool, &route, "/"))).await;
        let first = answers[0].as_ref().unwrap();
        assert!(
            answers
                .iter()
                .all(|answer| answer.as_ref().unwrap() == first)
        );
    }
}

#[tokio::test]
async fn fifty_first_callers_share_a_failure() {
    let authority = Authority::new();
    // It accepts and says nothing: the TLS handshake times out, once for all.
    let peer = Peer::tcp(|tcp, _| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(tcp);
    })
    .await;
    let connector = authority
        .connector()
        .with_tls_timeout(Duration::from_millis(300));
    let pool = Pool::new(connector, PoolOptions::default());
    let route = route(peer.address);
    let answers = join_all((0..50).map(|_| ask(&pool, &route, "/"))).await;
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn an_origin_that_speaks_http1_alone_serves_many_callers() {
    let authority = Authority::new();
    let options = ListenerOptions {
        protocol: Protocol::Http1,
        ..ListenerOptions::with_tls(authority.server())
    };
    let serving = Serving::start(options, echo()).await;
    let pool = authority.pool(Protocol::Http1Or2);
    let route = serving.route();
    let answers = join_all((0..20).map(|_| ask(&pool, &route, "/"))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap() == "/"));
}

#[tokio::test]
async fn a_dial_goes_on_when_its_first_caller_gives_up() {
    let authority = Authority::new();
    let serving = ports(&authority).await;
    let pool = authority.pool(Protocol::Http2);
    let route = serving.route();
    let impatient = tokio::time::timeout(Duration::ZERO, ask(&pool, &route, "/"));
    assert!(impatient.await.is_err());
    ask(&pool, &route, "/").await.unwrap();
}

#[tokio::test]
async fn exchanges_beyond_the_limit_wait() {
    let authority = Authority::new();
    let serving = ports(&authority).await;
    let options = PoolOptions {
        max_in_flight: 1,
        protocol: Protocol::Http1,
        ..PoolOptions::default()
    };
    let pool = Pool::new(authority.connector(), options);
    let route = serving.route();
    let answers = join_all((0..5).map(|_| ask(&pool, &route, "/"))).await;
    let first = answers[0].as_ref().unwrap();
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap() == first)
    );
}

#[tokio::test]
async fn a_connection_serves_only_routes_that_hold_its_address() {
    let authority = Authority::new();
    let (one, two) = (ports(&authority).await, ports(&authority).await);
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pool = authority.pool(protocol);
        let first = pool.send(&one.route(), get("/")).await.unwrap();
        assert_eq!(
            first
                .extensions()
                .get::<Arc<ConnectionInfo>>()
                .unwrap()
                .peer(),
            &one.address.into()
        );
        text(first).await;
        let second = pool.send(&two.route(), get("/")).await.unwrap();
        assert_eq!(
            second
                .extensions()
                .get::<Arc<ConnectionInfo>>()
                .unwrap()
                .peer(),
            &two.address.into()
        );
    }
}

#[tokio::test]
async fn the_next_address_is_tried() {
    let authority = Authority::new();
    let serving = ports(&authority).await;
    let mut route = serving.route();
    route.addresses.insert(0, ([127, 0, 0, 1], 1).into());
    ask(&authority.pool(Protocol::Http1), &route, "/")
        .await
        .unwrap();
}

#[tokio::test]
async fn prepare_sees_the_connection_that_carries_the_request() {
    let authority = Authority::new();
    let options = ListenerOptions::with_tls(authority.server());
    let serving = Serving::start(
        options,
        service(|request| async move {
            let port = request.headers()["x-port"].to_str().unwrap().to_owned();
            let info = request.extensions().get::<Arc<ConnectionInfo>>().unwrap();
            assert_eq!(info.peer().socket_addr().unwrap().port().to_string(), port);
            Response::new(body::empty())
        }),
    )
    .await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pool = authority.pool(protocol);
        let route = serving.route();
        let sent = pool.send_with(&route, put("/", "{}"), |info, head| {
            head.headers
                .insert("x-port", info.local().socket_addr().unwrap().port().into());
            Ok(())
        });
        assert_eq!(sent.await.unwrap().status(), 200);
    }
}
