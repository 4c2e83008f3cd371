//! Peers that want too much: slow, endless, compressed, too many. What is taken is bounded, and the refusal says which limit it was.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use comity_core::{
    CallService, Client, Operations,
    api::{Calls, GetVersion},
    call::{Message as Content, Reply},
    error::{CallError, ErrorKind},
    layers::{Permits, Side},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, GrpcTransport};
use comity_net::{Body, Pool, PoolOptions, Protocol, body};
use futures_util::{StreamExt, future::join_all, stream};
use http::Request;
use http_body_util::BodyExt;
use tokio::time::timeout;
use tonic::{Code, Status};
use tower::Layer;

use crate::{
    setting::{Serving, destination, handler, nobody, object},
    wire::{detail, send},
};

const VERSION: &str = "Server/GetVersion";

/// Sends a body that goes on behind the answer, and takes the answer.
async fn send_streaming(serving: &Serving, body: Body) -> Status {
    let request = Request::post(format!("/comity.federation.v1.{VERSION}"))
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap();
    let (pool, route) = (serving.pool(), serving.route());
    let answering = pool.send(&route, request);
    let answer = timeout(Duration::from_secs(10), answering).await;
    let response = answer.expect("in time").unwrap();
    let (head, body) = response.into_parts();
    match Status::from_header_map(&head.headers) {
        Some(status) => status,
        None => {
            let body = body.collect().await.unwrap();
            Status::from_header_map(body.trailers().unwrap()).unwrap()
        }
    }
}

fn impatient() -> GrpcServer {
    let options = GrpcServerOptions::default().with_read_timeout(Duration::from_millis(300));
    GrpcServer::new(
        Operations::federation(),
        Codecs::federation(),
        nobody(),
        options,
    )
}

#[tokio::test]
async fn a_message_that_drips_or_stops_is_given_up_by_the_clock() {
    let serving = Serving::http(impatient().into_service()).await;
    let dripping = stream::iter(0..).then(|number| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        // A message of 1,000 bytes, whose bytes come one by one.
        let byte = [0, 0, 0, 3, 232].get(number).copied().unwrap_or(b'x');
        Ok::<_, std::io::Error>(Bytes::copy_from_slice(&[byte]))
    });
    let stopped = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(&[0, 0]))])
        .chain(stream::pending());
    for body in [body::from_stream(dripping), body::from_stream(stopped)] {
        let began = Instant::now();
        let status = send_streaming(&serving, body).await;
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        assert!(status.message().contains("read_timeout"), "{status:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_message_without_end_is_not_taken() {
    let serving = Serving::start(nobody()).await;
    let prefix = |length: u32| [&[0][..], &length.to_be_bytes()].concat();
    // Over the limit by its own word; and messages behind the one that is taken.
    for (first, says) in [
        (prefix(u32::MAX), "limits.request"),
        (
            [prefix(0), prefix(1 << 20)].concat(),
            "more than one message",
        ),
    ] {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = taken.clone();
        let endless = stream::iter([Bytes::from(first)])
            .chain(stream::repeat(Bytes::from_static(&[b'x'; 32 << 10])))
            .map(move |chunk| {
                count.fetch_add(chunk.len(), Ordering::SeqCst);
                Ok::<_, std::io::Error>(chunk)
            });
        let status = send_streaming(&serving, body::from_stream(endless)).await;
        assert!(status.message().contains(says), "{status:?}");
        // What was on the way when it was refused: a window of the stream, and buffers.
        let taken = taken.load(Ordering::SeqCst);
        assert!(taken < 8 << 20, "{taken}");
    }
}

/// A thousand zero bytes in a few of gzip's, as often as one likes; here nobody unpacks them.
#[tokio::test]
async fn compressed_messages_are_refused_and_not_unpacked() {
    let serving = Serving::start(nobody()).await;
    let bomb = Bytes::from_static(&[
        1, 0, 0, 0, 24, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0x63, 0x60, 0x18, 0x05, 0xa3, 0x60,
        0x14, 0x0c, 0x77, 0, 0, 0x2b, 0x22, 0x9e,
    ]);
    for encoding in ["gzip", "deflate", "zstd", "identity", "x-odd"] {
        let metadata = [("grpc-encoding", encoding)];
        let status = send(&serving, VERSION, &metadata, bomb.clone()).await;
        assert_eq!(status.code(), Code::Unimplemented, "{encoding}: {status:?}");
        // Without our detail: the carrier refused it, and nothing was done.
        assert_eq!(detail(&status), None, "{encoding}");
    }
}

#[tokio::test]
async fn an_encoding_that_is_named_and_not_used_is_no_matter() {
    let reply = handler(|_| async { Ok(Reply::Message(Content::from_content(object("{}")))) });
    let serving = Serving::start(reply).await;
    let metadata = [
        ("grpc-encoding", "gzip"),
        ("grpc-accept-encoding", "gzip,zstd"),
    ];
    let plain = Bytes::from_static(&[0; 5]);
    let status = send(&serving, VERSION, &metadata, plain).await;
    assert_eq!(status.code(), Code::Ok, "{status:?}");
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
            Ok(Reply::Message(Content::from_content(object("{}"))))
        }
    });
    let permits = Permits::layer(Side::Server, LIMIT, Duration::from_millis(100));
    let serving = Serving::start(CallService::new(permits.layer(slow))).await;
    // Fifty peers with a connection each, full of streams.
    let clients: Vec<Client> = (0..50)
        .map(|_| {
            // Both ends and all calls share a thread, and a busy machine leaves it little: a turn through them can take longer than the answer to a ping may.
            let patience = Duration::from_secs(600);
            let options = PoolOptions::default()
                .with_protocol(Protocol::Http2)
                .with_ping(patience, patience);
            let pool = Pool::new(serving.connector(), options);
            Client::new(Arc::new(GrpcTransport::new(serving.routes(), pool)))
        })
        .collect();
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
