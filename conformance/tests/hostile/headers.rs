//! Inputs as headers: those that either binding reads, with the bytes as they are, also where they break the head in two.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use comity_net::Protocol;
use http::{HeaderValue, Request};
use http_body_util::Full;

use crate::{
    corpus::{inputs, share},
    grpc::{INVOKE, framed, post},
    listener::{NAME, VERIFIED, run},
    peer::{Outcome, Peer, Then, throw},
};

/// What HTTP reads, and what it is framed by.
const HTTP: [&str; 14] = [
    "Authorization",
    "Authorization: X-Matrix origin",
    "Authorization: X-Matrix origin=\"a\",key=\"ed25519:1\",sig",
    "Content-Type",
    "Content-Length",
    "Transfer-Encoding",
    "Content-Encoding",
    "Expect",
    "Via",
    "Connection",
    "Upgrade",
    "Host",
    "traceparent",
    "X",
];

/// What gRPC reads.
const GRPC: [&str; 13] = [
    "authorization",
    "x-matrix-method",
    "x-matrix-uri-bin",
    "x-matrix-destination",
    "grpc-timeout",
    "grpc-encoding",
    "grpc-accept-encoding",
    "grpc-status",
    "traceparent",
    "tracestate",
    "via",
    "te",
    "content-type",
];

#[test]
fn heads_of_any_bytes_are_answered_or_cut_off() {
    run(async |serving| {
        for (turn, name) in HTTP.into_iter().enumerate() {
            for input in share(turn, HTTP.len()) {
                let between = if name.contains('=') || name.ends_with("origin") {
                    "="
                } else {
                    ": "
                };
                let bytes = [
                    format!("POST /_matrix/federation/v1/get_missing_events/x HTTP/1.1\r\n{VERIFIED}: 1\r\n{name}{between}")
                        .as_bytes(),
                    &input.bytes[..input.bytes.len().min(70_000)],
                    b"\r\nConnection: close\r\n\r\n{}",
                ]
                .concat();
                let answer = throw(serving, Protocol::Http1, &bytes, Then::Close).await;
                assert!(
                    answer.is_empty() || answer.starts_with(b"HTTP/1.1 "),
                    "{name} {input:?}"
                );
                assert!(!answer.starts_with(b"HTTP/1.1 50"), "{name} {input:?}");
            }
        }
    });
}

#[test]
fn credentials_of_any_bytes_prove_nothing() {
    run(async |serving| {
        let mut peer = Peer::new(serving, Protocol::Http2);
        for input in inputs() {
            for before in [
                "",
                "X-Matrix ",
                "X-Matrix origin=\"a.example\",key=\"ed25519:1\",sig=",
            ] {
                let value = [
                    before.as_bytes(),
                    &input.bytes[..input.bytes.len().min(5000)],
                ]
                .concat();
                let Ok(value) = HeaderValue::from_bytes(&value) else {
                    continue;
                };
                let request = Request::post(format!(
                    "https://{NAME}/_matrix/federation/v1/get_missing_events/x"
                ))
                .header(VERIFIED, "1")
                .header("authorization", &value)
                .header("authorization", value)
                .body(Full::from(r#"{"earliest_events":[],"latest_events":[]}"#))
                .unwrap();
                let outcome = peer.send(request).await;
                let Outcome::Answer { status, .. } = outcome else {
                    panic!("{input:?}");
                };
                assert!(matches!(status, 400 | 401 | 431), "{status} {input:?}");
            }
        }
    });
}

#[test]
fn a_header_list_over_its_limit_is_refused_and_one_below_it_is_not() {
    run(async |serving| {
        for version in [Protocol::Http1, Protocol::Http2] {
            let mut peer = Peer::new(serving, version);
            for (bytes, expected) in [(50 << 10, 200), (100 << 10, 431), (50 << 10, 200)] {
                let path = "/_matrix/federation/v1/version";
                let uri = match version {
                    Protocol::Http1 => path.to_owned(),
                    _ => format!("https://{NAME}{path}"),
                };
                let request = Request::get(uri)
                    .header("host", NAME)
                    .header("x-filler", "x".repeat(bytes))
                    .body(Full::default())
                    .unwrap();
                let outcome = peer.send(request).await;
                let Outcome::Answer { status, .. } = outcome else {
                    panic!("{version:?} {bytes}: {outcome:?}");
                };
                assert_eq!(status, expected, "{version:?} {bytes}");
            }
        }
    });
}

#[test]
fn metadata_of_any_bytes_is_answered() {
    run(async |serving| {
        let mut peer = Peer::new(serving, Protocol::Http2);
        let message = comity_proto::InvokeRequest {
            method: "GET".to_owned(),
            target: "/_matrix/federation/v1/version".into(),
            ..Default::default()
        };
        for (turn, name) in GRPC.into_iter().enumerate() {
            for input in share(turn, GRPC.len()) {
                let bytes = &input.bytes[..input.bytes.len().min(8000)];
                let encoded = STANDARD_NO_PAD.encode(bytes);
                let grpc = [b"application/grpc+", bytes].concat();
                for value in [bytes, encoded.as_bytes(), &grpc] {
                    let Ok(value) = HeaderValue::from_bytes(value) else {
                        continue;
                    };
                    for method in [INVOKE, "comity.federation.v1.Server/GetVersion"] {
                        let mut request = post(method, framed(&message));
                        request.headers_mut().insert(name, value.clone());
                        let outcome = peer.send(request).await;
                        outcome.assert_no_failure(&(name, &input.name));
                        let ended = matches!(outcome, Outcome::Ended);
                        // A client's own carrier will not send some of them.
                        assert!(!ended || name == "te", "{name} {input:?}");
                    }
                }
            }
        }
    });
}
