//! Large replies pass through in bounded memory, whole or cut.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use comity_net::body;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::sleep};

use crate::setting::{HS2, Outgoing, Pair};

const STATE: &str = "/_matrix/federation/v1/state/%21r%3Ahs2.example?event_id=%24x";
const MEDIA: &str = "/_matrix/federation/v1/media/download/abc";
const MIB: u64 = 1 << 20;

/// What may be on its way between two homeservers with two gateways in between: windows of HTTP/2 and buffers of TCP.
const ON_THE_WAY: u64 = 48 * MIB;

/// `count` pieces of about a mebibyte, and how many bytes of them were taken.
fn pieces(
    before: &str,
    count: u64,
    piece: impl Fn(u64) -> Bytes + Send + 'static,
    after: &str,
) -> (body::Body, Arc<AtomicU64>) {
    let taken = Arc::new(AtomicU64::new(0));
    let taken_too = taken.clone();
    let (before, after) = (
        Bytes::from(before.to_owned()),
        Bytes::from(after.to_owned()),
    );
    let middle = (0..count).map(move |at| {
        let piece = piece(at);
        taken_too.fetch_add(piece.len() as u64, Ordering::Relaxed);
        piece
    });
    let all = [before].into_iter().chain(middle).chain([after]);
    let all = stream::iter(all.map(Ok::<_, std::io::Error>));
    (body::from_stream(all.boxed()), taken)
}

fn events(at: u64) -> Bytes {
    let comma = if at == 0 { "" } else { "," };
    let event = format!(
        r#"{{"content":{{"body":"{}"}},"type":"x"}}"#,
        "y".repeat(8000)
    );
    let events = vec![event; 130].join(",");
    format!("{comma}{events}").into()
}

/// Begins a call, and gives its response, whose body is read by whoever wants it.
async fn begin(pair: &Pair, target: &str) -> Response<hyper::body::Incoming> {
    let signed = pair.one.homeserver.sign(HS2, "GET", target, None);
    let call = Outgoing::new(HS2, "GET", target).signed(&signed);
    let stream = TcpStream::connect(pair.one.gateway.egress_addr().unwrap())
        .await
        .unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(call.request()).await.unwrap()
}

async fn length_of(body: hyper::body::Incoming) -> Result<u64, hyper::Error> {
    let mut stream = body.into_data_stream();
    let mut length = 0;
    while let Some(chunk) = stream.next().await {
        length += chunk?.len() as u64;
    }
    Ok(length)
}

/// How much the homeserver has given when it is asked for no more, since nobody reads.
async fn ahead(counter: &Mutex<Arc<AtomicU64>>) -> u64 {
    let now = || counter.lock().unwrap().load(Ordering::Relaxed);
    let mut before = now();
    loop {
        sleep(Duration::from_millis(1000)).await;
        match now() {
            same if same == before && same > 0 => return same,
            more => before = more,
        }
        assert!(before < ON_THE_WAY, "{} MiB", before / MIB);
    }
}

async fn state_streams(binding: &str) {
    let pair = Pair::start(binding).await;
    let counter = Arc::new(Mutex::new(Arc::new(AtomicU64::new(0))));
    let counter_too = counter.clone();
    pair.two.homeserver.answers(move |_| {
        let (content, taken) = pieces(r#"{"pdus":["#, 80, events, r#"],"auth_chain":[]}"#);
        *counter_too.lock().unwrap() = taken;
        let mut response = Response::new(content);
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert("content-type", kind);
        async move { response }
    });
    let response = begin(&pair, STATE).await;
    assert_eq!(response.status(), 200);
    let ahead = ahead(&counter).await;
    assert!(ahead < ON_THE_WAY, "{} MiB", ahead / MIB);
    let length = length_of(response.into_body()).await.unwrap();
    let whole = counter.lock().unwrap().load(Ordering::Relaxed);
    assert!(whole > 75 * MIB, "{whole}");
    // Nothing is lost; the order of the members is the homeserver's.
    assert_eq!(
        length,
        whole + r#"{"pdus":[],"auth_chain":[]}"#.len() as u64
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_state_streams_over_grpc() {
    state_streams("grpc").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_state_streams_over_https() {
    state_streams("https").await;
}

async fn media_streams(binding: &str) {
    let pair = Pair::start(binding).await;
    let counter = Arc::new(Mutex::new(Arc::new(AtomicU64::new(0))));
    let counter_too = counter.clone();
    // As Synapse writes it.
    pair.two.homeserver.answers(move |_| {
        let before = "\r\n--gc0p4Jq0M2Yt08jU534c0p\r\nContent-Type: application/json\r\n\r\n{}\r\n--gc0p4Jq0M2Yt08jU534c0p\r\nContent-Type: image/png\r\nContent-Disposition: inline; filename*=utf-8''a%20b.png\r\n\r\n";
        let piece = |at: u64| Bytes::from(vec![at as u8; MIB as usize]);
        let (content, taken) = pieces(before, 100, piece, "\r\n--gc0p4Jq0M2Yt08jU534c0p--\r\n");
        *counter_too.lock().unwrap() = taken;
        let mut response = Response::new(content);
        let kind = HeaderValue::from_static("multipart/mixed; boundary=gc0p4Jq0M2Yt08jU534c0p");
        response.headers_mut().insert("content-type", kind);
        async move { response }
    });
    let response = begin(&pair, MEDIA).await;
    assert_eq!(response.status(), 200);
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    let boundary = kind
        .strip_prefix("multipart/mixed; boundary=")
        .unwrap()
        .to_owned();
    let ahead = ahead(&counter).await;
    assert!(ahead < ON_THE_WAY, "{} MiB", ahead / MIB);
    let all = response.into_body().collect().await.unwrap().to_bytes();
    let head = format!(
        "\r\n--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--{boundary}\r\nContent-Type: image/png\r\nContent-Disposition: inline; filename*=utf-8''a%20b.png\r\n\r\n"
    );
    assert!(
        all.starts_with(head.as_bytes()),
        "{:?}",
        all.slice(..head.len())
    );
    let file = &all[head.len()..][..100 * MIB as usize];
    let mut parts = (0..).zip(file.chunks(MIB as usize));
    assert!(parts.all(|(at, part)| part.iter().all(|byte| *byte == at)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_streams_over_grpc() {
    media_streams("grpc").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_streams_over_https() {
    media_streams("https").await;
}

#[tokio::test]
async fn a_redirect_to_media_stays_one() {
    for binding in ["grpc", "https"] {
        let pair = Pair::start(binding).await;
        pair.two.homeserver.answers(|_| async {
            let content = "\r\n--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nLocation: https://cdn.example/x?sig=1\r\n\r\n\r\n--b--\r\n";
            let mut response = Response::new(body::full(content));
            let kind = HeaderValue::from_static("multipart/mixed; boundary=b");
            response.headers_mut().insert("content-type", kind);
            response
        });
        let got = pair.one.calls(HS2, "GET", MEDIA, None).await;
        let text = String::from_utf8(got.body.to_vec()).unwrap();
        assert!(
            text.contains("\r\nLocation: https://cdn.example/x?sig=1\r\n"),
            "{text}"
        );
    }
}

/// A reply that breaks off is cut, and never looks whole.
#[tokio::test]
async fn what_breaks_off_is_cut() {
    for binding in ["grpc", "https"] {
        let pair = Pair::start(binding).await;
        pair.two.homeserver.answers(|_| async {
            let begin = [Ok(Bytes::from_static(br#"{"pdus":[{"type":"a"},"#))];
            let end = stream::once(async {
                sleep(Duration::from_millis(300)).await;
                Err(std::io::Error::other("the homeserver died"))
            });
            let mut response =
                Response::new(body::from_stream(stream::iter(begin).chain(end).boxed()));
            let kind = HeaderValue::from_static("application/json");
            response.headers_mut().insert("content-type", kind);
            response
        });
        let response = begin(&pair, STATE).await;
        assert!(length_of(response.into_body()).await.is_err());
    }
}

#[tokio::test]
async fn a_caller_that_goes_frees_everything() {
    let pair = Pair::start("grpc").await;
    let counter = Arc::new(AtomicU64::new(0));
    let counter_too = counter.clone();
    struct Gone(Arc<AtomicU64>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    pair.two.homeserver.answers(move |_| {
        let gone = Gone(counter_too.clone());
        let endless = stream::unfold((0, gone), |(at, gone)| async move {
            Some((Ok::<_, std::io::Error>(events(at)), (at + 1, gone)))
        });
        let begin = stream::once(async { Ok(Bytes::from_static(br#"{"pdus":["#)) });
        let mut response = Response::new(body::from_stream(begin.chain(endless).boxed()));
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert("content-type", kind);
        async move { response }
    });
    let response = begin(&pair, STATE).await;
    drop(response);
    for _ in 0..100 {
        if counter.load(Ordering::Relaxed) == 1 {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("the homeserver is still read from");
}
