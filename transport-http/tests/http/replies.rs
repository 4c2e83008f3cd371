//! What the client makes of replies, good and bad, and that a reply that fails is never closed as if it were whole.

use std::time::Duration;

use bytes::Bytes;
use comity_core::{
    api::*,
    call::{Arrival, Blob, BlobSource, EventStream, Part, Reply},
    error::{CallError, Delivery, ErrorOrigin, FederationError, TransportErrorKind},
    event::Pdu,
    json::{Object, Value},
};
use comity_http::HttpServerOptions;
use comity_net::Protocol;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::setting::*;

fn pdu(number: u64) -> Value {
    Value::parse(Bytes::from(format!(r#"{{"n":{number}}}"#)), 1 << 10).unwrap()
}

fn join() -> SendJoin {
    SendJoin {
        room_id: "!r".into(),
        event_id: "$e".into(),
        event: Pdu::judge(pdu(0)).unwrap(),
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

fn item(index: u64) -> Result<Part, CallError> {
    Ok(Part::Item {
        array: "state",
        index,
        value: pdu(index),
    })
}

#[tokio::test]
async fn events_arrive_while_the_reply_is_being_made() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let (go, gone) = tokio::sync::watch::channel(false);
        let serving = Serving::tls(handler(move |_| {
            let mut gone = gone.clone();
            async move {
                let first = stream::iter([Ok(Part::Array("state")), item(0)]);
                let later = stream::once(async move {
                    gone.wait_for(|gone| *gone).await.unwrap();
                    item(1)
                });
                Ok(Reply::Events(EventStream {
                    parts: first.chain(later).boxed(),
                }))
            }
        }))
        .await;
        let mut reply = serving
            .client(protocol)
            .send_join(&destination(), join())
            .await
            .unwrap();
        let first = tokio::time::timeout(Duration::from_secs(5), reply.next())
            .await
            .unwrap();
        assert!(matches!(first, Some(Ok(Arrival::Item { .. }))));
        go.send(true).unwrap();
        assert!(matches!(reply.next().await, Some(Ok(Arrival::Item { .. }))));
        assert!(reply.next().await.is_none());
    }
}

#[tokio::test]
async fn a_reply_that_fails_is_cut_and_the_caller_learns_it() {
    let failing = handler(|call| async move {
        // Later than the head, so that the reply has begun.
        let fault = stream::once(async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            CallError::from(FederationError::internal("a fault in the middle"))
        });
        Ok(match call.spec().name {
            "SendJoin" => Reply::Events(EventStream {
                parts: stream::iter([Ok(Part::Array("state")), item(0)])
                    .chain(fault.map(Err))
                    .boxed(),
            }),
            _ => Reply::Blob(Blob {
                metadata: Object::empty(),
                source: BlobSource::Here {
                    content_type: None,
                    content_disposition: None,
                },
                bytes: stream::iter([Ok(Bytes::from_static(b"half a file"))])
                    .chain(fault.map(Err))
                    .boxed(),
            }),
        })
    });
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let serving = Serving::tls(failing.clone()).await;
        let client = serving.client(protocol);
        let mut reply = client.send_join(&destination(), join()).await.unwrap();
        let mut last = None;
        while let Some(arrival) = reply.next().await {
            last = Some(arrival);
        }
        let Some(Err(CallError::Transport(error))) = last else {
            panic!("{protocol:?}: {last:?}")
        };
        assert_eq!(error.delivery(), Delivery::MaybeProcessed);
        let blob = client
            .download_media(&destination(), media())
            .await
            .unwrap();
        assert!(
            blob.bytes.try_collect::<Vec<_>>().await.is_err(),
            "{protocol:?}"
        );
    }
    let serving = Serving::plain(failing, HttpServerOptions::default()).await;
    let bytes = "PUT /_matrix/federation/v2/send_join/!r/$e HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    let answer = serving.raw(bytes.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        !answer.contains("\r\n0\r\n"),
        "the last chunk was sent: {answer}"
    );
}

#[tokio::test]
async fn every_malformed_error_is_an_answer_with_its_status_and_body() {
    let rows = [
        ("404 Not Found", "application/json", "\"\"", None),
        ("400 Bad Request", "application/json", "{}", None),
        (
            "400 Bad Request",
            "application/json",
            r#"{"error":"no code"}"#,
            None,
        ),
        (
            "401 Unauthorized",
            "application/json",
            r#"{"message":"dendrite"}"#,
            None,
        ),
        (
            "502 Bad Gateway",
            "text/html",
            "<html>bad gateway</html>",
            None,
        ),
        ("503 Service Unavailable", "text/plain", "", None),
        ("302 Found", "text/plain", "elsewhere", None),
        (
            "403 Forbidden",
            "text/plain",
            r#"{"errcode":"M_FORBIDDEN","error":"no"}"#,
            Some("M_FORBIDDEN"),
        ),
        (
            "418 I'm a teapot",
            "application/json",
            r#"{"errcode":"ORG.EXAMPLE.TEA","error":"hot","x":1}"#,
            Some("ORG.EXAMPLE.TEA"),
        ),
    ];
    for (status, content_type, body, errcode) in rows {
        let client = peer_that_says(response(status, content_type, body)).await;
        let CallError::Federation(error) = client
            .get_version(&destination(), GetVersion::default())
            .await
            .unwrap_err()
        else {
            panic!("{status}")
        };
        assert_eq!(error.http_status().to_string(), status[..3]);
        assert_eq!(
            (error.errcode(), &error.body()[..]),
            (errcode, body.as_bytes())
        );
        assert_eq!(
            *error.origin() == ErrorOrigin::Remote,
            errcode.is_some(),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_reply_that_is_no_reply_is_a_protocol_fault() {
    let long = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        2 << 20
    );
    let rows: Vec<(Vec<u8>, TransportErrorKind)> = vec![
        (
            response("200 OK", "text/html", "{}").into(),
            TransportErrorKind::Protocol,
        ),
        (
            response("200 OK", "application/json", "[]").into(),
            TransportErrorKind::Protocol,
        ),
        (
            response("200 OK", "application/json", "{\"server\":1}").into(),
            TransportErrorKind::Protocol,
        ),
        (
            response("200 OK", "application/json", "{").into(),
            TransportErrorKind::Protocol,
        ),
        (
            response("200 OK", "application/json", "").into(),
            TransportErrorKind::Protocol,
        ),
        (
            [long.into_bytes(), vec![b' '; 2 << 20]].concat(),
            TransportErrorKind::LimitExceeded,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{}"
                .to_vec(),
            TransportErrorKind::Closed,
        ),
        (b"".to_vec(), TransportErrorKind::Closed),
    ];
    for (bytes, kind) in rows {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
        let client = peer_that_says(bytes).await;
        let CallError::Transport(error) = client
            .get_version(&destination(), GetVersion::default())
            .await
            .unwrap_err()
        else {
            panic!("{shown}")
        };
        assert_eq!(error.kind(), kind, "{shown}: {error}");
        assert_eq!(error.delivery(), Delivery::MaybeProcessed, "{shown}");
    }
    let client = peer_that_says(response("200 OK", "application/json; charset=utf-8", "{}")).await;
    client
        .get_version(&destination(), GetVersion::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn one_bad_event_of_a_stream_spoils_no_other() {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let body = format!(
        r#"{{"state":[{{"n":1}},7,{{"d":{deep}}},{{"n":1.1}},{{"n":2}}],"members_omitted":true,"auth_chain":[]}}"#
    );
    let client = peer_that_says(response("200 OK", "application/json", &body)).await;
    let mut reply = client.send_join(&destination(), join()).await.unwrap();
    let mut outcomes = Vec::new();
    while let Some(arrival) = reply.next().await {
        outcomes.push(matches!(arrival.unwrap(), Arrival::Item { .. }));
    }
    assert_eq!(outcomes, [true, false, false, true, true]);
    assert_eq!(reply.finish().await.unwrap().members_omitted, Some(true));
}

#[tokio::test]
async fn a_streamed_reply_is_refused_for_what_spoils_it_whole() {
    for body in [
        r#"{"state":[{}],"state":[]}"#,
        r#"{"state":[{}],"st\u0061te":[]}"#,
        r#"{"state":[{}]"#,
        r#"{"state":[{}]} x"#,
        "{\"state\":[\"\\ud800\"]}",
        r#"[]"#,
    ] {
        let client = peer_that_says(response("200 OK", "application/json", body)).await;
        let mut reply = client.send_join(&destination(), join()).await.unwrap();
        let mut refused = false;
        while let Some(arrival) = reply.next().await {
            refused |= matches!(arrival, Err(CallError::Transport(error)) if error.kind() == TransportErrorKind::Protocol);
        }
        assert!(refused, "{body}");
    }
}

#[tokio::test]
async fn media_comes_as_bytes_or_as_a_location() {
    let serving = Serving::tls(handler(|call| async move {
        let location = format!("{:?}", call.request()).contains("\"there\"");
        Ok(Reply::Blob(Blob {
            metadata: Object::parse(Bytes::from_static(br#"{"x":1}"#), 100).unwrap(),
            source: if location {
                BlobSource::Location("https://cdn.test/x".into())
            } else {
                BlobSource::Here {
                    content_type: Some("image/png".into()),
                    content_disposition: Some("inline; filename*=utf-8''p%C3%AFc.png".into()),
                }
            },
            bytes: if location {
                stream::empty().boxed()
            } else {
                stream::iter((0..100).map(|n| Ok(Bytes::from(vec![n; 10_000])))).boxed()
            },
        }))
    }))
    .await;
    let client = serving.client(Protocol::Http1Or2);
    let blob = client
        .download_media(&destination(), media())
        .await
        .unwrap();
    assert_eq!(blob.metadata.text(), r#"{"x":1}"#);
    assert!(
        matches!(&blob.source, BlobSource::Here { content_type: Some(kind), .. } if kind == "image/png")
    );
    assert_eq!(
        blob.bytes
            .try_collect::<Vec<_>>()
            .await
            .unwrap()
            .concat()
            .len(),
        1_000_000
    );
    let there = client
        .download_media(
            &destination(),
            DownloadMedia {
                media_id: "there".into(),
                ..Default::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(
        there.source,
        BlobSource::Location("https://cdn.test/x".into())
    );
}
