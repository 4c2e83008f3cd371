//! Each way to fail, and whether the peer may have acted on the request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use comity_core::error::{Delivery, TransportError, TransportErrorKind};
use comity_net::{ConnectionInfo, Counters, Pool, PoolOptions, Protocol, delivery_of};
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::server::TlsStream;

use crate::setting::{Authority, Peer, ask, get, put, read_head, route, write};

type H2 = h2::server::Connection<TlsStream<TcpStream>, bytes::Bytes>;

/// A peer of HTTP/2 that does this with each connection.
async fn h2_peer<F, R>(authority: &Authority, play: F) -> Peer
where
    F: Fn(H2) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    Peer::tls(authority, &[b"h2"], move |tls, _| {
        let play = play.clone();
        async move { play(h2::server::handshake(tls).await.unwrap()).await }
    })
    .await
}

fn verdict(error: &TransportError) -> (TransportErrorKind, Delivery) {
    assert_eq!(delivery_of(error), error.delivery());
    (error.kind(), error.delivery())
}

#[tokio::test]
async fn a_refused_connection_is_not_sent() {
    let authority = Authority::new();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let route = route(listener.local_addr().unwrap());
    drop(listener);
    for protocol in [Protocol::Http1, Protocol::Http2, Protocol::Http1Or2] {
        let error = ask(&authority.pool(protocol), &route, "/")
            .await
            .unwrap_err();
        assert_eq!(
            verdict(&error),
            (TransportErrorKind::Connect, Delivery::NotSent)
        );
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[tokio::test]
async fn a_failed_handshake_is_not_sent() {
    let authority = Authority::new();
    let peer = Peer::tcp(|mut tcp, _| async move {
        let mut hello = [0; 64];
        tcp.read_exact(&mut hello).await.unwrap();
        write(&mut tcp, "HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let error = ask(&authority.pool(Protocol::Http1), &route(peer.address), "/")
        .await
        .unwrap_err();
    assert_eq!(
        verdict(&error),
        (TransportErrorKind::Tls, Delivery::NotSent)
    );
}

#[tokio::test]
async fn a_refused_stream_is_rejected() {
    let authority = Authority::new();
    let peer = h2_peer(&authority, |mut connection| async move {
        while let Some(Ok((_, mut reply))) = connection.accept().await {
            reply.send_reset(h2::Reason::REFUSED_STREAM);
        }
    })
    .await;
    let error = ask(&authority.pool(Protocol::Http2), &route(peer.address), "/")
        .await
        .unwrap_err();
    assert_eq!(
        verdict(&error),
        (TransportErrorKind::Busy, Delivery::Rejected)
    );
}

#[tokio::test]
async fn any_other_reset_may_have_been_processed() {
    let authority = Authority::new();
    for reason in [
        h2::Reason::CANCEL,
        h2::Reason::INTERNAL_ERROR,
        h2::Reason::NO_ERROR,
    ] {
        let peer = h2_peer(&authority, move |mut connection| async move {
            while let Some(Ok((_, mut reply))) = connection.accept().await {
                reply.send_reset(reason);
            }
        })
        .await;
        let pool = authority.pool(Protocol::Http2);
        let error = ask(&pool, &route(peer.address), "/").await.unwrap_err();
        assert_eq!(
            verdict(&error),
            (TransportErrorKind::Closed, Delivery::MaybeProcessed)
        );
    }
}

/// The frames of a server that sends its settings, reads one request and then says GOAWAY with this last stream.
async fn say_go_away(mut tls: TlsStream<TcpStream>, last_stream: u8, reason: u8) {
    use tokio::io::AsyncWriteExt;
    tls.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let mut preface = [0; 24];
    tls.read_exact(&mut preface).await.unwrap();
    loop {
        // Frames up to the request's HEADERS (RFC 9113 §4.1).
        let mut head = [0; 9];
        tls.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        tls.read_exact(&mut payload).await.unwrap();
        if head[3] == 1 {
            break;
        }
    }
    let frame = [
        0,
        0,
        8,
        7,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        last_stream,
        0,
        0,
        0,
        reason,
    ];
    tls.write_all(&frame).await.unwrap();
    tls.flush().await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let _ = tls.shutdown().await;
}

#[tokio::test]
async fn a_stream_beyond_a_go_away_is_rejected() {
    let authority = Authority::new();
    for reason in [0, 2, 11] {
        let peer = Peer::tls(&authority, &[b"h2"], move |tls, _| {
            say_go_away(tls, 0, reason)
        })
        .await;
        let pool = authority.pool(Protocol::Http2);
        let error = ask(&pool, &route(peer.address), "/").await.unwrap_err();
        assert_eq!(verdict(&error).1, Delivery::Rejected, "{error:?}");
    }
}

#[tokio::test]
async fn a_stream_within_a_go_away_may_have_been_processed() {
    let authority = Authority::new();
    for reason in [0, 2] {
        let peer = Peer::tls(&authority, &[b"h2"], move |tls, _| {
            say_go_away(tls, 1, reason)
        })
        .await;
        let pool = authority.pool(Protocol::Http2);
        let error = ask(&pool, &route(peer.address), "/").await.unwrap_err();
        assert_eq!(
            verdict(&error),
            (TransportErrorKind::Closed, Delivery::MaybeProcessed)
        );
    }
}

#[tokio::test]
async fn the_end_before_a_response_may_have_been_processed() {
    let authority = Authority::new();
    let peer = Peer::tls(&authority, &[b"http/1.1"], |mut tls, _| async move {
        read_head(&mut tls).await;
    })
    .await;
    let error = ask(&authority.pool(Protocol::Http1), &route(peer.address), "/")
        .await
        .unwrap_err();
    assert_eq!(
        verdict(&error),
        (TransportErrorKind::Closed, Delivery::MaybeProcessed)
    );

    let peer = h2_peer(&authority, |mut connection| async move {
        let _request = connection.accept().await;
    })
    .await;
    let error = ask(&authority.pool(Protocol::Http2), &route(peer.address), "/")
        .await
        .unwrap_err();
    assert_eq!(verdict(&error).1, Delivery::MaybeProcessed);
}

#[tokio::test]
async fn the_end_within_a_response_is_an_error_of_the_body() {
    let authority = Authority::new();
    for head in [
        "content-length: 10\r\n\r\nhalf",
        "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "\r\nhalf",
    ] {
        let peer = Peer::tls(&authority, &[b"http/1.1"], move |mut tls, _| async move {
            read_head(&mut tls).await;
            write(&mut tls, &format!("HTTP/1.1 200 OK\r\n{head}")).await;
        })
        .await;
        let pool = authority.pool(Protocol::Http1);
        let response = pool.send(&route(peer.address), get("/")).await.unwrap();
        let error = response.into_body().collect().await.unwrap_err();
        let error = error.downcast_ref::<TransportError>().unwrap();
        assert_eq!(
            verdict(error),
            (TransportErrorKind::Closed, Delivery::MaybeProcessed)
        );
    }
}

#[tokio::test]
async fn a_stream_refused_after_its_response_began_was_not_rejected() {
    let authority = Authority::new();
    let peer = h2_peer(&authority, |mut connection| async move {
        while let Some(Ok((_, mut reply))) = connection.accept().await {
            let mut body = reply.send_response(Response::new(()), false).unwrap();
            body.send_reset(h2::Reason::REFUSED_STREAM);
        }
    })
    .await;
    let pool = authority.pool(Protocol::Http2);
    // h2 may drop headers that are not flushed when a reset follows; then there is no response, and the refusal is believed.
    if let Ok(response) = pool.send(&route(peer.address), get("/")).await {
        let error = response.into_body().collect().await.unwrap_err();
        assert_eq!(
            verdict(error.downcast_ref().unwrap()).1,
            Delivery::MaybeProcessed
        );
    }
}

#[tokio::test]
async fn what_is_no_http_breaks_the_protocol() {
    let authority = Authority::new();
    let peer = Peer::tls(&authority, &[b"http/1.1"], |mut tls, _| async move {
        read_head(&mut tls).await;
        write(&mut tls, "SSH-2.0-OpenSSH\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    })
    .await;
    let error = ask(&authority.pool(Protocol::Http1), &route(peer.address), "/")
        .await
        .unwrap_err();
    assert_eq!(
        verdict(&error),
        (TransportErrorKind::Protocol, Delivery::MaybeProcessed)
    );
}

#[tokio::test]
async fn a_header_list_that_is_too_large_hits_the_limit() {
    let authority = Authority::new();
    let peer = Peer::tls(&authority, &[b"http/1.1"], |mut tls, _| async move {
        read_head(&mut tls).await;
        let long = "x".repeat(70_000);
        write(
            &mut tls,
            &format!("HTTP/1.1 200 OK\r\nx-long: {long}\r\n\r\n"),
        )
        .await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    })
    .await;
    let error = ask(&authority.pool(Protocol::Http1), &route(peer.address), "/")
        .await
        .unwrap_err();
    assert_eq!(
        verdict(&error),
        (TransportErrorKind::LimitExceeded, Delivery::MaybeProcessed)
    );
}

#[tokio::test]
async fn a_request_whose_own_body_fails_may_have_been_processed() {
    let authority = Authority::new();
    let peer = Peer::tls(&authority, &[b"http/1.1"], |mut tls, _| async move {
        let mut all = Vec::new();
        let _ = tls.read_to_end(&mut all).await;
    })
    .await;
    // The failing body's own story must not be taken for this request's.
    let elsewhere = TransportError::new(TransportErrorKind::Busy, Delivery::Rejected, "elsewhere");
    let chunks = futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"{")), Err(elsewhere)]);
    let request = Request::put("/")
        .body(comity_net::body::from_stream(chunks))
        .unwrap();
    let sent = authority
        .pool(Protocol::Http1)
        .send(&route(peer.address), request)
        .await;
    let error = sent.unwrap_err();
    assert_eq!(
        verdict(&error),
        (TransportErrorKind::Cancelled, Delivery::MaybeProcessed)
    );
}

/// The server closes the idle connection just when the next request is sent: on one thread nobody has seen it yet.
#[tokio::test]
async fn a_request_for_a_connection_that_was_closed_while_idle_is_sent_on_a_fresh_one() {
    let authority = Authority::new();
    let (closed, mut was_closed) = tokio::sync::mpsc::channel::<()>(1);
    let peer = Peer::tls(&authority, &[b"http/1.1"], move |mut tls, number| {
        let closed = closed.clone();
        async move {
            read_head(&mut tls).await;
            write(
                &mut tls,
                &format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}"),
            )
            .await;
            drop(tls);
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let pool = authority.pool(Protocol::Http1);
    for number in 1..=9 {
        let route = route(peer.address);
        let response = pool.send(&route, put("/", "{}")).await.unwrap();
        assert_eq!(crate::setting::text(response).await, number.to_string());
        was_closed.recv().await.unwrap();
    }
    assert_eq!(peer.accepted(), 9);
}

/// The connection ends between the lease and the request, so that it gives the request back: it is counted, and sent again once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_a_connection_gives_back_is_counted_and_sent_on_a_fresh_one() {
    for (protocol, alpn) in [
        (Protocol::Http1, &b"http/1.1"[..]),
        (Protocol::Http2, b"h2"),
    ] {
        let sent = is_given_back(protocol, alpn);
        let in_time = tokio::time::timeout(Duration::from_secs(120), sent).await;
        in_time.unwrap_or_else(|_| panic!("{protocol:?}: a request is never answered"));
    }
}

async fn is_given_back(protocol: Protocol, alpn: &'static [u8]) {
    let authority = Authority::new();
    let end = Arc::new(Notify::new());
    let ended = Arc::clone(&end);
    let peer = Peer::tls(&authority, &[alpn], move |tls, number| {
        let ended = Arc::clone(&ended);
        async move {
            match number {
                1 => ended.notified().await,
                _ => answer(tls, number).await,
            }
        }
    })
    .await;
    let counters = Counters::new();
    let connector = authority.connector().with_counters(counters.clone());
    let pool = Pool::new(connector, PoolOptions::default().with_protocol(protocol));
    let prepared = AtomicUsize::new(0);
    let route = route(peer.address);
    let sent = pool.send_with(&route, put("/", "{}"), |info, _| {
        if prepared.fetch_add(1, Ordering::SeqCst) == 0 {
            end.notify_one();
            wait_for_the_end(info);
        }
        Ok(())
    });
    let response = sent.await.unwrap();
    assert_eq!(crate::setting::text(response).await, "2", "{protocol:?}");
    assert_eq!(prepared.load(Ordering::SeqCst), 2, "{protocol:?}");
    assert_eq!((peer.accepted(), counters.resent()), (2, 1), "{protocol:?}");
    // One that is not given back is not counted.
    assert_eq!(ask(&pool, &route, "/").await.unwrap(), "2");
    assert_eq!((peer.accepted(), counters.resent()), (2, 1), "{protocol:?}");
}

/// Answers each request with the connection's number.
async fn answer(mut tls: TlsStream<TcpStream>, number: usize) {
    if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
        let mut connection = h2::server::handshake(tls).await.unwrap();
        while let Some(Ok((_, mut reply))) = connection.accept().await {
            let mut body = reply.send_response(Response::new(()), false).unwrap();
            body.send_data(number.to_string().into(), true).unwrap();
        }
        return;
    }
    let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
    while !read_head(&mut tls).await.is_empty() {
        write(&mut tls, &reply).await;
    }
}

/// Until this side has let go of the connection. It blocks a thread, while the connection's own task runs on another.
fn wait_for_the_end(info: &ConnectionInfo) {
    let label = b"EXPERIMENTAL a test";
    for _ in 0..6000 {
        if info
            .export_keying_material(label, None, &mut [0; 32])
            .is_err()
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the connection has not ended");
}

#[tokio::test]
async fn http2_requests_after_a_graceful_go_away_use_a_fresh_connection() {
    let authority = Authority::new();
    let peer = h2_peer(&authority, |mut connection| async move {
        if let Some(Ok((_, mut reply))) = connection.accept().await {
            reply.send_response(Response::new(()), true).unwrap();
            connection.graceful_shutdown();
        }
        while connection.accept().await.is_some() {}
    })
    .await;
    let pool = authority.pool(Protocol::Http2);
    let route = route(peer.address);
    for _ in 0..10 {
        // A stream beyond the GOAWAY is rejected, and the caller's retry goes elsewhere.
        match ask(&pool, &route, "/").await {
            Ok(_) => {}
            Err(error) => assert_ne!(error.delivery(), Delivery::MaybeProcessed, "{error:?}"),
        }
    }
    let both = join_all([ask(&pool, &route, "/"), ask(&pool, &route, "/")]).await;
    assert!(both.iter().any(Result::is_ok));
}
