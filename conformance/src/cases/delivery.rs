//! A call reaches the handler once, whatever it is answered, and its reply is its own.

use std::{sync::Arc, time::Duration};

use comity_core::{
    call::{Idempotency, Part, ReplyShape},
    endpoint::Content,
    error::{FederationError, TransportErrorKind},
    json::{Object, Value},
};
use futures_util::future::join_all;
use tokio::sync::Barrier;

use super::{
    Checked, OfBinding, OfOperation, Stop, any_call, any_parts, any_reply, arrays, call_of,
    crossing::came_back, ensure, is_message, of_binding, pick, shown, with_content, with_member,
};
use crate::{
    AnySample, Bench, Failure, ReplySample,
    bench::{Answer, runtime},
    json::parse,
};

/// How long a second delivery is waited for, of each operation.
const REPETITION: Duration = Duration::from_millis(30);

/// The same of one operation: over the first wait of an ordinary backoff.
const BACKOFF: Duration = Duration::from_millis(1_500);

/// A list that nobody knows.
pub(super) const LIST: &str = "org.example.list";

/// Calls at once.
const AT_ONCE: usize = 8;

pub(super) fn of(sample: &AnySample) -> Vec<OfOperation> {
    let mut cases = vec![OfOperation::new("delivered once", once)];
    if let Idempotency::Keyed { .. } = sample.operation().spec().idempotency {
        cases.push(OfOperation::new("the same key twice", |bench, sample| {
            runtime().block_on(same_key(bench, sample, false))
        }));
        if matches!(any_parts(sample), Ok(parts) if matches!(parts.content, Content::Json(_))) {
            cases.push(OfOperation::new(
                "the same key with another body",
                |bench, sample| runtime().block_on(same_key(bench, sample, true)),
            ));
        }
    }
    cases
}

pub(super) const OF_BINDING: &[OfBinding] = &[
    of_binding("replies at once are not crossed", |bench, samples| {
        let sample = at_once(samples, "replies with a message", is_message)?;
        not_crossed(bench, sample)
    }),
    of_binding("streams at once are not crossed", |bench, samples| {
        let streams = |sample: &AnySample| !arrays(sample).is_empty();
        not_crossed(bench, at_once(samples, "streams events", streams)?)
    }),
    of_binding("not repeated after a while", not_repeated),
];

/// A transport does not call again by itself, whatever the answer says, not even where there was no good one.
fn once(bench: &Bench, sample: &AnySample) -> Checked {
    let spec = sample.operation().spec();
    let mut answers: Vec<Answer> = [408, 429, 500, 502, 503, 504]
        .map(|status| Answer::Error(FederationError::new(status, "M_UNKNOWN", "again?")))
        .into();
    let busy = FederationError::from_http(503, Some("0"), Default::default());
    answers.push(Answer::Error(busy));
    if !is_message(sample) {
        answers.push(Answer::Broken(any_reply(sample)));
    } else if bench.declared().reads && spec.idempotency != Idempotency::Safe {
        // More than the caller takes: so it has no answer, and does not know what was done.
        let elements = spec.limits.elements + 1;
        answers.push(Answer::Reply(ReplySample::Message(zeros(elements))));
    }
    runtime().block_on(async {
        for answer in answers {
            let exchange = bench.exchange(any_call(sample)?, answer).await?;
            ensure!(
                exchange.seen.is_some(),
                "the call did not arrive: {}",
                shown(&exchange.outcome)
            );
        }
        tokio::time::sleep(REPETITION).await;
        let more = bench.recorder().count();
        ensure!(more == 0, "the call came again {more} times");
        Ok(())
    })
}

/// A repetition that is put off, in the background or while the caller waits, is one as well.
fn not_repeated(bench: &Bench, samples: &[AnySample]) -> Checked {
    let sample = pick(samples, "consumes", |sample| {
        sample.operation().spec().idempotency == Idempotency::None
    })?;
    runtime().block_on(async {
        for status in [429, 503] {
            let error = FederationError::new(status, "M_UNKNOWN", "again?");
            let exchange = bench.exchange(any_call(sample)?, Answer::Error(error));
            ensure!(exchange.await?.seen.is_some(), "the call did not arrive");
            tokio::time::sleep(BACKOFF).await;
            let more = bench.recorder().count();
            ensure!(more == 0, "the call came again {more} times");
        }
        Ok(())
    })
}

/// An object with so many elements in a list.
pub(super) fn zeros(elements: usize) -> Object {
    let list = parse(&format!("[{}0]", "0,".repeat(elements.saturating_sub(1))));
    with_member(&Object::empty(), LIST, Some(list))
}

/// What a key means is the handler's business: a transport that remembers it would answer for another server, or with an old reply.
async fn same_key(bench: &Bench, sample: &AnySample, another_body: bool) -> Checked {
    let parts = any_parts(sample)?;
    for (round, reply) in crate::bench::drawn("the same key", &sample.replies(), 2)
        .into_iter()
        .enumerate()
    {
        let mut parts = parts.clone();
        if another_body && let Content::Json(content) = &parts.content {
            let round = Value::integer(i64::try_from(round).unwrap_or_default());
            let content = with_member(content, "org.example.round", Some(round));
            parts = with_content(&parts, content);
        }
        let call = call_of(sample, parts.clone())?;
        let exchange = bench.exchange(call, Answer::Reply(reply.clone())).await?;
        let Some(seen) = &exchange.seen else {
            let outcome = shown(&exchange.outcome);
            return Err(format!("call {round} did not arrive: {outcome}").into());
        };
        ensure!(
            seen.parts == parts,
            "call {round} arrived as {}",
            shown(&seen.parts)
        );
        came_back(&exchange, &reply)?;
    }
    Ok(())
}

fn at_once<'s>(
    samples: &'s [AnySample],
    what: &str,
    suits: impl Fn(&AnySample) -> bool,
) -> Result<&'s AnySample, Stop> {
    let what = format!("{what} and may be called at once");
    pick(samples, &what, |sample| {
        sample.operation().spec().idempotency == Idempotency::Safe && suits(sample)
    })
}

/// Calls that are all under way at once; the first is answered last.
fn not_crossed(bench: &Bench, sample: &AnySample) -> Checked {
    let shape = sample.operation().spec().reply;
    runtime().block_on(async {
        let all = Arc::new(Barrier::new(AT_ONCE));
        let client = bench.client(Answer::by(move |seen| {
            let all = all.clone();
            async move {
                let mut query = seen.parts.query;
                let number = query.take("org.example.number").unwrap_or_default();
                // A binding may hold some back, so it is not waited for ever that all are there.
                let _ = tokio::time::timeout(Duration::from_millis(500), all.wait()).await;
                let place: u64 = number.parse().unwrap_or_default();
                tokio::time::sleep(Duration::from_millis(40 - 5 * place.min(8))).await;
                Ok(numbered(shape, &number).to_reply(None))
            }
        }));
        let mut calls = Vec::new();
        for number in 0..AT_ONCE {
            let mut parts = any_parts(sample)?;
            parts.query.push("org.example.number", number.to_string());
            let call = call_of(sample, parts)?;
            calls.push(async move { (number, client.send(call).await) });
        }
        let patience = bench.declared().patience;
        let replies = tokio::time::timeout(patience, join_all(calls))
            .await
            .map_err(|_| format!("there were not {AT_ONCE} replies within {patience:?}"))?;
        for (number, reply) in replies {
            let reply = reply.map_err(|error| format!("call {number}: {error}"))?;
            let (reply, broken) = ReplySample::read(reply).await;
            ensure!(
                broken.is_none() && reply == numbered(shape, &number.to_string()),
                "call {number} got {}",
                shown(&reply)
            );
        }
        Ok(())
    })
}

/// A reply that says which it is; a stream in its elements, as many as come in several pieces.
fn numbered(shape: ReplyShape, number: &str) -> ReplySample {
    const ITEMS: u64 = 64;
    if let ReplyShape::Events {
        arrays: &[array, ..],
    } = shape
    {
        let item = |index| Part::Item {
            array,
            index,
            value: Value::string(&format!("${number}.{index:01000}")),
        };
        let items = (0..ITEMS).map(item);
        return ReplySample::Events(std::iter::once(Part::Array(array)).chain(items).collect());
    }
    let number = Value::string(number);
    ReplySample::Message(with_member(
        &Object::empty(),
        "org.example.number",
        Some(number),
    ))
}

/// Whether it is the caller's own limit that a call failed by.
pub(super) fn is_over_limit(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Transport {
            kind: TransportErrorKind::LimitExceeded,
            ..
        }
    )
}
