//! A body that fails must not look complete at the other end.

use bytes::Bytes;
use comity_core::error::{Delivery, TransportError, TransportErrorKind};
use comity_net::{Body, ListenerOptions, Protocol, body};
use futures_util::stream;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::setting::{Authority, Serving, get, service};

/// Half of a reply, then an error, as a gateway may see it.
fn failing() -> Body {
    let error = h2::Error::from(h2::Reason::REFUSED_STREAM);
    body::from_stream(stream::iter([
        Ok(Bytes::from_static(b"{\"half\":")),
        Err(error),
    ]))
}

/// A service that sends its head and first chunk before it fails.
async fn serving(options: ListenerOptions) -> Serving {
    Serving::start(options, service(|_| async { Response::new(failing()) })).await
}

#[tokio::test]
async fn a_response_body_that_fails_aborts_the_response() {
    let authority = Authority::new();
    let serving = serving(ListenerOptions::with_tls(authority.server())).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pool = authority.pool(protocol);
        match pool.send(&serving.route(), get("/")).await {
            Ok(response) => {
                let error = response.into_body().collect().await.unwrap_err();
                let error: &TransportError = error.downcast_ref().unwrap();
                assert_eq!(error.delivery(), Delivery::MaybeProcessed, "{protocol:?}");
            }
            // The head may be overtaken by the reset, whose reason is not that of the body's error.
            Err(error) => {
                assert_eq!(
                    error.delivery(),
                    Delivery::MaybeProcessed,
                    "{protocol:?}: {error:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn http1_closes_without_the_last_chunk() {
    let serving = serving(ListenerOptions::default()).await;
    let mut tcp = TcpStream::connect(serving.address).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut all = String::new();
    // A reset of the connection also is an end that nobody takes for completion.
    let _ = tcp.read_to_string(&mut all).await;
    assert!(!all.contains("\r\n0\r\n"), "{all:?}");
}

#[tokio::test]
async fn http2_resets_the_stream_with_an_internal_error() {
    let serving = serving(ListenerOptions::default()).await;
    let tcp = TcpStream::connect(serving.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    let (response, _) = client.send_request(Request::new(()), true).unwrap();
    let error = match response.await {
        Ok(response) => {
            let mut body = response.into_body();
            loop {
                match body.data().await.expect("an error before the end") {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            }
        }
        Err(error) => error,
    };
    assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR));
}

#[tokio::test]
async fn a_request_body_that_fails_aborts_the_request() {
    let authority = Authority::new();
    let (seen, mut outcomes) = tokio::sync::mpsc::channel(1);
    let serving = Serving::start(
        ListenerOptions::with_tls(authority.server()),
        service(move |request| {
            let seen = seen.clone();
            async move {
                let _ = seen
                    .send(request.into_body().collect().await.map(|_| ()))
                    .await;
                Response::new(body::empty())
            }
        }),
    )
    .await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let chunks = stream::unfold(0, |step| async move {
            match step {
                0 => Some((Ok(Bytes::from_static(b"{")), 1)),
                1 => {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    Some((Err(std::io::Error::other("gone")), 2))
                }
                _ => None,
            }
        });
        let request = Request::put("/").body(body::from_stream(chunks)).unwrap();
        let error = authority
            .pool(protocol)
            .send(&serving.route(), request)
            .await
            .unwrap_err();
        assert_eq!(error.delivery(), Delivery::MaybeProcessed);
        let received = outcomes.recv().await.unwrap().unwrap_err();
        let received: &TransportError = received.downcast_ref().unwrap();
        assert_eq!(received.kind(), TransportErrorKind::Closed, "{protocol:?}");
    }
}

#[tokio::test]
async fn a_response_that_is_dropped_stops_the_peer() {
    let authority = Authority::new();
    let (gone, mut was_dropped) = tokio::sync::mpsc::channel::<()>(1);
    let serving = Serving::start(
        ListenerOptions::with_tls(authority.server()),
        service(move |_| {
            let gone = gone.clone();
            async move {
                // Endless; it holds the channel's sender until the server lets go of it.
                let chunks = stream::unfold(gone, |gone| async move {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                    Some((Ok::<_, std::io::Error>(Bytes::from(vec![0; 10_000])), gone))
                });
                Response::new(body::from_stream(chunks))
            }
        }),
    )
    .await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pool = authority.pool(protocol);
        let response = pool.send(&serving.route(), get("/")).await.unwrap();
        drop(response);
    }
    // The listener's own clone is dropped with it; the bodies' clones must be gone for the channel to close.
    serving.stop().await.unwrap();
    let closed = tokio::time::timeout(std::time::Duration::from_secs(5), was_dropped.recv());
    assert_eq!(closed.await.expect("the bodies were dropped"), None);
}
