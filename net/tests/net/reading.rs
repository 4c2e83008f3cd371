//! Peers that do not read what they asked for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use comity_net::{HttpService, ListenerOptions, Protocol, body};
use futures_util::stream;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::setting::{Serving, eventually, service};

const SHORT: Duration = Duration::from_millis(300);

/// Counts the replies that are still held.
struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers `/endless` with bytes without end, and anything else at once.
fn endless(held: &Arc<AtomicUsize>) -> HttpService {
    let held = Arc::clone(held);
    service(move |request| {
        let held = Arc::clone(&held);
        async move {
            if request.uri().path() != "/endless" {
                return Response::new(body::full("done"));
            }
            held.fetch_add(1, Ordering::SeqCst);
            let held = Held(held);
            let chunks = stream::repeat_with(move || {
                let _held = &held;
                Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 64 << 10]))
            });
            Response::new(body::from_stream(chunks))
        }
    })
}

fn options() -> ListenerOptions {
    ListenerOptions {
        write_timeout: SHORT,
        ..ListenerOptions::default()
    }
}

#[tokio::test]
async fn a_reply_that_nobody_reads_is_given_up() {
    let held = Arc::default();
    let serving = Serving::start(options(), endless(&held)).await;
    let mut tcp = TcpStream::connect(serving.address).await.unwrap();
    let began = Instant::now();
    tcp.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    eventually("the request arrives", || held.load(Ordering::SeqCst) == 1).await;
    eventually("the reply is dropped", || held.load(Ordering::SeqCst) == 0).await;
    assert!(began.elapsed() >= SHORT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_slow_reader_of_a_whole_reply_is_neither_idle_nor_stalled() {
    const LENGTH: usize = 24 << 20;
    let options = ListenerOptions {
        idle_timeout: SHORT / 3,
        ..options()
    };
    let whole = service(|_| async { Response::new(body::full(vec![b'x'; LENGTH])) });
    let serving = Serving::start(options, whole).await;
    let mut tcp = TcpStream::connect(serving.address).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let began = Instant::now();
    let (mut read, mut piece) = (0, vec![0; 512 << 10]);
    loop {
        match tcp.read(&mut piece).await.unwrap() {
            0 => break,
            bytes => read += bytes,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() > SHORT, "the test reads too fast to tell");
    assert!(read > LENGTH, "{read}");
}

/// A connection of HTTP/2 with the window that streams have unless more is said.
async fn connect(address: SocketAddr) -> http2::SendRequest<Empty<Bytes>> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(64 << 10)
        .initial_connection_window_size(1 << 20)
        .handshake(TokioIo::new(tcp))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

fn http2_options() -> ListenerOptions {
    ListenerOptions {
        protocol: Protocol::Http2,
        ..options()
    }
}

fn root() -> Request<Empty<Bytes>> {
    let request = Request::get("http://matrix.test/");
    request.body(Empty::new()).unwrap()
}

#[tokio::test]
async fn a_whole_reply_whose_window_stays_shut_is_reset() {
    const LENGTH: usize = 4 << 20;
    // As the HTTP binding answers; as gRPC does, with trailers behind it.
    for trailers in [false, true] {
        let whole = service(move |_| async move {
            let whole = body::full(vec![b'x'; LENGTH]);
            Response::new(if trailers {
                let trailers = async { Some(Ok(HeaderMap::new())) };
                whole.with_trailers(trailers).boxed_unsync()
            } else {
                whole
            })
        });
        let serving = Serving::start(http2_options(), whole).await;
        let mut sender = connect(serving.address).await;
        let stalled = sender.send_request(root()).await.unwrap();
        tokio::time::sleep(3 * SHORT).await;
        let read = stalled.into_body().collect().await;
        assert!(read.is_err(), "all of it was kept (trailers: {trailers})");
    }
}

#[tokio::test]
async fn a_steady_reader_of_one_large_chunk_is_not_reset() {
    const LENGTH: usize = 4 << 20;
    // Such is a file: the head of its multipart form, its bytes, the end of the form.
    let file = service(|_| async {
        let chunks = [vec![b'h'; 100], vec![b'x'; LENGTH], vec![b't'; 50]];
        let chunks = chunks.map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk)));
        Response::new(body::from_stream(stream::iter(chunks)))
    });
    let serving = Serving::start(http2_options(), file).await;
    let mut sender = connect(serving.address).await;
    let began = Instant::now();
    let mut reply = sender.send_request(root()).await.unwrap().into_body();
    let (mut read, mut pause_at) = (0, 0);
    while let Some(frame) = reply.frame().await {
        read += frame.unwrap().into_data().unwrap().len();
        if read >= pause_at {
            tokio::time::sleep(SHORT / 10).await;
            pause_at += 128 << 10;
        }
    }
    assert_eq!(read, LENGTH + 150);
    assert!(
        began.elapsed() > 2 * SHORT,
        "the test reads too fast to tell"
    );
}

#[tokio::test]
async fn a_stream_whose_window_stays_shut_is_reset_and_its_neighbours_are_not() {
    let held = Arc::default();
    let serving = Serving::start(http2_options(), endless(&held)).await;
    let sender = connect(serving.address).await;
    let ask = |path: &str| {
        let request = Request::get(format!("http://matrix.test{path}"))
            .body(Empty::new())
            .unwrap();
        let mut sender = sender.clone();
        async move { sender.send_request(request).await.unwrap() }
    };
    let began = Instant::now();
    let stalled = ask("/endless").await;
    while held.load(Ordering::SeqCst) == 1 {
        assert_eq!(
            ask("/")
                .await
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes(),
            "done"
        );
        assert!(began.elapsed() < 10 * SHORT, "the stream is held");
        tokio::time::sleep(SHORT / 10).await;
    }
    assert!(began.elapsed() >= SHORT, "{:?}", began.elapsed());
    assert!(stalled.into_body().collect().await.is_err());
    assert_eq!(ask("/").await.status(), 200);
}
