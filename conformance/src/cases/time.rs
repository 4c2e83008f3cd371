//! Deadlines and cancelling.
//!
//! The caller of a case about deadlines watches no clock by itself, as a real one does: so it is the binding that ends the call, or the server
//! that was told the deadline. Which of the two does not show from outside, as some transports watch the clock as well.

use std::{sync::Arc, time::Duration};

use comity_core::{
    Client,
    call::{EventStream, Idempotency, Part, Reply, ReplyShape},
    error::{CallError, ErrorKind, TransportErrorKind},
};
use futures_util::{StreamExt, stream};
use tokio::{sync::Notify, time::Instant};

use super::{
    Checked, OfBinding, any_call, any_reply, ensure, needs, of_binding, pick, pick_safe,
    streams::of_events,
};
use crate::{
    AnySample, Bench,
    bench::{Answer, runtime},
};

/// A deadline that passes.
const SHORT: Duration = Duration::from_millis(250);

/// A deadline that does not.
const LONG: Duration = Duration::from_secs(8);

pub(super) const OF_BINDING: &[OfBinding] = &[
    of_binding("the deadline reaches the handler", reaches_handler),
    of_binding("the binding ends a call at its deadline", ends_at_deadline),
    of_binding(
        "the binding ends a reply at its deadline",
        reply_ends_at_deadline,
    ),
    of_binding("the binding refuses a deadline that has passed", has_passed),
    of_binding("a dropped call reaches the handler", dropped_call),
    of_binding("a dropped reply reaches the handler", dropped_reply),
];

/// Tells when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// A handler that never answers: told when it has begun, and when it is dropped.
fn never(begun: &Arc<Notify>, dropped: &Arc<Notify>) -> Answer {
    let (begun, dropped) = (begun.clone(), dropped.clone());
    Answer::by(move |_| {
        let watch = Dropped(dropped.clone());
        begun.notify_one();
        async move {
            let _watch = watch;
            std::future::pending().await
        }
    })
}

async fn happens(bench: &Bench, event: &Notify, what: &str) -> Checked {
    let patience = bench.declared().patience;
    tokio::time::timeout(patience, event.notified())
        .await
        .map_err(|_| format!("{what} within {patience:?}").into())
}

fn needs_deadlines(bench: &Bench) -> Checked {
    let carried = bench.capabilities().deadline_propagation;
    needs(carried, "deadline on the wire")
}

/// The row's own clock must be no earlier than what the caller asks for, or the handler would have a deadline that did not travel.
fn reaches_handler(bench: &Bench, samples: &[AnySample]) -> Checked {
    needs_deadlines(bench)?;
    let sample = pick(samples, "may be dropped and has time", |sample| {
        let spec = sample.operation().spec();
        let time = spec.clocks.total.is_none_or(|total| total > 2 * LONG);
        spec.idempotency == Idempotency::Safe && time
    })?;
    runtime().block_on(async {
        let mut call = any_call(sample)?;
        let deadline = Instant::now() + LONG;
        call.context_mut().limit_deadline(deadline);
        let answer = Answer::Reply(any_reply(sample));
        let outcome = in_time(bench, bench.unclocked(answer).send(call)).await?;
        let Some(seen) = bench.recorder().seen().pop() else {
            return Err(format!("the call did not arrive: {outcome:?}").into());
        };
        let Some(there) = seen.deadline else {
            return Err("the handler knows of no deadline".into());
        };
        // What was lost on the way may be a few moments.
        ensure!(
            there <= deadline + Duration::from_secs(1),
            "the handler's deadline is {:?} later than the caller's",
            there - deadline
        );
        Ok(())
    })
}

/// What comes within the harness's patience.
async fn in_time<T>(bench: &Bench, what: impl Future<Output = T>) -> Result<T, String> {
    let patience = bench.declared().patience;
    let late = |_| format!("the call did not end within {patience:?}");
    tokio::time::timeout(patience, what).await.map_err(late)
}

fn is_timeout(error: &CallError) -> bool {
    match error {
        CallError::Transport(error) => error.kind() == TransportErrorKind::Timeout,
        CallError::Federation(error) => {
            error.kind() == ErrorKind::DeadlineExceeded || error.http_status() == 504
        }
    }
}

fn ends_at_deadline(bench: &Bench, samples: &[AnySample]) -> Checked {
    needs_deadlines(bench)?;
    let sample = pick_safe(samples, "may be dropped", |_| true)?;
    let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    runtime().block_on(async {
        let client = bench.unclocked(never(&begun, &dropped));
        let mut call = any_call(sample)?;
        call.context_mut().limit_deadline(Instant::now() + SHORT);
        let ended = in_time(bench, client.send(call)).await?;
        ensure!(
            ended.as_ref().is_err_and(is_timeout),
            "the caller got {ended:?}"
        );
        happens(bench, &dropped, "the handler was not dropped").await
    })
}

/// A stream that gives one part and then stalls; told when it is dropped.
fn stalling(sample: &AnySample, dropped: &Arc<Notify>) -> Answer {
    let shape = sample.operation().spec().reply;
    let dropped = dropped.clone();
    Answer::by(move |_| {
        let watch = Dropped(dropped.clone());
        let array = match shape {
            ReplyShape::Events {
                arrays: &[array, ..],
            } => array,
            _ => "",
        };
        let rest = stream::once(async move {
            let _watch = watch;
            std::future::pending().await
        });
        let parts = stream::iter([Ok(Part::Array(array))]).chain(rest).boxed();
        std::future::ready(Ok(Reply::Events(EventStream { parts })))
    })
}

/// Sends a call and reads the first part of its reply.
async fn first_part(
    bench: &Bench,
    sample: &AnySample,
    client: &Client,
    deadline: Duration,
) -> Result<EventStream, String> {
    let mut call = any_call(sample)?;
    call.context_mut().limit_deadline(Instant::now() + deadline);
    let reply = client.send(call).await.map_err(|error| error.to_string())?;
    let Reply::Events(mut events) = reply else {
        return Err(format!("the caller got {reply:?}"));
    };
    match tokio::time::timeout(bench.declared().patience, events.parts.next()).await {
        Ok(Some(Ok(_))) => Ok(events),
        other => Err(format!("of the reply came {other:?}")),
    }
}

fn reply_ends_at_deadline(bench: &Bench, samples: &[AnySample]) -> Checked {
    needs_deadlines(bench)?;
    needs(bench.capabilities().streaming, "streaming")?;
    let sample = of_events(samples)?;
    let dropped = Arc::new(Notify::new());
    runtime().block_on(async {
        let client = bench.unclocked(stalling(sample, &dropped));
        let mut events = first_part(bench, sample, client, SHORT * 4).await?;
        let end = in_time(bench, events.parts.next()).await?;
        ensure!(
            matches!(end, Some(Err(_))),
            "the reply ended by {end:?}, and not by an error"
        );
        Ok(())
    })
}

fn has_passed(bench: &Bench, samples: &[AnySample]) -> Checked {
    needs_deadlines(bench)?;
    let sample = pick_safe(samples, "may be dropped", |_| true)?;
    runtime().block_on(async {
        let mut call = any_call(sample)?;
        call.context_mut().limit_deadline(Instant::now());
        let client = bench.unclocked(Answer::Reply(any_reply(sample)));
        let ended = in_time(bench, client.send(call)).await?;
        ensure!(
            bench.recorder().count() == 0 && ended.as_ref().is_err_and(is_timeout),
            "the caller got {ended:?}"
        );
        Ok(())
    })
}

fn dropped_call(bench: &Bench, samples: &[AnySample]) -> Checked {
    needs(bench.capabilities().cancellation, "cancellation")?;
    let sample = pick_safe(samples, "may be dropped", |_| true)?;
    let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    runtime().block_on(async {
        let client = bench.client(never(&begun, &dropped));
        let call = client.send(any_call(sample)?);
        tokio::select! {
            ended = call => return Err(format!("the caller got {ended:?}").into()),
            arrived = happens(bench, &begun, "the call did not arrive") => arrived?,
        }
        happens(bench, &dropped, "the handler was not dropped").await
    })
}

fn dropped_reply(bench: &Bench, samples: &[AnySample]) -> Checked {
    needs(bench.capabilities().cancellation, "cancellation")?;
    needs(bench.capabilities().streaming, "streaming")?;
    let sample = of_events(samples)?;
    let dropped = Arc::new(Notify::new());
    runtime().block_on(async {
        let client = bench.client(stalling(sample, &dropped));
        let events = first_part(bench, sample, client, LONG).await?;
        drop(events);
        happens(bench, &dropped, "the handler's stream was not dropped").await
    })
}
