//! The cases, one file per concern. Each is a function of a [`Bench`], and of an operation's sample if it is about one operation.
//!
//! What a case needs of the binding it asks [`Bench::capabilities`] and [`Bench::declared`] for, and stops as unsupported without.

mod authentication;
mod crossing;
mod delivery;
mod elements;
mod errors;
mod limits;
mod sizes;
mod streams;
mod targets;
mod time;
mod unregistered;

use std::fmt::Debug;

use comity_core::{
    call::{Idempotency, ReplyShape},
    endpoint::{Content, EndpointParts},
    json::Object,
};
use proptest::{strategy::Strategy, test_runner::TestCaseError};

pub(crate) use {
    authentication::FAULTS,
    crossing::call_by_value,
    errors::{documented, listed},
};

use crate::{
    AnySample, Bench,
    bench::{self, any_call, any_parts, any_reply, any_request, call_of, form_of},
    json::with_member,
};

/// Why a case does not pass.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The binding does something wrong.
    Failed(String),
    /// The binding, or the harness, does not offer what the case needs.
    Unsupported(String),
}

pub(crate) type Checked = Result<(), Stop>;

impl From<String> for Stop {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl From<&str> for Stop {
    fn from(why: &str) -> Self {
        Self::Failed(why.to_owned())
    }
}

impl From<Stop> for TestCaseError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failed(why) => Self::fail(why),
            Stop::Unsupported(why) => Self::reject(why),
        }
    }
}

/// Stops the case unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err(format!($($words)+).into());
        }
    };
}
use ensure;

type Check = Box<dyn Fn(&Bench, &AnySample) -> Checked + Send + Sync>;

/// A case about one operation: its name, and how it is tried.
pub(crate) struct OfOperation {
    pub(crate) name: String,
    pub(crate) check: Check,
}

impl OfOperation {
    fn new(
        name: impl Into<String>,
        check: impl Fn(&Bench, &AnySample) -> Checked + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            check: Box::new(check),
        }
    }
}

/// The cases about one operation.
pub(crate) fn of(sample: &AnySample) -> Vec<OfOperation> {
    let mut cases = crossing::of(sample);
    cases.extend(sizes::of(sample));
    cases.extend(targets::of(sample));
    cases.extend(elements::of(sample));
    cases.extend(errors::of(sample));
    cases.extend(authentication::of(sample));
    cases.extend(delivery::of(sample));
    cases.extend(streams::of(sample));
    cases
}

/// A case about a binding as a whole, tried with whichever of the samples suits it.
pub(crate) struct OfBinding {
    pub(crate) name: &'static str,
    pub(crate) check: fn(&Bench, &[AnySample]) -> Checked,
    pub(crate) server: Server,
}

/// The server that a case is tried with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// One that was there, and will be.
    Kept,
    /// One that does not outlive the case.
    Killed,
    /// One of its own that takes in what it does not know.
    Open,
}

const fn of_binding(name: &'static str, check: fn(&Bench, &[AnySample]) -> Checked) -> OfBinding {
    OfBinding {
        name,
        check,
        server: Server::Kept,
    }
}

/// The cases about a binding as a whole.
pub(crate) fn of_any() -> impl Iterator<Item = &'static OfBinding> {
    let groups = [
        errors::OF_BINDING,
        delivery::OF_BINDING,
        limits::OF_BINDING,
        streams::OF_BINDING,
        time::OF_BINDING,
        unregistered::OF_BINDING,
    ];
    groups.into_iter().flatten()
}

/// Runs `test` on random values.
fn random<S: Strategy, R: Future<Output = Checked>>(
    bench: &Bench,
    law: &str,
    count: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> R,
) -> Checked {
    let shrinking = bench.declared().shrinking;
    let test = |value| {
        let tried = test(value);
        async move { Ok(tried.await?) }
    };
    Ok(bench::cases(law, count, shrinking, strategy, test)?)
}

/// The first sample that `suits`.
fn pick<'s>(
    samples: &'s [AnySample],
    what: &str,
    suits: impl Fn(&AnySample) -> bool,
) -> Result<&'s AnySample, Stop> {
    let found = samples.iter().find(|sample| suits(sample));
    found.ok_or_else(|| Stop::Unsupported(format!("no operation among the samples {what}")))
}

/// One whose handler is dropped with its caller, and that replies in this shape.
fn pick_safe<'s>(
    samples: &'s [AnySample],
    what: &str,
    suits: impl Fn(ReplyShape) -> bool,
) -> Result<&'s AnySample, Stop> {
    pick(samples, what, |sample| {
        let spec = sample.operation().spec();
        spec.idempotency == Idempotency::Safe && suits(spec.reply)
    })
}

/// Stops the case unless the binding is capable.
fn needs(capable: bool, what: &str) -> Checked {
    if capable {
        return Ok(());
    }
    Err(Stop::Unsupported(format!("the binding declares no {what}")))
}

/// Stops the case where no reading is done, so that no limit of it holds.
fn needs_reading(bench: &Bench) -> Checked {
    if bench.declared().reads {
        return Ok(());
    }
    let why = "calls are handed over as values: nothing is read";
    Err(Stop::Unsupported(why.to_owned()))
}

/// The same parts with another content.
fn with_content(parts: &EndpointParts, content: Object) -> EndpointParts {
    EndpointParts {
        content: Content::Json(content),
        ..parts.clone()
    }
}

/// A value in words, and no more of it than somebody reads.
fn shown(value: &impl Debug) -> String {
    const MOST: usize = 1_500;
    let mut text = format!("{value:?}");
    if text.len() > MOST {
        let end = (0..MOST).rev().find(|&at| text.is_char_boundary(at));
        text.truncate(end.unwrap_or(0));
        text.push_str(" ..");
    }
    text
}

/// The arrays of a streamed reply.
fn arrays(sample: &AnySample) -> &'static [&'static str] {
    match sample.operation().spec().reply {
        ReplyShape::Events { arrays } => arrays,
        _ => &[],
    }
}

fn is_message(sample: &AnySample) -> bool {
    sample.operation().spec().reply == ReplyShape::Message
}
