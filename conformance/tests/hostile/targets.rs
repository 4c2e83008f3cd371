//! Inputs as targets: in the request line as they are, escaped into every place of every path and query, and as the target of a gRPC call.

use comity_core::{Operations, endpoint::target::Segment};
use comity_net::Protocol;
use http::{Request, Uri};
use http_body_util::Full;

use crate::{
    corpus::{inputs, share},
    grpc::{INVOKE, framed, post},
    listener::{NAME, run},
    peer::{Outcome, Peer, Then, throw},
};

#[test]
fn request_lines_of_any_bytes_are_answered_or_cut_off() {
    run(async |serving| {
        for input in inputs() {
            let bytes = &input.bytes[..input.bytes.len().min(70_000)];
            let line = [
                b"GET /",
                bytes,
                b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            ];
            let answer = throw(serving, Protocol::Http1, &line.concat(), Then::Close).await;
            assert!(
                answer.is_empty() || answer.starts_with(b"HTTP/1.1 "),
                "{input:?}"
            );
            assert!(!answer.starts_with(b"HTTP/1.1 50"), "{input:?}");
        }
    });
}

/// As much of an input as a target has room for, with what no URI has escaped: `all` bytes, or those only.
fn escaped(bytes: &[u8], all: bool) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(2000) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => text.push((*byte).into()),
            // A percent sign as it stands makes escapes of what follows, most of them none.
            b'%' | b'&' | b'=' | b'+' | b';' | b':' | b'@' | b'$' | b'!' if !all => {
                text.push((*byte).into());
            }
            _ => text += &format!("%{byte:02x}"),
        }
    }
    text
}

#[test]
fn paths_and_queries_of_every_operation_are_answered() {
    run(async |serving| {
        let mut http1 = Peer::new(serving, Protocol::Http1);
        let mut http2 = Peer::new(serving, Protocol::Http2);
        let operations = Operations::federation();
        for (turn, operation) in operations.iter().enumerate() {
            for input in share(turn, operations.iter().len()) {
                for all in [false, true] {
                    let text = escaped(&input.bytes, all);
                    let segments = operation.path().segments().map(|segment| match segment {
                        Segment::Literal(literal) => literal,
                        Segment::Parameter(_) => &text,
                    });
                    let path: String = segments.map(|segment| format!("/{segment}")).collect();
                    let target = format!("{path}?event_id={text}&v={text}&{text}&limit={text}");
                    let request = |uri: &str| {
                        Request::builder()
                            .method(operation.method())
                            .uri(uri.parse::<Uri>().unwrap())
                            .header("host", NAME)
                            .body(Full::default())
                            .unwrap()
                    };
                    let absolute = format!("https://{NAME}{target}");
                    for (peer, uri) in [(&mut http1, &target), (&mut http2, &absolute)] {
                        let outcome = peer.send(request(uri)).await;
                        outcome.assert_no_failure(&(operation, &input.name));
                        assert!(matches!(outcome, Outcome::Answer { .. }), "{target}");
                    }
                }
            }
        }
    });
}

#[test]
fn targets_in_messages_and_metadata_are_answered() {
    run(async |serving| {
        let mut peer = Peer::new(serving, Protocol::Http2);
        for input in inputs() {
            let message = comity_proto::InvokeRequest {
                method: "GET".to_owned(),
                target: input.bytes.clone(),
                ..Default::default()
            };
            let outcome = peer.send(post(INVOKE, framed(&message))).await;
            assert!(matches!(outcome, Outcome::Answer { .. }), "{input:?}");
            let method = String::from_utf8_lossy(&input.bytes).into_owned();
            let message = comity_proto::InvokeRequest {
                method,
                target: "/_matrix/federation/v1/version".into(),
                ..Default::default()
            };
            let outcome = peer.send(post(INVOKE, framed(&message))).await;
            assert!(matches!(outcome, Outcome::Answer { .. }), "{input:?}");
        }
    });
}
