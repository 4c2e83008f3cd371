//! Calls that no row knows, over sockets: bytes of any kind both ways, and requests that are no call at all.

use std::sync::Arc;

use bytes::Bytes;
use comity_core::{
    CallService, Operations,
    call::{Body, Call, Message, Reply, Unregistered},
    endpoint::Content,
    error::{CallError, FederationError},
    json::Object,
    transport::TransportService,
};
use comity_http::{HttpServer, ServiceTransport};
use comity_net::Protocol;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::setting::*;

fn taking() -> Operations {
    Operations::federation().with_unregistered()
}

/// Answers with the content as it arrived, in two pieces, behind the method and the target.
fn echo() -> CallService {
    handler(|call: Call| async move {
        let form = call.form().unwrap();
        let before = Bytes::from(format!("{} {} ", form.method(), form.target()));
        Ok(Reply::Body(Body {
            status: 203,
            content_type: form.content().media_type().map(str::to_owned),
            content_disposition: Some(call.spec().name.to_owned()),
            bytes: stream::iter([Ok(before), Ok(form.content().bytes())]).boxed(),
        }))
    })
}

#[tokio::test]
async fn bytes_of_any_kind_cross_both_ways() {
    let every_byte: Bytes = (0..=255).collect();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let serving = Serving::tls_for(echo(), taking(), Default::default()).await;
        let client = serving.client(protocol);
        for content_type in ["application/octet-stream", "text/plain; charset=x"] {
            let content = Content::Opaque {
                content_type: content_type.to_owned(),
                bytes: every_byte.clone(),
            };
            let target = "/_tuwunel//a%2f../?x=%zz&&y";
            let request = Unregistered::new("DELETE", target, content).unwrap();
            let body = client.call(&destination(), request).await.unwrap();
            assert_eq!(body.status, 203);
            assert_eq!(body.content_type.as_deref(), Some(content_type));
            let bytes: Vec<_> = body.bytes.try_collect().await.unwrap();
            let expected = [format!("DELETE {target} ").as_bytes(), &every_byte[..]].concat();
            assert_eq!(bytes.concat(), expected);
        }
    }
}

#[tokio::test]
async fn what_is_no_success_is_the_peers_answer() {
    for (status, body) in [(302, ""), (404, "<html>"), (500, "{}")] {
        let answer = FederationError::from_http(status, None, Bytes::from(body));
        let serving = Serving::tls_for(
            handler(move |_| {
                let answer = answer.clone();
                async move { Err(answer.into()) }
            }),
            taking(),
            Default::default(),
        )
        .await;
        let request = Unregistered::new("GET", "/x", Content::Absent).unwrap();
        let client = serving.client(Protocol::Http1);
        let CallError::Federation(error) = client.call(&destination(), request).await.unwrap_err()
        else {
            panic!("{status}")
        };
        assert_eq!(
            (error.http_status(), &error.body()[..]),
            (status, body.as_bytes())
        );
    }
}

/// A request with `Connection: close`, and a body if there is one.
fn raw(line: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    let head = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}{length}\r\n");
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn each_request_is_taken_as_its_media_type_says_or_refused_for_what_it_is() {
    let serving = Serving::plain_server(HttpServer::new(taking(), echo())).await;
    let json = "Content-Type: application/json\r\n";
    let text = "Content-Type: text/plain\r\n";
    let rows: Vec<(Vec<u8>, &str, &[&str])> = vec![
        (raw("DELETE /x?", "", b""), "203", &["DELETE /x? "]),
        (
            raw("POST /x", "", b"{ \"b\":1.50, \"a\":1e400}"),
            "203",
            &["POST /x ", "{\"a\":1e400,\"b\":1.50}"],
        ),
        (
            raw("POST /x", json, b"{ }"),
            "203",
            &["POST /x ", "\r\n{}\r\n"],
        ),
        (
            raw("POST /x", text, b"{ }"),
            "203",
            &["POST /x ", "\r\n{ }\r\n"],
        ),
        (raw("POST /x", json, b"{"), "400", &["M_NOT_JSON"]),
        (raw("POST /x", "", b"\xff"), "400", &["M_NOT_JSON"]),
        (raw("POST /x", json, b"[]"), "400", &["M_BAD_JSON"]),
        (
            raw("POST /x", "Content-Type: a/\u{e9}\r\n", b"{}"),
            "400",
            &["M_INVALID_PARAM"],
        ),
        // Of a call that a row knows it is not looked at.
        (
            raw(
                "PUT /_matrix/federation/v1/send/1",
                "Content-Type: a/\u{e9}\r\n",
                b"{\"pdus\":[]}",
            ),
            "203",
            &["/send/1 ", "{\"pdus\":[]}"],
        ),
        (raw("OPTIONS *", "", b""), "400", &["M_INVALID_PARAM"]),
        (
            raw("GET /x", "Content-Length: 16777217\r\n", b""),
            "413",
            &["limits.request"],
        ),
        (
            raw(&format!("{} /x", "M".repeat(33)), "", b""),
            "400",
            &["M_INVALID_PARAM"],
        ),
        // The reply to HEAD has a head only.
        (
            raw("HEAD /x", "", b""),
            "203",
            &["content-disposition: Unregistered"],
        ),
        // As GET, where a row knows the target so.
        (
            raw("HEAD /_matrix/federation/v1/version", "", b""),
            "203",
            &["content-disposition: GetVersion"],
        ),
    ];
    for (request, status, says) in rows {
        let answer = serving.raw(&request).await;
        let request = String::from_utf8_lossy(&request);
        let head = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&head), "{request}: {answer}");
        for part in says {
            assert!(answer.contains(part), "{request}: {answer}");
        }
        if request.starts_with("HEAD") {
            assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        }
    }
}

#[tokio::test]
async fn bytes_that_only_claim_what_they_are_are_run_by_no_browser() {
    let guards = [
        "x-content-type-options: nosniff\r\n",
        "content-security-policy: sandbox\r\n",
    ];
    let serving = Serving::plain_server(HttpServer::new(taking(), echo())).await;
    // Legacy media answers with bytes as well.
    for line in [
        "GET /x",
        "GET /_matrix/media/v3/download/a.test/file?allow_remote=false",
    ] {
        let answer = serving.raw(&raw(line, "", b"")).await;
        assert!(answer.starts_with("HTTP/1.1 203 "), "{answer}");
        for guard in guards {
            assert!(answer.contains(guard), "{line}: {answer}");
        }
    }
    let object = handler(|_| async { Ok(Reply::Message(Message::from_content(Object::empty()))) });
    let serving = Serving::plain_server(HttpServer::new(taking(), object)).await;
    let line = "GET /_matrix/federation/v1/version";
    let answer = serving.raw(&raw(line, "", b"")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for guard in guards {
        assert!(!answer.contains(guard), "{answer}");
    }
}

#[tokio::test]
async fn the_methods_that_are_allowed_are_those_of_the_rows() {
    let refused = || handler(|_| async { Err(FederationError::new(405, "M_X", "no").into()) });
    let serving = Serving::plain_server(HttpServer::new(taking(), refused())).await;
    for (line, allow) in [
        ("POST /_matrix/federation/v1/version", Some("GET, HEAD")),
        ("OPTIONS /_matrix/federation/v1/send/1", Some("PUT")),
        ("GET /_matrix/client/versions", None),
        ("OPTIONS /x", None),
    ] {
        let answer = serving.raw(&raw(line, "", b"")).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{line}: {answer}");
        let there = answer
            .lines()
            .find_map(|header| header.strip_prefix("allow: "));
        assert_eq!(there, allow, "{line}");
    }
}

/// Behind a gateway: what is passed on is read, and HEAD has nothing to read.
#[tokio::test]
async fn head_is_not_passed_on_where_the_reply_would_be_read_from_its_body() {
    let behind = HttpServer::new(taking(), echo());
    let passing = TransportService::new(Arc::new(ServiceTransport::new(behind)));
    let gateway = HttpServer::new(taking(), CallService::new(passing));
    let serving = Serving::plain_server(gateway).await;
    let version = "/_matrix/federation/v1/version";
    let answer = serving.raw(&raw(&format!("HEAD {version}"), "", b"")).await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(answer.contains("allow: GET\r\n"), "{answer}");
    // Of bytes nothing has to be read.
    let answer = serving.raw(&raw("HEAD /x", "", b"")).await;
    assert!(answer.starts_with("HTTP/1.1 203 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}
