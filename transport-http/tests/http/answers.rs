//! SS "Transaction", "Errors" and what servers in use answer instead, read by the client: for every shape of reply, an error is the peer's answer with its status
//! and its raw body, never a fault of the connection, and a redirection is not followed.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use comity_core::{
    Client,
    api::*,
    error::{CallError, ErrorKind, ErrorOrigin, FederationError, Retry},
    event::Pdu,
    json::Value,
};
use comity_http::HttpServerOptions;
use comity_net::{Connector, Protocol};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{raw::Raw, setting::*};

/// One call of each shape: a message, a stream, a blob.
async fn each_shape(client: &Client) -> Vec<CallError> {
    let event = Value::parse("{}".into(), 10).unwrap();
    let join = SendJoin {
        room_id: "!r".into(),
        event_id: "$e".into(),
        event: Pdu::judge(event).unwrap(),
        omit_members: None,
        extra_query: Default::default(),
    };
    let media = DownloadMedia {
        media_id: "x".into(),
        ..Default::default()
    };
    let to = destination();
    vec![
        client
            .get_version(&to, GetVersion::default())
            .await
            .unwrap_err(),
        client.send_join(&to, join).await.err().unwrap(),
        client.download_media(&to, media).await.err().unwrap(),
    ]
}

async fn answers(bytes: impl Into<Vec<u8>>) -> Vec<FederationError> {
    let client = peer_that_says(bytes).await;
    let errors = each_shape(&client).await.into_iter();
    let answers = errors.map(|error| match error {
        CallError::Federation(error) => error,
        CallError::Transport(error) => panic!("{error}"),
    });
    answers.collect()
}

#[tokio::test]
async fn every_answer_that_is_no_matrix_error_keeps_its_status_and_body() {
    let rows = [
        // Synapse: an event that it lacks; a transaction that is too large; a backfill of nothing.
        (
            "404 Not Found",
            "application/json",
            "\"\"",
            ErrorKind::NotFound,
        ),
        (
            "400 Bad Request",
            "application/json",
            "{}",
            ErrorKind::InvalidArgument,
        ),
        (
            "400 Bad Request",
            "application/json",
            r#"{"error":"limit must be positive"}"#,
            ErrorKind::InvalidArgument,
        ),
        // gomatrixserverlib: whoever proves nothing.
        (
            "401 Unauthorized",
            "application/json",
            r#"{"message":"Bad signature"}"#,
            ErrorKind::Unauthenticated,
        ),
        // Dendrite: media, with the whole response structure as JSON.
        (
            "401 Unauthorized",
            "application/json",
            r#"{"Code":401,"JSON":{"errcode":"M_UNAUTHORIZED"},"Headers":null}"#,
            ErrorKind::Unauthenticated,
        ),
        // Proxies; test servers.
        (
            "502 Bad Gateway",
            "text/html",
            "<html><h1>502</h1></html>",
            ErrorKind::Unavailable,
        ),
        (
            "404 Not Found",
            "application/json",
            "404 page not found",
            ErrorKind::NotFound,
        ),
        ("404 Not Found", "text/plain", "", ErrorKind::NotFound),
        (
            "503 Service Unavailable",
            "text/plain",
            "",
            ErrorKind::Unavailable,
        ),
        (
            "500 Internal Server Error",
            "application/json",
            "",
            ErrorKind::Internal,
        ),
        (
            "405 Method Not Allowed",
            "text/plain",
            "no",
            ErrorKind::FailedPrecondition,
        ),
        (
            "403 Forbidden",
            "application/json",
            "null",
            ErrorKind::PermissionDenied,
        ),
        (
            "403 Forbidden",
            "application/json",
            "[1,2]",
            ErrorKind::PermissionDenied,
        ),
        (
            "400 Bad Request",
            "application/json",
            r#"{"errcode":null,"error":{}}"#,
            ErrorKind::InvalidArgument,
        ),
    ];
    for (status, media_type, body, kind) in rows {
        for error in answers(response(status, media_type, body)).await {
            assert_eq!(error.http_status().to_string(), status[..3], "{body}");
            assert_eq!(error.body(), body.as_bytes(), "{status}");
            assert_eq!(error.errcode(), None, "{status} {body}");
            assert_eq!(error.kind(), kind, "{status} {body}");
            assert_eq!(
                *error.origin(),
                ErrorOrigin::Intermediary,
                "{status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn an_error_of_matrix_keeps_code_text_and_members_whatever_its_media_type() {
    let rows = [
        (
            "400 Bad Request",
            "M_INCOMPATIBLE_ROOM_VERSION",
            r#","room_version":"12""#,
        ),
        ("403 Forbidden", "M_FORBIDDEN", ""),
        ("400 Bad Request", "M_FORBIDDEN", ""),
        ("413 Payload Too Large", "M_TOO_LARGE", ""),
        ("502 Bad Gateway", "M_TOO_LARGE", ""),
        ("504 Gateway Timeout", "M_NOT_YET_UPLOADED", ""),
        (
            "401 Unauthorized",
            "M_UNKNOWN_TOKEN",
            r#","soft_logout":true"#,
        ),
        (
            "418 I'm a teapot",
            "ORG.MATRIX.MSC9999_ODD",
            r#","x":{"y":[1.5,null]}"#,
        ),
    ];
    for (status, errcode, members) in rows {
        for media_type in [
            "application/json",
            "text/plain",
            "application/json; charset=UTF-8",
        ] {
            let body = format!(r#"{{"errcode":"{errcode}","error":"why"{members}}}"#);
            for error in answers(response(status, media_type, &body)).await {
                assert_eq!(error.errcode(), Some(errcode));
                assert_eq!(error.http_status().to_string(), status[..3]);
                assert_eq!(
                    (error.message(), error.body()),
                    ("why", &body.clone().into())
                );
                assert_eq!(*error.origin(), ErrorOrigin::Remote);
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_or_breaks_off_is_an_answer_all_the_same() {
    let long = "x".repeat(100_000);
    for error in answers(response("500 Internal Server Error", "text/plain", &long)).await {
        assert_eq!((error.http_status(), error.body().len()), (500, 64 << 10));
    }
    let broken = "HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\n{\"errcode\"";
    for error in answers(broken).await {
        assert_eq!((error.http_status(), error.errcode()), (403, None));
    }
    // An encoding that nobody asked for hides the code, not the status.
    let encoded =
        "HTTP/1.1 502 Bad Gateway\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x08ab";
    for error in answers(encoded).await {
        assert_eq!((error.http_status(), error.body().len()), (502, 4));
    }
}

#[tokio::test]
async fn the_time_to_wait_is_read_from_header_and_body() {
    let wait = |headers: &str, body: &str| {
        format!(
            "HTTP/1.1 429 Too Many Requests\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let limited = r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":1500}"#;
    for (bytes, expected) in [
        (wait("Retry-After: 3\r\n", ""), Some(3000)),
        (wait("", limited), Some(1500)),
        (wait("Retry-After: 2\r\n", limited), Some(1500)),
        (wait("Retry-After: 60\r\n", limited), Some(60_000)),
        (wait("Retry-After: soon\r\n", limited), Some(1500)),
        (
            wait("Retry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n", ""),
            Some(0),
        ),
        (wait("", r#"{"errcode":"M_UNKNOWN"}"#), None),
    ] {
        for error in answers(bytes.clone()).await {
            let expected = expected.map(Duration::from_millis);
            assert_eq!(error.retry_after(), expected, "{bytes}");
            assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{bytes}");
            if let Some(wait) = expected {
                assert_eq!(error.retry(), Retry::After(wait), "{bytes}");
            }
        }
    }
}

#[tokio::test]
async fn the_time_to_wait_is_written_to_header_and_body() {
    let serving = Serving::plain(
        handler(|_| async {
            let wait = Duration::from_millis(1500);
            Err(FederationError::limit_exceeded("slower", Some(wait)).into())
        }),
        HttpServerOptions::default(),
    )
    .await;
    let answer = Raw::open(&serving)
        .await
        .ask("GET /_matrix/federation/v1/version", "", "")
        .await;
    answer.assert(429, "M_LIMIT_EXCEEDED", "over the limit");
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert!(
        answer.body.contains("\"retry_after_ms\":1500"),
        "{answer:?}"
    );
}

/// A signature is for one path of one server; whoever followed would show it to another.
#[tokio::test]
async fn a_redirection_is_an_answer_and_is_not_followed() {
    for status in [
        "300 x", "301 x", "302 x", "303 x", "304 x", "307 x", "308 x",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut head = vec![0; 4096];
                let read = socket.read(&mut head).await.unwrap();
                let line = String::from_utf8_lossy(&head[..read]);
                seen.lock()
                    .unwrap()
                    .push(line.lines().next().unwrap().to_owned());
                let answer = format!(
                    "HTTP/1.1 {status}\r\nLocation: http://{address}/_matrix/federation/v1/version\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        let client = client_to(address, Connector::danger_without_tls(), Protocol::Http1);
        for error in each_shape(&client).await {
            let CallError::Federation(error) = error else {
                panic!("{error}")
            };
            assert_eq!(error.http_status().to_string(), status[..3]);
        }
        assert_eq!(asked.lock().unwrap().len(), 3, "{status}");
    }
}
