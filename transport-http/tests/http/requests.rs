//! What the server does with requests: limits, methods, paths, bodies that are slow, encoded, or too large.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use comity_core::{
    CallService,
    api::{GetVersion, GetVersionReply},
    call::{Message, Reply},
};
use comity_http::HttpServerOptions;
use comity_net::Protocol;

use crate::setting::*;
use comity_core::api::Calls;

fn counting(count: &Arc<AtomicUsize>) -> CallService {
    let count = count.clone();
    handler(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async {
            Ok(Reply::Message(Message::from_value(
                GetVersionReply::default(),
            )))
        }
    })
}

fn request(line: &str, headers: &str, body: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n{body}")
}

#[tokio::test]
async fn each_bad_request_has_its_status_and_the_next_call_works() {
    let count = Arc::default();
    let serving = Serving::plain(
        counting(&count),
        HttpServerOptions {
            body_idle: Duration::from_millis(200),
            ..Default::default()
        },
    )
    .await;
    let send = "PUT /_matrix/federation/v1/send/1";
    let length = |body: &str| format!("Content-Length: {}\r\n", body.len());
    let rows: Vec<(String, &str, &str)> = vec![
        (
            request("GET /_matrix/federation/v1/nothing", "", ""),
            "404",
            "M_UNRECOGNIZED",
        ),
        (
            request("GET /_matrix/key/v2/nothing", "", ""),
            "404",
            "M_UNRECOGNIZED",
        ),
        (request("GET /", "", ""), "404", "M_UNRECOGNIZED"),
        (
            request("POST /_matrix/federation/v1/version", &length(""), ""),
            "405",
            "M_UNRECOGNIZED",
        ),
        (
            request("DELETE /_matrix/key/v2/server", "", ""),
            "405",
            "M_UNRECOGNIZED",
        ),
        (
            request("GET /_matrix/federation/v1/media/download/%zz", "", ""),
            "400",
            "M_INVALID_PARAM",
        ),
        (request(send, &length("{"), "{"), "400", "M_NOT_JSON"),
        (
            request(send, &length("\u{feff}{}"), "\u{feff}{}"),
            "400",
            "M_NOT_JSON",
        ),
        (request(send, &length("[1]"), "[1]"), "400", "M_BAD_JSON"),
        (request(send, &length("{}"), "{}"), "400", "M_MISSING_PARAM"),
        (
            request(send, "Content-Length: 99999999999\r\n", ""),
            "413",
            "M_TOO_LARGE",
        ),
        (
            request(
                send,
                "Content-Encoding: gzip\r\nContent-Length: 2\r\n",
                "{}",
            ),
            "400",
            "M_NOT_JSON",
        ),
        (
            request(send, "Content-Length: 100\r\n", "{"),
            "408",
            "body_idle",
        ),
        (
            request(
                send,
                "Authorization: \u{e9}\u{ff}\r\nContent-Length: 2\r\n",
                "{}",
            ),
            "400",
            "M_",
        ),
    ];
    for (bytes, status, named) in rows {
        let answer = serving.raw(bytes.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{bytes}\n{answer}"
        );
        assert!(answer.contains(named), "{bytes}\n{answer}");
        assert!(answer.contains("application/json"), "{answer}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
    serving
        .client(Protocol::Http1)
        .get_version(&destination(), GetVersion::default())
        .await
        .unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_at_the_limit() {
    let count = Arc::default();
    let serving = Serving::plain(counting(&count), HttpServerOptions::default()).await;
    let mut bytes = request(
        "POST /_matrix/federation/v1/get_missing_events/!r",
        "Transfer-Encoding: chunked\r\n",
        "",
    )
    .into_bytes();
    let chunk = vec![b' '; 64 << 10];
    for _ in 0..17 {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(&chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    let answer = serving.raw(&bytes).await;
    assert!(
        answer.starts_with("HTTP/1.1 413") && answer.contains("limits.request"),
        "{answer}"
    );
}

#[tokio::test]
async fn one_call_over_each_version_of_http() {
    for protocol in [Protocol::Http1, Protocol::Http2, Protocol::Http1Or2] {
        let count = Arc::default();
        let serving = Serving::tls(counting(&count)).await;
        let client = serving.client(protocol);
        for _ in 0..3 {
            client
                .get_version(&destination(), GetVersion::default())
                .await
                .unwrap();
        }
        assert_eq!(count.load(Ordering::SeqCst), 3);
    }
}
