//! RFC 9110 §8 and SS "API standards", as the client keeps to them: which replies are taken, which headers are sent, and what the limits of headers say.

use std::sync::{Arc, Mutex};

use comity_core::{
    Client,
    api::*,
    call::{Blob, BlobSource, EventStream, Message, Reply},
    error::{CallError, Delivery, TransportErrorKind},
    event::Pdu,
    json::{Object, Value},
};
use comity_net::{Connector, Protocol};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{raw::Raw, setting::*};

fn join() -> SendJoin {
    let event = Value::parse("{}".into(), 10).unwrap();
    SendJoin {
        room_id: "!r".into(),
        event_id: "$e".into(),
        event: Pdu::judge(event).unwrap(),
        omit_members: None,
        extra_query: Default::default(),
    }
}

fn media() -> DownloadMedia {
    DownloadMedia {
        media_id: "x".into(),
        ..Default::default()
    }
}

fn says(headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn version(client: &Client) -> Result<GetVersionReply, CallError> {
    client
        .get_version(&destination(), GetVersion::default())
        .await
}

#[tokio::test]
async fn the_media_type_of_a_reply_has_to_be_that_of_json() {
    for taken in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
        " application/json ",
        "application/json ; x=\"y; z\"",
    ] {
        let client = peer_that_says(says(&format!("Content-Type: {taken}\r\n"), "{}")).await;
        version(&client).await.expect(taken);
        client.send_join(&destination(), join()).await.expect(taken);
    }
    for refused in [
        "",
        "Content-Type:\r\n",
        "Content-Type: text/html\r\n",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/jsonx\r\n",
        "Content-Type: application/json+x\r\n",
        "Content-Type: application/xjson\r\n",
        "Content-Type: json\r\n",
        "Content-Type: multipart/mixed; boundary=b\r\n",
    ] {
        let client = peer_that_says(says(refused, "{}")).await;
        let errors = [
            version(&client).await.unwrap_err(),
            client
                .send_join(&destination(), join())
                .await
                .err()
                .unwrap(),
        ];
        for error in errors {
            let CallError::Transport(error) = error else {
                panic!("{refused}: {error}")
            };
            assert_eq!(error.kind(), TransportErrorKind::Protocol, "{refused}");
            assert!(error.message().contains("media type"), "{error}");
        }
    }
}

#[tokio::test]
async fn the_body_of_a_reply_has_to_be_one_object_of_json() {
    for body in [
        "",
        "[]",
        "null",
        "\"\"",
        "{",
        "{}x",
        "\u{feff}{}",
        "{\"a\":\"\\ud800\"}",
    ] {
        let client = peer_that_says(says("Content-Type: application/json\r\n", body)).await;
        let CallError::Transport(error) = version(&client).await.unwrap_err() else {
            panic!("{body}")
        };
        assert_eq!(error.kind(), TransportErrorKind::Protocol, "{body}");
        assert_eq!(error.delivery(), Delivery::MaybeProcessed, "{body}");
    }
}

/// Nobody asks for an encoding, so the limits count bytes as they came and there is nothing to decompress.
#[tokio::test]
async fn a_reply_that_is_encoded_is_refused_and_says_so() {
    for encoding in ["gzip", "zstd", "br", "deflate", "x-odd"] {
        for headers in [
            format!("Content-Encoding: {encoding}\r\n"),
            format!("Content-Encoding: identity\r\nContent-Encoding: {encoding}\r\n"),
        ] {
            let headers = format!("Content-Type: application/json\r\n{headers}");
            let client = peer_that_says(says(&headers, "\x1f\u{8}ab")).await;
            let errors = [
                version(&client).await.unwrap_err(),
                client
                    .send_join(&destination(), join())
                    .await
                    .err()
                    .unwrap(),
                client
                    .download_media(&destination(), media())
                    .await
                    .err()
                    .unwrap(),
            ];
            for error in errors {
                let CallError::Transport(error) = error else {
                    panic!("{encoding}: {error}")
                };
                assert_eq!(error.kind(), TransportErrorKind::Protocol, "{encoding}");
                assert!(error.message().contains("Content-Encoding"), "{error}");
            }
        }
    }
    let headers = "Content-Type: application/json\r\nContent-Encoding: Identity\r\n";
    version(&peer_that_says(says(headers, "{}")).await)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_request_that_is_encoded_is_refused() {
    let serving = Serving::tls(handler(|_| async { panic!("it is refused") })).await;
    let mut raw = Raw::open(&serving).await;
    for encoding in ["gzip", "zstd", "deflate", "identity, gzip"] {
        let headers = format!("Content-Encoding: {encoding}\r\n");
        let answer = raw
            .ask(
                "PUT /_matrix/federation/v1/send/1",
                &headers,
                "{\"pdus\":[]}",
            )
            .await;
        answer.assert(400, "M_NOT_JSON", encoding);
        assert!(answer.body.contains("Content-Encoding"), "{answer:?}");
    }
}

/// What a peer was sent, whole.
async fn sent_by(call: impl AsyncFnOnce(&Client)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(String::new()));
    let keep = seen.clone();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 16 << 10];
        let read = socket.read(&mut bytes).await.unwrap();
        *keep.lock().unwrap() = String::from_utf8_lossy(&bytes[..read]).to_ascii_lowercase();
        let answer = says("Content-Type: application/json\r\n", "{}");
        socket.write_all(answer.as_bytes()).await.unwrap();
    });
    let client = client_to(address, Connector::danger_without_tls(), Protocol::Http1);
    call(&client).await;
    seen.lock().unwrap().clone()
}

#[tokio::test]
async fn a_request_says_who_sends_it_what_it_holds_and_what_it_takes() {
    let get = sent_by(async |client| _ = version(client).await.unwrap()).await;
    for line in [
        "host: matrix.test",
        "user-agent: comity/",
        "accept-encoding: identity",
    ] {
        assert!(get.contains(&format!("\r\n{line}")), "{get}");
    }
    for name in [
        "content-type",
        "content-length",
        "transfer-encoding",
        "expect",
    ] {
        assert!(!get.contains(&format!("\r\n{name}:")), "{get}");
    }
    let ask = GetMissingEvents {
        room_id: "!r".into(),
        ..Default::default()
    };
    let post = sent_by(async |client| {
        let _ = client.get_missing_events(&destination(), ask).await;
    })
    .await;
    assert!(
        post.contains("\r\ncontent-type: application/json\r\n"),
        "{post}"
    );
    assert!(post.contains("\r\ncontent-length: 41\r\n"), "{post}");
    assert!(!post.contains("content-encoding"), "{post}");
}

#[tokio::test]
async fn every_reply_has_its_media_type() {
    let serving = Serving::tls(handler(|call| async move {
        Ok(match call.spec().name {
            "DownloadMedia" => Reply::Blob(Blob {
                metadata: Object::empty(),
                source: BlobSource::Here {
                    content_type: None,
                    content_disposition: None,
                },
                bytes: stream::empty().boxed(),
            }),
            "Backfill" => Reply::Events(EventStream {
                parts: stream::empty().boxed(),
            }),
            _ => Reply::Message(Message::from_content(Object::empty())),
        })
    }))
    .await;
    let mut raw = Raw::open(&serving).await;
    for (target, media_type) in [
        ("/_matrix/federation/v1/version", "application/json"),
        (
            "/_matrix/federation/v1/backfill/!r?v=$e&limit=1",
            "application/json",
        ),
        ("/_matrix/federation/v1/nothing", "application/json"),
        (
            "/_matrix/federation/v1/media/download/x",
            "multipart/mixed; boundary=",
        ),
    ] {
        let answer = raw.ask(&format!("GET {target}"), "", "").await;
        let given = answer.header("content-type").unwrap();
        assert!(given.starts_with(media_type), "{target}: {given}");
        // Synapse takes what stands behind `boundary=` as it is, to the end.
        if let Some(boundary) = given.strip_prefix("multipart/mixed; boundary=") {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            assert!(boundary.bytes().all(token), "{boundary}");
        }
    }
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused_by_either_side_and_one_below_it_is_not() {
    let serving = Serving::tls(handler(|_| async {
        Ok(Reply::Message(Message::from_content(Object::empty())))
    }))
    .await;
    let line = "GET /_matrix/federation/v1/version";
    let header = |bytes: usize| format!("X-Filler: {}\r\n", "x".repeat(bytes));
    let mut raw = Raw::open(&serving).await;
    assert_eq!(raw.ask(line, &header(60 << 10), "").await.status, 200);
    let answer = raw.ask(line, &header(70 << 10), "").await;
    assert_eq!(answer.status, 431, "{answer:?}");
    let many = "X: y\r\n".repeat(101);
    let answer = Raw::open(&serving).await.ask(line, &many, "").await;
    assert_eq!(answer.status, 431, "{answer:?}");

    let json = "Content-Type: application/json\r\n";
    let client = peer_that_says(says(&format!("{json}{}", header(60 << 10)), "{}")).await;
    version(&client).await.unwrap();
    let client = peer_that_says(says(&format!("{json}{}", header(80 << 10)), "{}")).await;
    let CallError::Transport(error) = version(&client).await.unwrap_err() else {
        panic!("a head over the limit")
    };
    assert_eq!(error.kind(), TransportErrorKind::LimitExceeded);
    assert!(error.message().contains("64 KiB"), "{error}");
}

/// A peer that has seen enough answers before the whole request is out, and that answer counts.
#[tokio::test]
async fn an_answer_that_comes_before_the_request_is_out_is_the_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let _ = socket.read(&mut head).await;
            let answer = response(
                "413 Payload Too Large",
                "application/json",
                r#"{"errcode":"M_TOO_LARGE","error":"too large"}"#,
            );
            let _ = socket.write_all(answer.as_bytes()).await;
            // It reads no more, and does not close either.
            kept.push(socket);
        }
    });
    let client = client_to(address, Connector::danger_without_tls(), Protocol::Http1);
    let ask = GetMissingEvents {
        room_id: "!r".into(),
        latest_events: vec!["$e".repeat(1 << 19); 14],
        ..Default::default()
    };
    let to = destination();
    let asking = client.get_missing_events(&to, ask);
    let answer = tokio::time::timeout(std::time::Duration::from_secs(10), asking).await;
    let Ok(Err(CallError::Federation(error))) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (error.http_status(), error.errcode()),
        (413, Some("M_TOO_LARGE"))
    );
}

/// A reply over its limit is given up where the limit is passed, not where it ends.
#[tokio::test]
async fn a_reply_without_end_is_cut_at_its_limit() {
    let endless = || stream::repeat_with(|| Ok(bytes::Bytes::from_static(&[b' '; 64 << 10])));
    let app = tower::service_fn(move |_: http::Request<comity_net::Body>| async move {
        let mut response = http::Response::new(comity_net::body::from_stream(
            endless().map_err(|error: std::io::Error| error),
        ));
        let json = http::HeaderValue::from_static("application/json");
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, json);
        Ok::<_, std::convert::Infallible>(response)
    });
    let listener = comity_net::Listener::bind("127.0.0.1:0", Default::default())
        .await
        .unwrap();
    let address = listener.local_addr();
    let dispatch = comity_net::Dispatch::new(comity_net::HttpService::new(app));
    tokio::spawn(listener.serve(dispatch, std::future::pending()));
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let client = client_to(address, Connector::danger_without_tls(), protocol);
        let CallError::Transport(error) = version(&client).await.unwrap_err() else {
            panic!("{protocol:?}")
        };
        assert_eq!(
            error.kind(),
            TransportErrorKind::LimitExceeded,
            "{protocol:?}"
        );
        assert!(error.message().contains("limits.message"), "{error}");
    }
}
