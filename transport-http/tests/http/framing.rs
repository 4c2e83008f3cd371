//! RFC 9112 by hand over TLS: messages one behind the other, expectations, bodies of two lengths, targets of every form. Whatever a peer writes, it is
//! answered or cut off, and nothing behind a message of doubtful length is ever taken for a request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use comity_core::{
    CallService,
    call::{Message, Reply},
    json::Object,
};
use comity_http::HttpServerOptions;

use crate::{raw::Raw, setting::*};

const VERSION: &str = "GET /_matrix/federation/v1/version";
const SEND: &str = "/_matrix/federation/v1/send/1";

/// Answers everything, and counts what it answers.
fn counting(count: &Arc<AtomicUsize>) -> CallService {
    let count = count.clone();
    handler(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(Reply::Message(Message::from_content(Object::empty()))) }
    })
}

async fn serving() -> (Serving, Arc<AtomicUsize>) {
    let count = Arc::default();
    (Serving::tls(counting(&count)).await, count)
}

#[tokio::test]
async fn requests_one_behind_the_other_are_answered_in_order() {
    let (serving, count) = serving().await;
    let mut raw = Raw::open(&serving).await;
    let put = |body: &str| {
        format!(
            "PUT {SEND} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    let all = [
        get("/_matrix/federation/v1/version"),
        put("{"),
        put(r#"{"pdus":[]}"#),
        get("/nothing"),
        put("[]"),
        get("/_matrix/federation/v1/version"),
    ];
    raw.send(all.concat()).await;
    for status in [200, 400, 200, 404, 400, 200] {
        let answer = raw.answer().await.expect("the connection is kept");
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("connection"), None, "{answer:?}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_error_keeps_the_connection_whatever_was_still_to_come_of_the_body() {
    let (serving, _) = serving().await;
    let mut raw = Raw::open(&serving).await;
    let large = format!(r#"{{"x":"{}"}}"#, "x".repeat(300_000));
    for (line, body, status) in [
        ("PUT /nothing".to_owned(), large.as_str(), 404),
        ("PUT /_matrix/federation/v1/version".to_owned(), &large, 405),
        (
            "POST /_matrix/federation/v1/get_missing_events/!r".to_owned(),
            &"x".repeat(2 << 20),
            413,
        ),
        (format!("PUT {SEND}"), "{", 400),
    ] {
        let answer = raw.ask(&line, "", body).await;
        assert_eq!(answer.status, status, "{line}: {answer:?}");
        assert_eq!(raw.ask(VERSION, "", "").await.status, 200, "{line}");
    }
}

#[tokio::test]
async fn whoever_waits_for_a_go_ahead_gets_it_or_the_answer() {
    let (serving, _) = serving().await;
    let mut raw = Raw::open(&serving).await;
    let head = |line: &str, length: usize| {
        format!(
            "{line} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let body = r#"{"pdus":[]}"#;
    raw.send(head(&format!("PUT {SEND}"), body.len())).await;
    assert_eq!(raw.answer().await.unwrap().status, 100);
    raw.send(body).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    // What is refused by its head is refused without a go-ahead, and nothing has to be sent.
    for (line, length, status) in [
        ("PUT /nothing", 10, 404),
        ("PUT /_matrix/federation/v1/version", 10, 405),
        ("PUT /_matrix/federation/v1/send/%zz", 10, 400),
        ("PUT /_matrix/federation/v1/send/1", 1 << 30, 413),
    ] {
        let mut raw = Raw::open(&serving).await;
        raw.send(head(line, length)).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!(answer.status, status, "{line}: {answer:?}");
    }
}

/// Two readers of such a message could disagree where it ends; one of them would take its tail for a request of its own (RFC 9112 §11.2).
#[tokio::test]
async fn nothing_behind_a_body_of_doubtful_length_is_a_request() {
    let (serving, count) = serving().await;
    let smuggled = "GET /_matrix/federation/v1/version HTTP/1.1\r\nHost: x\r\n\r\n";
    let tail = smuggled.len();
    let rows: Vec<(&str, String)> = vec![
        (
            "two lengths",
            format!("Content-Length: 0\r\nContent-Length: {tail}\r\n\r\n{smuggled}"),
        ),
        (
            "two lengths in a list",
            format!("Content-Length: 0, {tail}\r\n\r\n{smuggled}"),
        ),
        (
            "a length with a sign",
            format!("Content-Length: +0\r\n\r\n{smuggled}"),
        ),
        (
            "a length below nothing",
            format!("Content-Length: -1\r\n\r\n{smuggled}"),
        ),
        (
            "a length in base sixteen",
            format!("Content-Length: 0x0\r\n\r\n{smuggled}"),
        ),
        (
            "a length of nothing",
            format!("Content-Length: \r\n\r\n{smuggled}"),
        ),
        (
            "a length that is none",
            format!("Content-Length: ten\r\n\r\n{smuggled}"),
        ),
        (
            "a length over every number",
            format!("Content-Length: 18446744073709551617\r\n\r\n{smuggled}"),
        ),
        (
            "a space before the colon",
            format!("Content-Length : 0\r\n\r\n{smuggled}"),
        ),
        (
            "a folded line",
            format!("Content-Length:\r\n 0\r\n\r\n{smuggled}"),
        ),
        (
            "chunks and a length",
            format!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "a length and chunks",
            format!("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "an unknown coding",
            format!("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "chunks within another coding",
            format!("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "a coding behind chunks",
            format!(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n{smuggled}"
            ),
        ),
        (
            "chunked with a tab in its name",
            format!("Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "a chunk size that is none",
            format!("Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n{smuggled}"),
        ),
        (
            "a chunk size with a sign",
            format!("Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n{smuggled}"),
        ),
        (
            "a chunk size over every number",
            format!("Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n{smuggled}"),
        ),
        (
            "a chunk longer than its size",
            format!("Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n{smuggled}"),
        ),
    ];
    for (what, message) in rows {
        let before = count.load(Ordering::SeqCst);
        let mut raw = Raw::open(&serving).await;
        raw.send(format!("PUT {SEND} HTTP/1.1\r\nHost: x\r\n{message}"))
            .await;
        let answer = raw.answer().await;
        if let Some(answer) = answer {
            assert_eq!(answer.status, 400, "{what}: {answer:?}");
        }
        let rest = raw.rest().await;
        assert!(
            rest.is_empty(),
            "{what}: {}",
            String::from_utf8_lossy(&rest)
        );
        assert_eq!(count.load(Ordering::SeqCst), before, "{what}");
    }
    // The same length twice leaves no doubt.
    let mut raw = Raw::open(&serving).await;
    raw.send(format!(
        "PUT {SEND} HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nContent-Length: 11\r\n\r\n{{\"pdus\":[]}}{smuggled}"
    ))
    .await;
    for _ in 0..2 {
        assert_eq!(raw.answer().await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_request_for_two_hosts_is_refused() {
    let (serving, count) = serving().await;
    let mut raw = Raw::open(&serving).await;
    let answer = raw.ask(VERSION, "Host: other.test\r\n", "").await;
    answer.assert(400, "M_INVALID_PARAM", "two hosts");
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert_eq!(raw.ask(VERSION, "", "").await.status, 200);
}

/// `Host` picks no server: a peer that names the port, or the name behind a delegation, reaches the same.
#[tokio::test]
async fn any_host_reaches_the_server() {
    let (serving, _) = serving().await;
    let mut raw = Raw::open(&serving).await;
    for host in [
        "matrix.test",
        "matrix.test:8448",
        "other.test:443",
        "[::1]:8448",
        "1.2.3.4",
    ] {
        raw.send(format!("{VERSION} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        assert_eq!(raw.answer().await.unwrap().status, 200, "{host}");
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_told_apart_everywhere() {
    let (serving, count) = serving().await;
    let mut raw = Raw::open(&serving).await;
    let known = [
        ("/_matrix/federation/v1/version", "GET, HEAD, OPTIONS"),
        ("/_matrix/key/v2/server", "GET, HEAD, OPTIONS"),
        ("/_matrix/key/v2/server/", "GET, HEAD, OPTIONS"),
        ("/_matrix/federation/v1/send/1", "PUT, OPTIONS"),
        (
            "/_matrix/federation/v1/get_missing_events/!r",
            "POST, OPTIONS",
        ),
    ];
    for (path, allowed) in known {
        let methods = [
            "GET", "PUT", "POST", "DELETE", "PATCH", "TRACE", "get", "BREW",
        ];
        for method in methods
            .iter()
            .filter(|method| !allowed.split(", ").any(|one| one == **method))
        {
            let answer = raw.ask(&format!("{method} {path}"), "", "").await;
            answer.assert(405, "M_UNRECOGNIZED", &format!("{method} {path}"));
            assert_eq!(
                answer.header("allow"),
                Some(allowed.to_ascii_lowercase().as_str())
            );
        }
        let answer = raw.ask(&format!("OPTIONS {path}"), "", "").await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (204, ""),
            "{path}: {answer:?}"
        );
        assert_eq!(
            answer.header("allow"),
            Some(allowed.to_ascii_lowercase().as_str())
        );
    }
    for path in [
        "/",
        "/_matrix",
        "/_matrix/federation",
        "/_matrix/federation/v1",
        "/_matrix/federation/v3/send_join/!r/$e",
        "/_matrix/federation/v1/nothing",
        "/_matrix/federation/unstable/org.example/x",
        "/_matrix/key",
        "/_matrix/key/v1/server",
        "/_matrix/key/v2/nothing",
        "/_matrix/policy/v1/nothing",
        "/_matrix/client/versions",
        "/.well-known/matrix/server",
    ] {
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"] {
            let answer = raw.ask(&format!("{method} {path}"), "", "").await;
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
            if method != "HEAD" {
                answer.assert(404, "M_UNRECOGNIZED", path);
            }
            assert_eq!(answer.header("allow"), None, "{method} {path}");
        }
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn head_has_the_head_of_get_and_no_body() {
    let (serving, count) = serving().await;
    let mut raw = Raw::open(&serving).await;
    let line = |method: &str| format!("{method} /_matrix/federation/v1/version");
    let get = raw.ask(&line("GET"), "", "").await;
    let head = raw.ask(&line("HEAD"), "", "").await;
    for name in ["content-type", "content-length"] {
        assert_eq!(head.header(name), get.header(name), "{head:?}");
    }
    // Were a body behind it, the next answer would begin with that.
    assert_eq!(raw.ask(&line("GET"), "", "").await.status, 200);
    assert_eq!(count.load(Ordering::SeqCst), 3);
    let answer = raw.ask(&format!("HEAD {SEND}"), "", "").await;
    assert_eq!(answer.status, 405, "{answer:?}");
}

#[tokio::test]
async fn targets_of_other_forms_are_refused_or_understood() {
    let (serving, _) = serving().await;
    for (line, status) in [
        ("GET http://other.test/_matrix/federation/v1/version", 200),
        ("GET http://other.test", 404),
        ("OPTIONS *", 400),
        ("GET *", 400),
        ("CONNECT matrix.test:443", 400),
        ("GET version", 400),
        ("GET ?", 400),
    ] {
        let mut raw = Raw::open(&serving).await;
        let answer = raw.ask(line, "", "").await;
        assert_eq!(answer.status, status, "{line}: {answer:?}");
    }
    // Bytes that no target has end in an answer too, whoever finds them.
    for byte in [
        b'<', b'>', b'`', b' ', b'"', b'\\', b'^', b'{', 0x80, 0xff, 0, 0x7f, b'\t',
    ] {
        let mut raw = Raw::open(&serving).await;
        let line = [
            b"GET /_matrix/federation/v1/event/".as_slice(),
            &[byte],
            b"x",
        ]
        .concat();
        raw.send(
            [
                &line[..],
                b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            ]
            .concat(),
        )
        .await;
        let answer = raw.answer().await.expect("an answer");
        assert!(matches!(answer.status, 200 | 400), "{byte}: {answer:?}");
        assert!(raw.rest().await.is_empty());
    }
}

#[tokio::test]
async fn a_body_that_drips_is_cut_off_by_the_clock_for_the_whole() {
    let count = Arc::default();
    let options = HttpServerOptions {
        body_idle: Duration::from_secs(5),
        body_total: Duration::from_millis(300),
        ..Default::default()
    };
    let serving = Serving::tls_with(counting(&count), options).await;
    let mut raw = Raw::open(&serving).await;
    let began = Instant::now();
    raw.send(format!(
        "PUT {SEND} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    ))
    .await;
    let answer = loop {
        raw.send(" ").await;
        if began.elapsed() > Duration::from_millis(350) {
            break raw.answer().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    answer.assert(408, "M_UNKNOWN", "a body that drips");
    assert!(answer.body.contains("body_total"), "{answer:?}");
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(count.load(Ordering::SeqCst), 0);
}
