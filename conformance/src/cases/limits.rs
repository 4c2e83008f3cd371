//! Limits: one under and at each of them all is well; one over it the error names it, and the next call is served.
//!
//! The bytes of a target, for which there is one limit. Of the row's limits: the bytes of a request, the elements of its lists, the bytes and elements of a reply that is one message. An
//! element of a stream over its limit is each stream's own case. The 1 GiB of a whole stream are not sent.

use comity_core::{
    call::{Call, Idempotency},
    endpoint::{Content, EndpointForm, EndpointParts, target::TARGET_LIMIT},
    json::Object,
};

use super::{
    Checked, OfBinding, Stop, any_call, any_parts, any_reply, any_request,
    crossing::{came_back, parts_cross},
    delivery::{LIST, is_over_limit, zeros},
    ensure, form_of, is_message, needs_reading, of_binding, pick, shown,
    sizes::{MOST, filled, with_target},
    with_content, with_member,
};
use crate::{
    AnySample, Bench, Failure, ReplySample,
    bench::{Answer, Exchange, runtime},
};

pub(super) const OF_BINDING: &[OfBinding] = &[
    of_binding("limit: bytes of a target", bytes_of_target),
    of_binding("limit: bytes of a request", bytes_of_request),
    of_binding("limit: elements of a request", elements_of_request),
    of_binding("limit: bytes of a reply", bytes_of_reply),
    of_binding("limit: elements of a reply", elements_of_reply),
];

/// Whether the operation takes any content up to a limit that a test can send, and at least as much as the longest list needs.
fn takes_content(sample: &AnySample) -> bool {
    let operation = sample.operation();
    let limits = operation.spec().limits;
    let Ok(parts) = any_parts(sample) else {
        return false;
    };
    let Content::Json(content) = &parts.content else {
        return false;
    };
    let enough = limits.request > 2 * limits.elements + 1024 && limits.request <= MOST;
    let full = || filled(content, limits.request);
    let reads = |content| operation.read(&with_content(&parts, content)).is_ok();
    enough && full().is_some_and(reads)
}

fn content_of(sample: &AnySample) -> Result<Object, Stop> {
    let parts = any_parts(sample)?;
    let object = parts.object().map_err(|error| error.to_string())?;
    Ok(object.into_owned())
}

/// A call of this content is refused, in words that name all of `names`, and the next is served.
async fn is_refused(
    bench: &Bench,
    sample: &AnySample,
    content: Object,
    answer: (u16, &str),
    names: &[&str],
) -> Checked {
    let form = form_of(&*any_request(sample))?;
    let (target, parts) = (form.target().to_owned(), form.parts());
    let parts = with_content(parts, content);
    is_refused_as(bench, sample, target, parts, answer, names).await
}

/// The same of a call with this target and these parts.
async fn is_refused_as(
    bench: &Bench,
    sample: &AnySample,
    target: String,
    parts: EndpointParts,
    answer: (u16, &str),
    names: &[&str],
) -> Checked {
    let good = any_call(sample)?;
    let method = sample.operation().method().into();
    let form = EndpointForm::received(method, target, parts);
    let request = good.request().clone_box();
    let call = Call::received(request, form, good.context().clone());
    let exchange = bench
        .exchange(call, Answer::Reply(any_reply(sample)))
        .await?;
    ensure!(exchange.seen.is_none(), "it reached the handler");
    let named = match &exchange.outcome {
        Err(Failure::Answer {
            http_status,
            errcode,
            body,
            ..
        }) => {
            let body = String::from_utf8_lossy(body);
            (*http_status, errcode.as_deref()) == (answer.0, Some(answer.1))
                && names.iter().all(|name| body.contains(name))
        }
        _ => false,
    };
    ensure!(
        named,
        "it is answered {}, and not {answer:?} with {names:?}",
        shown(&exchange.outcome)
    );
    let reply = any_reply(sample);
    let exchange = bench.exchange(good, Answer::Reply(reply.clone())).await?;
    came_back(&exchange, &reply)
}

/// 8 KiB, whatever the operation.
fn bytes_of_target(bench: &Bench, samples: &[AnySample]) -> Checked {
    needs_reading(bench)?;
    let sample = pick(samples, "is safe", |sample| {
        sample.operation().spec().idempotency == Idempotency::Safe
    })?;
    let reply = any_reply(sample);
    runtime().block_on(async {
        for bytes in [TARGET_LIMIT - 1, TARGET_LIMIT] {
            let (_, parts) = with_target(sample, bytes)?;
            parts_cross(bench, sample, parts, &reply).await?;
        }
        let number = TARGET_LIMIT.to_string();
        for bytes in [TARGET_LIMIT + 1, 2 * TARGET_LIMIT] {
            let (target, parts) = with_target(sample, bytes)?;
            let answer = (414, "M_INVALID_PARAM");
            is_refused_as(bench, sample, target, parts, answer, &[&number]).await?;
        }
        Ok(())
    })
}

fn bytes_of_request(bench: &Bench, samples: &[AnySample]) -> Checked {
    needs_reading(bench)?;
    let sample = pick(samples, "takes content of a few MiB", takes_content)?;
    let limit = sample.operation().spec().limits.request;
    let (content, parts) = (content_of(sample)?, any_parts(sample)?);
    let full = |bytes| filled(&content, bytes).ok_or("the sample's request is over its limit");
    let reply = any_reply(sample);
    runtime().block_on(async {
        for bytes in [limit - 1, limit] {
            let parts = with_content(&parts, full(bytes)?);
            parts_cross(bench, sample, parts, &reply).await?;
        }
        let number = limit.to_string();
        let names = ["limits.request", number.as_str()];
        for bytes in [limit + 1, 2 * limit] {
            let answer = (413, "M_TOO_LARGE");
            is_refused(bench, sample, full(bytes)?, answer, &names).await?;
        }
        Ok(())
    })
}

fn elements_of_request(bench: &Bench, samples: &[AnySample]) -> Checked {
    needs_reading(bench)?;
    let sample = pick(samples, "takes content of a few MiB", takes_content)?;
    let limit = sample.operation().spec().limits.elements;
    let (content, parts) = (content_of(sample)?, any_parts(sample)?);
    let full = |elements| {
        let list = zeros(elements).get(LIST);
        with_member(&content, LIST, list)
    };
    let reply = any_reply(sample);
    runtime().block_on(async {
        for elements in [limit - 1, limit] {
            let parts = with_content(&parts, full(elements));
            parts_cross(bench, sample, parts, &reply).await?;
        }
        let number = limit.to_string();
        let names = ["limits.elements", number.as_str()];
        let answer = (400, "M_BAD_JSON");
        is_refused(bench, sample, full(limit + 1), answer, &names).await
    })
}

/// One whose reply is a message of a limit that a test can send.
fn of_small_reply(samples: &[AnySample]) -> Result<&AnySample, Stop> {
    pick(
        samples,
        "replies with a message of at most 1 MiB",
        |sample| {
            let spec = sample.operation().spec();
            is_message(sample)
                && spec.idempotency == Idempotency::Safe
                && spec.limits.message <= 1 << 20
        },
    )
}

/// The caller is told which of its own limits it was. A gateway is a caller too, and answers for it.
fn names_limit(bench: &Bench, exchange: &Exchange, names: &[&str]) -> Checked {
    let named = match &exchange.outcome {
        Err(failure @ Failure::Transport { message, .. }) => {
            is_over_limit(failure) && names.iter().all(|name| message.contains(name))
        }
        Err(Failure::Answer { http_status, .. }) => bench.declared().relays && *http_status == 502,
        Ok(_) => false,
    };
    ensure!(
        named,
        "the caller got {}, which does not name {names:?}",
        shown(&exchange.outcome)
    );
    Ok(())
}

async fn reply_of(bench: &Bench, sample: &AnySample, content: Object) -> Result<Exchange, Stop> {
    let answer = Answer::Reply(ReplySample::Message(content));
    Ok(bench.exchange(any_call(sample)?, answer).await?)
}

fn bytes_of_reply(bench: &Bench, samples: &[AnySample]) -> Checked {
    needs_reading(bench)?;
    let sample = of_small_reply(samples)?;
    let limit = sample.operation().spec().limits.message;
    let full = |bytes| filled(&Object::empty(), bytes).ok_or("the limit is too small");
    runtime().block_on(async {
        for bytes in [limit - 1, limit] {
            let exchange = reply_of(bench, sample, full(bytes)?).await?;
            came_back(&exchange, &ReplySample::Message(full(bytes)?))?;
        }
        let exchange = reply_of(bench, sample, full(limit + 1)?).await?;
        names_limit(bench, &exchange, &["limits.message", &limit.to_string()])
    })
}

fn elements_of_reply(bench: &Bench, samples: &[AnySample]) -> Checked {
    needs_reading(bench)?;
    let sample = of_small_reply(samples)?;
    let limit = sample.operation().spec().limits.elements;
    runtime().block_on(async {
        for elements in [limit - 1, limit] {
            let exchange = reply_of(bench, sample, zeros(elements)).await?;
            came_back(&exchange, &ReplySample::Message(zeros(elements)))?;
        }
        let exchange = reply_of(bench, sample, zeros(limit + 1)).await?;
        names_limit(bench, &exchange, &["limits.elements", &limit.to_string()])
    })
}
