//! What a listener bears, limits and shares out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use comity_net::{
    ConnectionInfo, Dispatch, Drained, ListenerOptions, Pool, PoolOptions, Protocol, body,
};
use futures_util::future::join_all;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::setting::{Authority, Serving, ask, echo, get, read_head, service, text, write};

const SHORT: Duration = Duration::from_millis(300);

fn slow() -> comity_net::HttpService {
    service(|_| async {
        tokio::time::sleep(SHORT).await;
        Response::new(body::full("done"))
    })
}

/// Reads to the end, and says how long it took.
async fn until_closed(tcp: &mut TcpStream) -> (String, Duration) {
    let began = Instant::now();
    let mut all = String::new();
    let _ = tcp.read_to_string(&mut all).await;
    (all, began.elapsed())
}

#[tokio::test]
async fn a_head_that_dribbles_is_cut_off() {
    let options = ListenerOptions {
        header_timeout: SHORT,
        ..ListenerOptions::default()
    };
    let serving = Serving::start(options, echo()).await;
    let mut tcp = TcpStream::connect(serving.address).await.unwrap();
    let began = Instant::now();
    for byte in b"GET / HTTP/1.1\r\nhost: x\r\nx: ".iter().cycle() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if tcp.write_all(&[*byte]).await.is_err() || began.elapsed() > 5 * SHORT {
            break;
        }
    }
    assert!(
        began.elapsed() >= SHORT && began.elapsed() < 5 * SHORT,
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn the_head_of_a_second_request_is_timed_too_but_idling_is_not() {
    let options = ListenerOptions {
        header_timeout: SHORT,
        ..ListenerOptions::default()
    };
    let serving = Serving::start(options, echo()).await;
    let mut tcp = TcpStream::connect(serving.address).await.unwrap();
    write(&mut tcp, "GET /1 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    read_head(&mut tcp).await;
    tokio::time::sleep(2 * SHORT).await;
    write(&mut tcp, "GET /2 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(read_head(&mut tcp).await.contains("200 OK"));
    write(&mut tcp, "GET /3 HT").await;
    let (_, took) = until_closed(&mut tcp).await;
    assert!(took >= SHORT / 2 && took < 5 * SHORT, "{took:?}");
}

#[tokio::test]
async fn a_body_that_comes_behind_its_answer_is_no_head() {
    let options = ListenerOptions {
        header_timeout: SHORT,
        ..ListenerOptions::default()
    };
    let answers_at_once = service(|request| async {
        tokio::spawn(request.into_body().collect());
        Response::new(body::empty())
    });
    let serving = Serving::start(options, answers_at_once).await;
    let mut tcp = TcpStream::connect(serving.address).await.unwrap();
    write(
        &mut tcp,
        "PUT /1 HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n01234",
    )
    .await;
    assert!(read_head(&mut tcp).await.contains("200 OK"));
    write(&mut tcp, "56789").await;
    tokio::time::sleep(2 * SHORT).await;
    write(&mut tcp, "GET /2 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(read_head(&mut tcp).await.contains("200 OK"));
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_cut_off() {
    let options = ListenerOptions {
        handshake_timeout: SHORT,
        ..ListenerOptions::default()
    };
    let authority = Authority::new();
    for tls in [None, Some(authority.server())] {
        let serving = Serving::start(
            ListenerOptions {
                tls,
                ..options.clone()
            },
            echo(),
        )
        .await;
        let mut tcp = TcpStream::connect(serving.address).await.unwrap();
        let (_, took) = until_closed(&mut tcp).await;
        assert!(took < 5 * SHORT, "{took:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_with_a_request_is_not() {
    let options = ListenerOptions {
        idle_timeout: SHORT / 3,
        ..ListenerOptions::default()
    };
    let serving = Serving::start(options, slow()).await;
    let mut tcp = TcpStream::connect(serving.address).await.unwrap();
    write(&mut tcp, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let (all, took) = until_closed(&mut tcp).await;
    assert!(all.ends_with("done"), "{all}");
    assert!(took >= SHORT && took < 5 * SHORT, "{took:?}");
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed() {
    let options = ListenerOptions {
        idle_timeout: SHORT,
        ..ListenerOptions::default()
    };
    let serving = Serving::start(options, echo()).await;
    let tcp = TcpStream::connect(serving.address).await.unwrap();
    let (client, connection) = h2::client::handshake(tcp).await.unwrap();
    let ended = tokio::time::timeout(5 * SHORT, connection).await;
    assert!(ended.expect("the server closes it").is_ok());
    drop(client);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let options = ListenerOptions {
        max_connections: 1,
        ..ListenerOptions::default()
    };
    let serving = Serving::start(options, echo()).await;
    let mut first = TcpStream::connect(serving.address).await.unwrap();
    write(&mut first, "GET /1 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(read_head(&mut first).await.contains("200 OK"));
    let mut second = TcpStream::connect(serving.address).await.unwrap();
    write(&mut second, "GET /2 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(
        tokio::time::timeout(SHORT, read_head(&mut second))
            .await
            .is_err()
    );
    drop(first);
    assert!(read_head(&mut second).await.ends_with("\r\n\r\n"));
}

#[tokio::test]
async fn streams_beyond_the_limit_wait_at_the_client() {
    let authority = Authority::new();
    let options = ListenerOptions {
        max_concurrent_streams: 2,
        ..ListenerOptions::with_tls(authority.server())
    };
    let serving = Serving::start(options, slow()).await;
    let options = PoolOptions {
        max_http2: 1,
        ..PoolOptions::default().with_protocol(Protocol::Http2)
    };
    let pool = Pool::new(authority.connector(), options);
    let route = serving.route();
    ask(&pool, &route, "/").await.unwrap();
    let began = Instant::now();
    let answers = join_all((0..4).map(|_| ask(&pool, &route, "/"))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert!(began.elapsed() >= 2 * SHORT);
}

#[tokio::test]
async fn a_request_in_flight_finishes_before_the_listener_ends() {
    let authority = Authority::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let serving = Serving::start(ListenerOptions::with_tls(authority.server()), slow()).await;
        let (address, route) = (serving.address, serving.route());
        let pool = authority.pool(protocol);
        let asking = {
            let pool = pool.clone();
            tokio::spawn(async move { ask(&pool, &route, "/").await })
        };
        tokio::time::sleep(SHORT / 2).await;
        let ended = serving.stop();
        tokio::time::sleep(SHORT / 6).await;
        assert!(!ended.is_finished());
        assert!(
            TcpStream::connect(address).await.is_err(),
            "the port is closed at once"
        );
        assert_eq!(asking.await.unwrap().unwrap(), "done");
        let drained = tokio::time::timeout(5 * SHORT, ended)
            .await
            .expect("it ends");
        assert_eq!(drained.unwrap(), Drained { cut: 0 });
    }
}

#[tokio::test]
async fn requests_that_do_not_finish_are_cut() {
    let authority = Authority::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let options = ListenerOptions {
            drain_timeout: SHORT,
            ..ListenerOptions::with_tls(authority.server())
        };
        let serving = Serving::start(options, service(|_| std::future::pending())).await;
        let route = serving.route();
        let pool = authority.pool(protocol);
        let asking = tokio::spawn(async move { ask(&pool, &route, "/").await });
        tokio::time::sleep(SHORT).await;
        let drained = tokio::time::timeout(5 * SHORT, serving.stop())
            .await
            .expect("it ends");
        assert_eq!(drained.unwrap(), Drained { cut: 1 });
        assert!(asking.await.unwrap().is_err());
    }
}

#[tokio::test]
async fn a_service_that_panics_is_answered_for() {
    let authority = Authority::new();
    let serving = Serving::start(
        ListenerOptions::with_tls(authority.server()),
        service(|request| async move {
            assert_ne!(request.uri().path(), "/panic");
            tokio::time::sleep(SHORT / 3).await;
            Response::new(body::full("fine"))
        }),
    )
    .await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pool = authority.pool(protocol);
        let route = serving.route();
        let (other, panicking) =
            tokio::join!(ask(&pool, &route, "/"), pool.send(&route, get("/panic")));
        let panicking = panicking.unwrap();
        assert_eq!(panicking.status(), StatusCode::INTERNAL_SERVER_ERROR);
        text(panicking).await;
        assert_eq!(other.unwrap(), "fine");
        assert_eq!(ask(&pool, &route, "/").await.unwrap(), "fine");
    }
}

#[tokio::test]
async fn the_first_service_that_claims_a_request_gets_it() {
    let says =
        |text: &'static str| service(move |_| async move { Response::new(body::full(text)) });
    let dispatch = Dispatch::new(says("fallback"))
        .with(
            |head| head.headers.contains_key("x-special"),
            says("special"),
        )
        .with(
            |head| head.uri.path().starts_with("/_matrix/"),
            says("matrix"),
        );
    let authority = Authority::new();
    let options = ListenerOptions::with_tls(authority.server());
    let serving = Serving::dispatching(options, dispatch).await;
    let pool = authority.pool(Protocol::Http1Or2);
    assert_eq!(ask(&pool, &serving.route(), "/").await.unwrap(), "fallback");
    assert_eq!(
        ask(&pool, &serving.route(), "/_matrix/x").await.unwrap(),
        "matrix"
    );
    let mut request = get("/_matrix/x");
    request
        .headers_mut()
        .insert("x-special", http::HeaderValue::from_static("1"));
    assert_eq!(
        text(pool.send(&serving.route(), request).await.unwrap()).await,
        "special"
    );
}

#[tokio::test]
async fn state_is_kept_for_a_connection() {
    let authority = Authority::new();
    let serving = Serving::start(
        ListenerOptions::with_tls(authority.server()),
        service(|request| async move {
            let info = request.extensions().get::<Arc<ConnectionInfo>>().unwrap();
            let count = info.state_or_insert_with(std::sync::atomic::AtomicU32::default);
            let before = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Response::new(body::full(before.to_string()))
        }),
    )
    .await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pool = authority.pool(protocol);
        assert_eq!(ask(&pool, &serving.route(), "/").await.unwrap(), "0");
        assert_eq!(ask(&pool, &serving.route(), "/").await.unwrap(), "1");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_431() {
    let serving = Serving::start(ListenerOptions::default(), echo()).await;
    let mut tcp = TcpStream::connect(serving.address).await.unwrap();
    let head = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "y".repeat(70_000)
    );
    let _ = tcp.write_all(head.as_bytes()).await;
    let mut status = [0; 12];
    tcp.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 431");
}
