//! Deadlines and cancelling.

use std::{sync::Arc, time::Duration};

use comity_core::{
    call::{EventStream, Part, Reply, ReplyShape},
    error::{CallError, ErrorKind, TransportErrorKind},
};
use futures_util::{StreamExt, stream};
use tokio::{sync::Notify, time::Instant};

use super::{
    Checked, OfBinding, any_call, any_reply, ensure, needs, of_binding, pick_safe, shown,
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
    of_binding("a call ends at its deadline", ends_at_deadline),
    of_binding("a reply ends at its deadline", reply_ends_at_deadline),
    of_binding("a deadline that has passed", has_passed),
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

fn reaches_handler(bench: &Bench, samples: &[AnySample]) -> Checked {
    needs(
        bench.capabilities().deadline_propagation,
        "deadline on the wire",
    )?;
    let sample = pick_safe(samples, "may be dropped", |_| true)?;
    runtime().block_on(async {
        let mut call = any_call(sample)?;
        let deadline = Instant::now() + LONG;
        call.context_mut().limit_deadline(deadline);
        let answer = Answer::Reply(any_reply(sample));
        let exchange = bench.exchange(call, answer).await?;
        let Some(seen) = exchange.seen else {
            let outcome = shown(&exchange.outcome);
            return Err(format!("the call did not arrive: {outcome}").into());
        };
        let Some(there) = seen.deadline else {
            return Err("the handler knows of no deadline".into());
        };
        // What was lost on the way may be a few moments, and clocks of a row may be shorter.
        ensure!(
            there <= deadline + Duration::from_secs(1),
            "the handler's deadline is {:?} later than the caller's",
            there - deadline
        );
        Ok(())
    })
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
    let sample = pick_safe(samples, "may be dropped", |_| true)?;
    let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    runtime().block_on(async {
        let client = bench.client(never(&begun, &dropped));
        let mut call = any_call(sample)?;
        call.context_mut().limit_deadline(Instant::now() + SHORT);
        let patience = bench.declared().patience;
        let ended = tokio::time::timeout(patience, client.send(call))
            .await
            .map_err(|_| format!("the call did not end within {patience:?}"))?;
        ensure!(
            ended.as_ref().is_err_and(is_timeout),
            "the caller got {ended:?}"
        );
        if bench.capabilities().cancellation {
            happens(bench, &dropped, "the handler was not dropped").await?;
        }
        Ok(())
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
    answer: Answer,
    deadline: Duration,
) -> Result<EventStream, String> {
    let client = bench.client(answer);
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
    needs(bench.capabilities().streaming, "streaming")?;
    let sample = of_events(samples)?;
    let dropped = Arc::new(Notify::new());
    runtime().block_on(async {
        let answer = stalling(sample, &dropped);
        let mut events = first_part(bench, sample, answer, SHORT * 4).await?;
        let patience = bench.declared().patience;
        let end = tokio::time::timeout(patience, events.parts.next())
            .await
            .map_err(|_| format!("the reply did not end within {patience:?}"))?;
        ensure!(
            matches!(end, Some(Err(_))),
            "the reply ended by {end:?}, and not by an error"
        );
        Ok(())
    })
}

fn has_passed(bench: &Bench, samples: &[AnySample]) -> Checked {
    let sample = pick_safe(samples, "may be dropped", |_| true)?;
    runtime().block_on(async {
        let mut call = any_call(sample)?;
        call.context_mut().limit_deadline(Instant::now());
        let answer = Answer::Reply(any_reply(sample));
        let exchange = bench.exchange(call, answer).await?;
        ensure!(
            exchange.seen.is_none() && exchange.outcome.is_err(),
            "the caller got {}",
            shown(&exchange.outcome)
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
        let answer = stalling(sample, &dropped);
        let events = first_part(bench, sample, answer, LONG).await?;
        drop(events);
        happens(bench, &dropped, "the handler's stream was not dropped").await
    })
}
