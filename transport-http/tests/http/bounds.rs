//! Peers that want too much: bodies without end, slow ones, bombs, too many calls. What is taken is bounded, and the refusal says which limit it was.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use comity_core::transport::Route;
use comity_core::{
    CallService,
    api::{Calls, GetVersion, GetVersionReply},
    call::{Message, Reply},
    error::{CallError, ErrorKind},
    layers::{Permits, Side},
};
use comity_http::HttpServerOptions;
use comity_net::{AddressGuard, Body, ClientTls, Connector, Pool, PoolOptions, Protocol, body};
use futures_util::{StreamExt, future::join_all, stream};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio::time::timeout;
use tower::Layer;

use crate::setting::{Serving, destination, handler};

fn nobody() -> CallService {
    handler(|call| async move { panic!("{call:?} arrived") })
}

/// Sends a transaction whose body may go on behind the answer; the answer, its text, and how long it took.
async fn put(
    serving: &Serving,
    protocol: Protocol,
    headers: &[(&str, &str)],
    body: Body,
) -> (StatusCode, String, Duration) {
    let tls = ClientTls::from_pem(serving.root().unwrap().as_bytes()).unwrap();
    let connector = Connector::new(tls).with_guard(AddressGuard::default().allow_loopback());
    let pool = Pool::new(connector, PoolOptions::default().with_protocol(protocol));
    let route = Route {
        addresses: vec![serving.address],
        host: "matrix.test".to_owned(),
        certificate_name: "matrix.test".to_owned(),
    };
    let mut request = Request::put("/_matrix/federation/v1/send/1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let began = Instant::now();
    let answering = pool.send(&route, request.body(body).unwrap());
    let answer = timeout(Duration::from_secs(15), answering).await;
    let response = answer.expect("in time").unwrap();
    let (status, took) = (response.status(), began.elapsed());
    let text = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(text.to_vec()).unwrap(), took)
}

#[tokio::test]
async fn a_body_without_end_is_refused_at_its_limit() {
    let serving = Serving::tls(nobody()).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = taken.clone();
        let endless = stream::repeat(Bytes::from_static(&[b' '; 32 << 10])).map(move |chunk| {
            count.fetch_add(chunk.len(), Ordering::SeqCst);
            Ok::<_, std::io::Error>(chunk)
        });
        let (status, text, _) = put(&serving, protocol, &[], body::from_stream(endless)).await;
        assert_eq!(status, 413, "{protocol:?}: {text}");
        assert!(
            text.contains("M_TOO_LARGE") && text.contains("limits.request"),
            "{text}"
        );
        // Over HTTP/1.1 it is read on for a while, or the answer would be lost; then the connection is closed.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let taken = taken.load(Ordering::SeqCst);
        assert!(taken < 80 << 20, "{protocol:?}: {taken}");
    }
}

#[tokio::test]
async fn a_slow_body_is_given_up_by_the_clocks_over_either_version() {
    let options = HttpServerOptions {
        body_idle: Duration::from_millis(300),
        body_total: Duration::from_millis(800),
        ..HttpServerOptions::default()
    };
    let serving = Serving::tls_with(nobody(), options).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let stopped = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))])
            .chain(stream::pending());
        let dripping = stream::repeat(()).then(|()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<_, std::io::Error>(Bytes::from_static(b" "))
        });
        for (body, setting) in [
            (body::from_stream(stopped), "body_idle"),
            (body::from_stream(dripping), "body_total"),
        ] {
            let (status, text, took) = put(&serving, protocol, &[], body).await;
            assert_eq!(status, 408, "{protocol:?}: {text}");
            assert!(text.contains(setting), "{text}");
            assert!(took < Duration::from_secs(5), "{took:?}");
        }
    }
}

/// Refused by its head: not a byte of it is unpacked, whatever it is called.
#[tokio::test]
async fn compressed_bodies_are_refused_before_they_come() {
    let serving = Serving::tls(nobody()).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for encoding in ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x-odd"] {
            let never = body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
            let headers = [("content-encoding", encoding)];
            let (status, text, took) = put(&serving, protocol, &headers, never).await;
            assert_eq!(status, 400, "{encoding}: {text}");
            assert!(text.contains("Content-Encoding"), "{text}");
            assert!(took < Duration::from_secs(2), "{took:?}");
        }
    }
}

#[tokio::test]
async fn ten_thousand_calls_at_once_are_answered_or_told_to_wait() {
    const LIMIT: usize = 64;
    let count = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let counting = count.clone();
    let slow = handler(move |_| {
        let count = counting.clone();
        async move {
            let now = count.0.fetch_add(1, Ordering::SeqCst) + 1;
            count.1.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            count.0.fetch_sub(1, Ordering::SeqCst);
            Ok(Reply::Message(Message::from_value(
                GetVersionReply::default(),
            )))
        }
    });
    let permits = Permits::layer(Side::Server, LIMIT, Duration::from_millis(100));
    let serving = Serving::tls(CallService::new(permits.layer(slow))).await;
    // Fifty peers with a connection each, full of streams.
    let clients: Vec<_> = (0..50).map(|_| serving.client(Protocol::Http2)).collect();
    let to = destination();
    let calls =
        (0..10_000).map(|number| clients[number % 50].get_version(&to, GetVersion::default()));
    let (mut answered, mut refused) = (0, 0);
    for answer in join_all(calls).await {
        match answer {
            Ok(_) => answered += 1,
            Err(CallError::Federation(error)) => {
                assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
                assert_eq!(
                    (error.http_status(), error.errcode()),
                    (429, Some("M_LIMIT_EXCEEDED"))
                );
                assert!(error.message().contains("setting `permits`"), "{error}");
                assert!(error.retry_after().is_some());
                refused += 1;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(answered >= LIMIT && refused > 0, "{answered} and {refused}");
    assert!(count.1.load(Ordering::SeqCst) <= LIMIT);
}
