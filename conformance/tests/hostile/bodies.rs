//! Inputs as the content of every operation, over each version of HTTP and through `Invoke`.

use bytes::Bytes;
use comity_core::{Operations, call::Op, endpoint::target::Segment};
use comity_net::Protocol;
use http::Request;
use http_body_util::Full;

use crate::{
    corpus::share,
    grpc::invocation,
    listener::{NAME, run},
    peer::{Outcome, Peer},
};

/// A target of the operation, with every parameter that it may ask for.
pub(crate) fn target(operation: Op) -> String {
    let mut target = String::new();
    for segment in operation.path().segments() {
        target.push('/');
        target.push_str(match segment {
            Segment::Literal(text) => text,
            Segment::Parameter(_) => "x",
        });
    }
    target + "?event_id=$e&v=$e&limit=1&ver=1&user_id=@u:d&ts=1&dir=f&access_token=x"
}

#[test]
fn contents_of_every_operation_are_answered() {
    run(async |serving| {
        let mut http =
            [Protocol::Http1, Protocol::Http2].map(|version| Peer::new(serving, version));
        let mut grpc = Peer::new(serving, Protocol::Http2);
        let operations = Operations::federation();
        for (turn, operation) in operations.iter().enumerate() {
            let (method, target) = (operation.method(), target(operation));
            for input in share(turn, operations.iter().len()) {
                for peer in &mut http {
                    let request = Request::builder()
                        .method(method)
                        .uri(on(peer, &target))
                        .header("host", NAME)
                        .body(Full::new(input.bytes.clone()))
                        .unwrap();
                    let outcome = peer.send(request).await;
                    outcome.assert_no_failure(&(operation, &input.name));
                    assert!(
                        matches!(outcome, Outcome::Answer { .. }),
                        "{operation:?} {input:?}"
                    );
                }
                let outcome = grpc
                    .send(invocation(method, &target, Some(&input.bytes)))
                    .await;
                let Outcome::Answer { body, .. } = &outcome else {
                    panic!("{operation:?} {input:?}");
                };
                assert!(!body.is_empty(), "{operation:?} {input:?}");
            }
        }
    });
}

fn on(peer: &Peer<'_>, target: &str) -> String {
    match peer.protocol() {
        Protocol::Http1 => target.to_owned(),
        _ => format!("https://{NAME}{target}"),
    }
}

/// The same behind a JSON that begins well, so that the fault is deep in it.
#[test]
fn contents_that_begin_well_are_answered() {
    run(async |serving| {
        let mut peer = Peer::new(serving, Protocol::Http2);
        let starts = [
            ("PUT", "send/1", r#"{"pdus":["#, "]}"),
            ("PUT", "send/1", r#"{"edus":["#, r#"],"pdus":[]}"#),
            ("POST", "user/keys/query", r#"{"device_keys":"#, "}"),
            (
                "POST",
                "get_missing_events/x",
                r#"{"earliest_events":["#,
                r#"],"latest_events":[]}"#,
            ),
        ];
        for (turn, (method, path, before, after)) in starts.into_iter().enumerate() {
            for input in share(turn, 4) {
                let body = [before.as_bytes(), &input.bytes, after.as_bytes()].concat();
                let request = Request::builder()
                    .method(method)
                    .uri(format!("https://{NAME}/_matrix/federation/v1/{path}"))
                    .body(Full::new(Bytes::from(body)))
                    .unwrap();
                let outcome = peer.send(request).await;
                outcome.assert_no_failure(&(path, &input.name));
                assert!(
                    matches!(outcome, Outcome::Answer { .. }),
                    "{path} {input:?}"
                );
            }
        }
    });
}
