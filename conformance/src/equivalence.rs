//! Whether two bindings are the same to whoever calls and whoever is called.

use comity_core::{
    call::{AnyRequest, Authentication, Call, CallContext, Credentials},
    error::FederationError,
};

use crate::{
    AnySample, Bench, Failure, Outcome,
    bench::{
        Answer, Exchange, Seen, cases,
        credentials::{DESTINATION, name},
        drawn, runtime,
    },
    cases::{Checked, FAULTS, Stop, call_by_value, documented, listed},
};

type Check = fn(&Bench, &Bench, &AnySample) -> Checked;

/// Random calls of each operation.
const DRAWN: u32 = 12;

pub(crate) fn of(sample: &AnySample) -> Vec<(&'static str, Check)> {
    let mut checks: Vec<(_, Check)> = vec![
        ("the same calls and replies", same_calls),
        ("the same errors", same_errors),
    ];
    if sample.operation().spec().authentication == Authentication::Server {
        checks.push(("the same refusals", same_refusals));
    }
    checks
}

fn same_calls(one: &Bench, other: &Bench, sample: &AnySample) -> Checked {
    let law = format!("the same everywhere: {:?}", sample.operation());
    let shrinking = one.declared().shrinking.min(other.declared().shrinking);
    let strategy = (sample.requests(), sample.replies());
    Ok(cases(
        &law,
        DRAWN,
        shrinking,
        &strategy,
        |(request, reply)| async move {
            let answer = Answer::Reply(reply);
            Ok(same(one, other, &*request, answer).await?)
        },
    )?)
}

fn same_errors(one: &Bench, other: &Bench, sample: &AnySample) -> Checked {
    let request = drawn("the same errors", &sample.requests(), 1).remove(0);
    let named = documented(sample)
        .map(|error| FederationError::new(error.http_status, error.errcode, error.when));
    let listed = listed()?;
    let listed = listed
        .into_iter()
        .map(|(errcode, status)| FederationError::new(status, errcode, "any"));
    for error in named.chain(listed) {
        let answer = Answer::Error(error);
        runtime().block_on(same(one, other, &*request, answer))?;
    }
    Ok(())
}

async fn same(one: &Bench, other: &Bench, request: &dyn AnyRequest, answer: Answer) -> Checked {
    let at_one = one
        .exchange(call_by_value(request)?.0, answer.clone())
        .await?;
    let at_other = other.exchange(call_by_value(request)?.0, answer).await?;
    equal([one, other], at_one, at_other)
}

/// Nobody is told more by one binding than by another.
fn same_refusals(one: &Bench, other: &Bench, sample: &AnySample) -> Checked {
    let request = drawn("the same refusals", &sample.requests(), 1).remove(0);
    let reply = drawn("the same refusals", &sample.replies(), 1).remove(0);
    for fault in &FAULTS {
        let call = || {
            let (_, form) = call_by_value(&*request)?;
            let mut context = CallContext::to(name(DESTINATION));
            context.credentials = Credentials::new((fault.credentials)(&form));
            Ok::<_, Stop>(Call::received(request.clone_box(), form, context))
        };
        let answer = Answer::Reply(reply.clone());
        runtime().block_on(async {
            let at_one = one.exchange_as_is(call()?, answer.clone()).await?;
            let at_other = other.exchange_as_is(call()?, answer).await?;
            equal([one, other], at_one, at_other)
        })?;
    }
    Ok(())
}

fn equal([one, other]: [&Bench; 2], at_one: Exchange, at_other: Exchange) -> Checked {
    let names = (one.name(), other.name());
    if !same_seen(&at_one.seen, &at_other.seen) {
        let seen = (at_one.seen, at_other.seen);
        return Err(format!("the handlers of {names:?} saw {seen:?}").into());
    }
    let same_end = match (&at_one.broken, &at_other.broken) {
        (None, None) => true,
        (Some(one), Some(other)) => same_failure(one, other),
        _ => false,
    };
    if !same_end || !same_outcome(&at_one.outcome, &at_other.outcome) {
        let got = (at_one.outcome, at_other.outcome);
        return Err(format!("the callers of {names:?} got {got:?}").into());
    }
    Ok(())
}

/// Without a signature not every binding has a place for the destination.
fn same_seen(one: &Option<Seen>, other: &Option<Seen>) -> bool {
    let unnamed = |seen: &Option<Seen>| {
        let mut seen = seen.clone()?;
        if seen.origin.is_none() {
            seen.destination = None;
        }
        Some(seen)
    };
    unnamed(one) == unnamed(other)
}

fn same_outcome(one: &Outcome, other: &Outcome) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one == other,
        (Err(one), Err(other)) => same_failure(one, other),
        _ => false,
    }
}

/// What happened on the way each binding says in its own words.
fn same_failure(one: &Failure, other: &Failure) -> bool {
    match (one, other) {
        (
            Failure::Transport { kind, delivery, .. },
            Failure::Transport {
                kind: other_kind,
                delivery: other_delivery,
                ..
            },
        ) => (kind, delivery) == (other_kind, other_delivery),
        (one, other) => one == other,
    }
}
