//! Every error comes back equal: status, errcode, body and wait.

use std::time::Duration;

use bytes::Bytes;
use comity_core::{
    call::{AnyRequest, DocumentedError},
    error::{CallError, FederationError},
};
use proptest::{option, prelude::any};
use serde::Deserialize;

use super::{
    Checked, OfBinding, OfOperation, any_request, crossing::call_by_value, ensure, of_binding,
    pick, random, shown,
};
use crate::{
    AnySample, Bench, Failure,
    bench::{Answer, runtime},
};

/// The errcodes that servers use, and two that nobody does, each with its usual status.
const LISTED: &str = include_str!("../../cases/errors.json");

/// Bodies of answers that are no Matrix error, or a strange one. Servers in use and proxies send most of them. A character is one byte.
const BODIES: &str = include_str!("../../cases/error-bodies.json");

const STATUSES: [u16; 16] = [
    400, 401, 403, 404, 405, 408, 409, 410, 413, 414, 429, 500, 502, 503, 504, 520,
];

/// Statuses that no Matrix server answers, and something on the way may.
const ODD_STATUSES: [u16; 9] = [300, 302, 304, 308, 418, 451, 599, 600, 999];

/// Random errors of each operation.
const DRAWN: u32 = 8;

pub(super) fn of(sample: &AnySample) -> Vec<OfOperation> {
    let mut cases: Vec<_> = documented(sample)
        .map(|error| {
            let name = format!("error {} {}", error.http_status, error.errcode);
            OfOperation::new(name, move |bench, sample| {
                let error = of_row(error);
                runtime().block_on(comes_back(bench, &*any_request(sample), &error))
            })
        })
        .collect();
    cases.push(OfOperation::new("common errors", |bench, sample| {
        let request = any_request(sample);
        for (errcode, status) in listed()? {
            let error = FederationError::new(status, errcode, "any");
            runtime().block_on(comes_back(bench, &*request, &error))?;
        }
        Ok(())
    }));
    cases.push(OfOperation::new("random errors", random_errors));
    cases
}

pub(super) const OF_BINDING: &[OfBinding] = &[
    of_binding("every errcode with every status", every_status),
    of_binding("errors with odd bodies", odd_bodies),
    of_binding("an error with a large body", large_body),
    of_binding("an empty 202", empty_202),
    of_binding("Retry-After", retry_after),
    of_binding("an incompatible room version", incompatible_version),
];

/// The errors that the specification names for the operation.
pub(crate) fn documented(sample: &AnySample) -> impl Iterator<Item = &'static DocumentedError> {
    sample.operation().spec().errors.iter()
}

/// The errors that any operation may answer.
pub(crate) fn listed() -> Result<Vec<(String, u16)>, String> {
    #[derive(Deserialize)]
    struct Listed {
        status: u16,
        errcode: String,
    }
    let listed: Vec<Listed> =
        serde_json::from_str(LISTED).map_err(|error| format!("cases/errors.json: {error}"))?;
    Ok(listed
        .into_iter()
        .map(|one| (one.errcode, one.status))
        .collect())
}

/// A documented error as a server answers it, with a member of its own.
pub(super) fn of_row(error: &DocumentedError) -> FederationError {
    FederationError::new(error.http_status, error.errcode, error.when)
        .with_string("room_version", "org.example.\"odd\"")
}

/// What the caller gets is the error.
async fn comes_back(bench: &Bench, request: &dyn AnyRequest, error: &FederationError) -> Checked {
    let (call, _) = call_by_value(request)?;
    let exchange = bench.exchange(call, Answer::Error(error.clone())).await?;
    let expected = Failure::from(&error.clone().into());
    ensure!(
        exchange.seen.is_some(),
        "the call did not arrive: {}",
        shown(&exchange.outcome)
    );
    let right = match (&exchange.outcome, &expected) {
        // The body alone may be missing, where the binding says so.
        (
            Err(Failure::Answer {
                kind,
                http_status,
                errcode,
                retry_after,
                ..
            }),
            Failure::Answer {
                kind: expected_kind,
                http_status: expected_status,
                errcode: expected_errcode,
                retry_after: expected_wait,
                body,
            },
        ) if is_large(bench, body) => {
            (kind, http_status, errcode, retry_after)
                == (
                    expected_kind,
                    expected_status,
                    expected_errcode,
                    expected_wait,
                )
        }
        (outcome, expected) => outcome.as_ref().err() == Some(expected),
    };
    ensure!(
        right,
        "the caller got {} and not {expected:?}",
        shown(&exchange.outcome)
    );
    Ok(())
}

fn is_large(bench: &Bench, body: &Bytes) -> bool {
    let limit = bench.declared().error_body;
    limit.is_some_and(|limit| body.len() > limit)
}

fn random_errors(bench: &Bench, sample: &AnySample) -> Checked {
    let law = format!(
        "unknown errors are equal everywhere: {:?}",
        sample.operation()
    );
    let wait = option::of(0u64..100_000_000);
    let error = (300u16..600, any::<String>(), any::<String>(), wait);
    let strategy = (sample.requests(), error);
    random(
        bench,
        &law,
        DRAWN,
        &strategy,
        |(request, error)| async move {
            let (status, errcode, message, wait) = error;
            let mut error = FederationError::new(status, errcode, message);
            if let Some(wait) = wait {
                error = error.with_retry_after(Duration::from_millis(wait));
            }
            comes_back(bench, &*request, &error).await
        },
    )
}

/// Requests of one operation after the other.
fn requests(samples: &[AnySample]) -> impl Iterator<Item = Box<dyn AnyRequest>> {
    samples.iter().cycle().map(any_request)
}

fn every_status(bench: &Bench, samples: &[AnySample]) -> Checked {
    let mut requests = requests(samples);
    for (errcode, _) in listed()? {
        for status in STATUSES {
            let error = FederationError::new(status, &errcode, format!("{errcode} as {status}"));
            let error = match status % 3 {
                0 => error.with_retry_after(Duration::from_millis(1500)),
                1 => error.with_string("room_version", "org.example.\"odd\""),
                _ => error,
            };
            let request = requests.next().ok_or("there is no sample")?;
            runtime().block_on(comes_back(bench, &*request, &error))?;
        }
    }
    Ok(())
}

fn odd_bodies(bench: &Bench, samples: &[AnySample]) -> Checked {
    let bodies: Vec<String> = serde_json::from_str(BODIES)
        .map_err(|error| format!("cases/error-bodies.json: {error}"))?;
    let mut requests = requests(samples);
    for status in STATUSES.into_iter().chain(ODD_STATUSES) {
        for body in &bodies {
            let body: Vec<u8> = body.chars().map(|character| character as u8).collect();
            let retry_after = (status % 2 == 0).then_some("7");
            let error = FederationError::from_http(status, retry_after, Bytes::from(body));
            let request = requests.next().ok_or("there is no sample")?;
            runtime().block_on(comes_back(bench, &*request, &error))?;
        }
    }
    Ok(())
}

/// A body that is too large for a binding may be left out; what it said of errcode and wait is not.
fn large_body(bench: &Bench, samples: &[AnySample]) -> Checked {
    let mut requests = requests(samples);
    for size in [1_000, 2_000, 10_000, 60_000] {
        let filler = format!("\"{}\"", "x".repeat(size));
        let error = FederationError::new(400, "M_INCOMPATIBLE_ROOM_VERSION", "too new")
            .with_string("room_version", "12")
            .with_member_text("org.example.filler", &filler)
            .with_retry_after(Duration::from_millis(2500));
        let request = requests.next().ok_or("there is no sample")?;
        runtime().block_on(comes_back(bench, &*request, &error))?;
    }
    Ok(())
}

/// Dendrite answers 202 without a body while the same transaction is in flight.
fn empty_202(bench: &Bench, samples: &[AnySample]) -> Checked {
    let sample = pick(samples, "replies with a message", super::is_message)?;
    let error = FederationError::from_http(202, Some("3"), Bytes::new());
    runtime().block_on(comes_back(bench, &*any_request(sample), &error))
}

/// In the header, in the body, and in both.
fn retry_after(bench: &Bench, samples: &[AnySample]) -> Checked {
    let body = br#"{"errcode":"M_LIMIT_EXCEEDED","error":"slower","retry_after_ms":2500}"#;
    let bare = br#"{"errcode":"M_LIMIT_EXCEEDED","error":"slower"}"#;
    let mut requests = requests(samples);
    for error in [
        FederationError::from_http(429, Some("7"), Bytes::from_static(bare)),
        FederationError::from_http(429, None, Bytes::from_static(body)),
        FederationError::from_http(429, Some("3"), Bytes::from_static(body)),
        FederationError::from_http(503, Some("120"), Bytes::new()),
        FederationError::limit_exceeded("slower", Some(Duration::from_millis(1))),
        FederationError::limit_exceeded("slower", Some(Duration::ZERO)),
    ] {
        let request = requests.next().ok_or("there is no sample")?;
        runtime().block_on(comes_back(bench, &*request, &error))?;
    }
    Ok(())
}

/// A caller that speaks several room versions learns which one the room has.
fn incompatible_version(bench: &Bench, samples: &[AnySample]) -> Checked {
    let mut requests = requests(samples);
    for version in ["12", "I.1", "org.example.\u{e9}"] {
        let answer = FederationError::incompatible_room_version(version);
        let request = requests.next().ok_or("there is no sample")?;
        let client = bench.client(Answer::Error(answer));
        let (call, _) = call_by_value(&*request)?;
        let got = runtime().block_on(client.send(call));
        let said = match &got {
            Err(CallError::Federation(error)) => error.room_version(),
            _ => None,
        };
        ensure!(
            said.as_deref() == Some(version),
            "of {version} the caller learns {said:?} by {got:?}"
        );
    }
    Ok(())
}
