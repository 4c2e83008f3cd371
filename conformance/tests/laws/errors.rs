//! Every error comes back equal over every binding: status, errcode, body and wait.

use std::time::Duration;

use bytes::Bytes;
use comity_conformance::{AnySample, Failure, samples};
use comity_core::{
    api::MakeJoin,
    call::{AnyRequest, Call, CallContext},
    error::{CallError, FederationError},
};
use proptest::{
    option,
    prelude::any,
    prop_assert, prop_assert_eq,
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

use crate::{
    credentials::{DESTINATION, name},
    recorder::Answer,
    run::{cases, runtime},
    wire::{Exchange, Wire, wires},
};

/// Every errcode of the table of errors, and two that it does not have.
const ERRCODES: [&str; 27] = [
    "M_BAD_JSON",
    "M_BAD_STATE",
    "M_FORBIDDEN",
    "M_INCOMPATIBLE_ROOM_VERSION",
    "M_INVALID_PARAM",
    "M_INVITE_BLOCKED",
    "M_LIMIT_EXCEEDED",
    "M_MISSING_PARAM",
    "M_MISSING_TOKEN",
    "M_NOT_FOUND",
    "M_NOT_JSON",
    "M_NOT_YET_UPLOADED",
    "M_RESOURCE_LIMIT_EXCEEDED",
    "M_SERVER_NOT_TRUSTED",
    "M_TOO_LARGE",
    "M_UNABLE_TO_AUTHORISE_JOIN",
    "M_UNABLE_TO_GRANT_JOIN",
    "M_UNAUTHORIZED",
    "M_UNKNOWN",
    "M_UNKNOWN_TOKEN",
    "M_UNRECOGNIZED",
    "M_UNSUPPORTED_ROOM_VERSION",
    "M_USER_LOCKED",
    "M_USER_SUSPENDED",
    "M_DUPLICATE_ANNOTATION",
    "ORG.EXAMPLE.MSC1234_ODD",
    "é \"odd\"",
];

const STATUSES: [u16; 16] = [
    400, 401, 403, 404, 405, 408, 409, 410, 413, 414, 429, 500, 502, 503, 504, 520,
];

/// Bodies of answers that are no Matrix error, or a strange one. Servers in use and proxies send most of them.
const BODIES: [&[u8]; 20] = [
    b"",
    b"\"\"",
    b"{}",
    b"[]",
    b"null",
    b"<html><body><h1>502 Bad Gateway</h1></body></html>",
    b"Not Found",
    b"{\"error\":\"no errcode\"}",
    b"{\"message\":\"gomatrixserverlib\"}",
    b"{\"errcode\":5,\"error\":[]}",
    b"{\"errcode\":\"\"}",
    b"{\"errcode\":\"M_FORBIDDEN\"",
    b"{\"errcode\":\"M_FORBIDDEN\",\"errcode\":\"M_NOT_FOUND\"}",
    b"{ \"error\" : \"spaces\\u0041\", \"errcode\" : \"M_NOT_FOUND\" }\n",
    b"{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":1500}",
    b"{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":\"soon\"}",
    b"{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":1e300}",
    b"{\"errcode\":\"M_UNKNOWN_TOKEN\",\"soft_logout\":true,\"x\":{\"y\":[1.5,null]}}",
    b"\xff\xfe\x00",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

#[test]
fn every_row_of_the_table_comes_back_equal() {
    let wires = runtime().block_on(wires());
    let mut requests = Requests::new();
    for errcode in ERRCODES {
        for status in STATUSES {
            let error = FederationError::new(status, errcode, format!("{errcode} as {status}"));
            let error = match status % 3 {
                0 => error.with_retry_after(Duration::from_millis(1500)),
                1 => error.with_string("room_version", "org.example.\"odd\""),
                _ => error,
            };
            crosses(&wires, &*requests.next(), &error);
        }
    }
}

#[test]
fn odd_bodies_come_back_equal() {
    let wires = runtime().block_on(wires());
    let mut requests = Requests::new();
    let statuses = STATUSES
        .into_iter()
        .chain([300, 302, 304, 308, 418, 451, 599, 600, 999]);
    for status in statuses {
        for body in BODIES {
            let retry_after = (status % 2 == 0).then_some("7");
            let error = FederationError::from_http(status, retry_after, Bytes::from_static(body));
            crosses(&wires, &*requests.next(), &error);
        }
    }
}

/// Dendrite answers 202 without a body while the same transaction is in flight.
#[test]
fn an_empty_202_is_an_error() {
    let wires = runtime().block_on(wires());
    let mut requests = Requests::new();
    let request = std::iter::repeat_with(|| requests.next())
        .find(|request| request.operation().spec().name == "SendTransaction")
        .unwrap();
    let error = FederationError::from_http(202, Some("3"), Bytes::new());
    crosses(&wires, &*request, &error);
}

#[test]
fn unknown_codes_come_back_equal() {
    let wires = runtime().block_on(wires());
    for sample in samples() {
        let law = format!(
            "unknown errors are equal everywhere: {:?}",
            sample.operation()
        );
        let wait = option::of(0u64..100_000_000);
        let strategy = (
            sample.requests(),
            300u16..600,
            any::<String>(),
            any::<String>(),
            wait,
        );
        cases(
            &law,
            24,
            &strategy,
            |(request, status, errcode, message, wait)| {
                let wires = &wires;
                async move {
                    let mut error = FederationError::new(status, errcode, message);
                    if let Some(wait) = wait {
                        error = error.with_retry_after(Duration::from_millis(wait));
                    }
                    for wire in wires {
                        compare(wire, &*request, &error).await?;
                    }
                    Ok(())
                }
            },
        );
    }
}

/// A body that is too large for a binding's error details is left out; what it said of errcode and wait is not.
#[test]
fn a_large_body_loses_no_code() {
    let wires = runtime().block_on(wires());
    let mut requests = Requests::new();
    for size in [1_000, 2_000, 10_000, 60_000] {
        let filler = format!("\"{}\"", "x".repeat(size));
        let error = FederationError::new(400, "M_INCOMPATIBLE_ROOM_VERSION", "too new")
            .with_string("room_version", "12")
            .with_member_text("org.example.filler", &filler)
            .with_retry_after(Duration::from_millis(2500));
        for wire in &wires {
            let request = requests.next();
            let exchange = runtime().block_on(exchange(wire, &*request, &error));
            if size > 2_000 && wire.bounds_error_bodies {
                let Err(Failure::Answer {
                    http_status,
                    errcode,
                    retry_after,
                    ..
                }) = exchange.outcome
                else {
                    panic!("{size} over {}: {:?}", wire.name, exchange.outcome);
                };
                assert_eq!(
                    (http_status, errcode.as_deref()),
                    (400, error.errcode()),
                    "over {}",
                    wire.name
                );
                assert_eq!(retry_after, error.retry_after(), "over {}", wire.name);
            } else {
                let expected = Failure::from(&error.clone().into());
                assert_eq!(exchange.outcome, Err(expected), "{size} over {}", wire.name);
            }
        }
    }
}

fn crosses(wires: &[Wire], request: &dyn AnyRequest, error: &FederationError) {
    runtime().block_on(async {
        for wire in wires {
            let name = request.operation().spec().name;
            if let Err(why) = compare(wire, request, error).await {
                panic!("{error:?} of {name} over {}: {why}", wire.name);
            }
        }
    });
}

async fn compare(
    wire: &Wire,
    request: &dyn AnyRequest,
    error: &FederationError,
) -> proptest::test_runner::TestCaseResult {
    let exchange = exchange(wire, request, error).await;
    prop_assert!(
        exchange.seen.is_some(),
        "over {}: {:?}",
        wire.name,
        exchange.outcome
    );
    let expected = Failure::from(&error.clone().into());
    prop_assert_eq!(exchange.outcome, Err(expected), "over {}", wire.name);
    Ok(())
}

async fn exchange(wire: &Wire, request: &dyn AnyRequest, error: &FederationError) -> Exchange {
    let form = request.write().unwrap();
    let context = CallContext::to(name(DESTINATION));
    let call = Call::received(request.clone_box(), form, context);
    wire.exchange(call, Answer::Error(error.clone())).await
}

/// Requests of one operation after the other.
struct Requests {
    samples: Vec<AnySample>,
    runner: TestRunner,
    at: usize,
}

impl Requests {
    fn new() -> Self {
        Self {
            samples: samples(),
            runner: TestRunner::deterministic(),
            at: 0,
        }
    }

    fn next(&mut self) -> Box<dyn AnyRequest> {
        let sample = self.samples[self.at % self.samples.len()];
        self.at += 1;
        let tree = sample.requests().new_tree(&mut self.runner).unwrap();
        tree.current()
    }
}

/// A caller that speaks several room versions learns which one the room has, over each binding.
#[test]
fn an_incompatible_room_version_says_which() {
    for wire in runtime().block_on(wires()) {
        for version in ["12", "I.1", "org.example.\u{e9}"] {
            let answer = FederationError::incompatible_room_version(version);
            let client = wire.client(Answer::Error(answer));
            let request = MakeJoin {
                room_id: "!r".to_owned(),
                user_id: "@u:origin.example".to_owned(),
                ..MakeJoin::default()
            };
            let call = Call::new(name(DESTINATION), request);
            let Err(CallError::Federation(error)) = runtime().block_on(client.send(call)) else {
                panic!("no answer over {}", wire.name)
            };
            let said = error.room_version();
            assert_eq!(said.as_deref(), Some(version), "over {}", wire.name);
        }
    }
}
