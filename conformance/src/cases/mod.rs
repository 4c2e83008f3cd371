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
mod strangers;
mod streams;
mod targets;
mod time;

use std::fmt::Debug;

use comity_core::{
    call::{AnyRequest, Call, CallContext, Idempotency, ReplyShape},
    endpoint::{Content, EndpointForm, EndpointParts},
    json::{Members, Object, Value},
};
use proptest::{strategy::Strategy, test_runner::TestCaseError};

pub(crate) use {
    authentication::FAULTS,
    crossing::call_by_value,
    errors::{documented, listed},
    strangers::operations,
};

use crate::{
    AnySample, Bench, ReplySample,
    bench::{
        self,
        credentials::{DESTINATION, name},
        drawn,
    },
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

/// A case about one operation: its name, which operations it is about, and how it is tried.
pub(crate) struct OfOperation {
    pub(crate) name: String,
    pub(crate) check: Box<dyn Fn(&Bench, &AnySample) -> Checked + Send + Sync>,
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
    /// The server does not outlive it.
    pub(crate) kills: bool,
}

const fn of_binding(
    name: &'static str,
    check: fn(&Bench, &[AnySample]) -> Checked,
) -> OfBinding {
    OfBinding {
        name,
        check,
        kills: false,
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

/// Some parts that a well-behaved caller sends, always the same.
fn any_parts(sample: &AnySample) -> Result<EndpointParts, String> {
    Ok(form_of(&*any_request(sample))?.parts().clone())
}

fn any_request(sample: &AnySample) -> Box<dyn AnyRequest> {
    drawn(sample.operation().spec().name, &sample.requests(), 1).remove(0)
}

/// Some reply.
fn any_reply(sample: &AnySample) -> ReplySample {
    drawn(sample.operation().spec().name, &sample.replies(), 1).remove(0)
}

fn form_of(request: &dyn AnyRequest) -> Result<EndpointForm, String> {
    let form = request.write();
    form.map_err(|error| format!("the sample gives {request:?}, which cannot be sent: {error}"))
}

/// A call with these parts, with the target as we encode it.
fn call_of(sample: &AnySample, parts: EndpointParts) -> Result<Call, String> {
    let operation = sample.operation();
    let request = operation
        .read(&parts)
        .map_err(|error| format!("{operation:?} cannot be read: {error}"))?;
    let form = EndpointForm::from_parts(operation.method(), operation.path(), parts)
        .map_err(|error| format!("{operation:?} cannot be sent: {error}"))?;
    let context = CallContext::to(name(DESTINATION));
    Ok(Call::received(request, form, context))
}

/// Some call that is as it should be.
fn any_call(sample: &AnySample) -> Result<Call, String> {
    call_of(sample, any_parts(sample)?)
}

/// The same parts with another content.
fn with_content(parts: &EndpointParts, content: Object) -> EndpointParts {
    EndpointParts {
        content: Content::Json(content),
        ..parts.clone()
    }
}

fn with_member(object: &Object, name: &str, value: Option<Value>) -> Object {
    let mut members = Members::from_object(object);
    members.remove(name);
    if let Some(value) = value {
        members.insert(name.to_owned(), value);
    }
    members.to_object()
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
