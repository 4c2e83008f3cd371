//! A call reaches the handler equal, and its reply comes back equal: the smallest ones, those with members that nobody knows, and random
//! ones, hostile ones among them.

use std::borrow::Cow;

use comity_core::{
    call::{AnyRequest, Authentication, Call, CallContext, Part, ReplyShape},
    endpoint::{Content, EndpointForm, EndpointParts},
    json::{Members, Object, Value},
};

use super::{
    Checked, OfOperation, any_parts, any_reply, any_request, call_of, ensure, form_of, random,
    shown, with_content, with_member,
};
use crate::{
    AnySample, Bench, Failure, Place, ReplySample,
    bench::{
        Answer, Exchange, Seen,
        credentials::{DESTINATION, ORIGIN, credential, key, name},
        runtime, simplest,
    },
    json::parse,
};

/// Members that no operation has, as `["name", "JSON text"]`: whatever a later version may add.
const UNKNOWN: &str = include_str!("../../cases/unknown-members.json");

/// Random cases of each kind.
const DRAWN: u32 = 12;

pub(super) fn of(sample: &AnySample) -> Vec<OfOperation> {
    let mut cases = vec![
        OfOperation::new("smallest request", |bench, sample| {
            let request = simplest(&sample.requests());
            runtime().block_on(crosses(bench, &*request, &any_reply(sample)))
        }),
        OfOperation::new("smallest reply", |bench, sample| {
            let reply = simplest(&sample.replies());
            runtime().block_on(crosses(bench, &*any_request(sample), &reply))
        }),
        OfOperation::new("unknown members of the request", unknown_in_request),
        OfOperation::new("random requests and replies", random_calls),
        OfOperation::new("random contents", random_contents),
    ];
    // A body has no members.
    if sample.operation().spec().reply != ReplyShape::Body {
        let name = "unknown members of the reply";
        cases.push(OfOperation::new(name, unknown_in_reply));
    }
    if !members_of_request(sample).is_empty() {
        cases.push(OfOperation::new(
            "absent, null and empty members of the request",
            odd_request_members,
        ));
    }
    if !members_of_reply(sample).is_empty() {
        cases.push(OfOperation::new(
            "absent, null and empty members of the reply",
            odd_reply_members,
        ));
    }
    cases
}

/// What the handler of a signed call has to see: the request as the caller wrote it, and the origin that signed it.
fn expected(bench: &Bench, form: &EndpointForm, request: &dyn AnyRequest) -> Seen {
    let signed = request.operation().spec().authentication == Authentication::Server;
    let header = || credential(form, ORIGIN, DESTINATION, &key()).to_header();
    // Without a signature some bindings have no place for it.
    let named = signed || bench.declared().names_destination;
    Seen {
        request: request.clone_box().into(),
        origin: signed.then(|| name(ORIGIN)),
        destination: named.then(|| name(DESTINATION)),
        credentials: signed.then(header).into_iter().collect(),
        method: form.method().to_owned(),
        target: form.target().to_owned(),
        parts: form.parts().clone(),
        deadline: None,
        connection: None,
    }
}

/// A call as a client makes it.
pub(crate) fn call_by_value(request: &dyn AnyRequest) -> Result<(Call, EndpointForm), String> {
    let form = form_of(request)?;
    let context = CallContext::to(name(DESTINATION));
    let call = Call::received(request.clone_box(), form.clone(), context);
    Ok((call, form))
}

/// The request and the reply cross, each unchanged.
async fn crosses(bench: &Bench, request: &dyn AnyRequest, reply: &ReplySample) -> Checked {
    let (call, form) = call_by_value(request)?;
    let exchange = bench.exchange(call, Answer::Reply(reply.clone())).await?;
    arrived(bench, &exchange, &expected(bench, &form, request))?;
    came_back(&exchange, reply)
}

/// The same with a request of these parts.
pub(super) async fn parts_cross(
    bench: &Bench,
    sample: &AnySample,
    parts: EndpointParts,
    reply: &ReplySample,
) -> Checked {
    let call = call_of(sample, parts)?;
    crosses_as_is(bench, call, reply).await
}

async fn crosses_as_is(bench: &Bench, call: Call, reply: &ReplySample) -> Checked {
    let form = call.form().ok_or("the call has no form")?.clone();
    let expected = expected(bench, &form, call.request());
    let exchange = bench.exchange(call, Answer::Reply(reply.clone())).await?;
    arrived(bench, &exchange, &expected)?;
    came_back(&exchange, reply)
}

/// The handler saw what it had to.
pub(super) fn arrived(bench: &Bench, exchange: &Exchange, expected: &Seen) -> Checked {
    let Some(seen) = &exchange.seen else {
        let outcome = shown(&exchange.outcome);
        return Err(format!("the call did not arrive: {outcome}").into());
    };
    // Nobody is bound to carry a destination without a signature; whoever does carries this one.
    let named = seen.destination == Some(name(DESTINATION)) && expected.destination.is_none();
    // A proof of the binding's own stands in the place of a signature, alone. A wire that has one and signs instead is another wire than was declared.
    let own = bench.declared().own_proof && expected.origin.is_some();
    ensure!(
        !own || matches!(&seen.credentials[..], [one] if !one.starts_with("X-Matrix")),
        "the call came without the binding's own proof: {:?}",
        seen.credentials
    );
    let same = if named || own {
        let mut expected = expected.clone();
        if named {
            expected.destination = seen.destination.clone();
        }
        if own {
            expected.credentials = seen.credentials.clone();
        }
        *seen == expected
    } else {
        seen == expected
    };
    ensure!(
        same,
        "the handler saw {} and not {}",
        shown(seen),
        shown(expected)
    );
    Ok(())
}

/// The caller got the whole reply.
pub(super) fn came_back(exchange: &Exchange, reply: &ReplySample) -> Checked {
    ensure!(
        exchange.outcome.as_ref() == Ok(reply),
        "the caller got {} and not {}",
        shown(&exchange.outcome),
        shown(reply)
    );
    ensure!(
        exchange.broken.is_none(),
        "the reply broke off: {:?}",
        exchange.broken
    );
    Ok(())
}

fn unknown() -> Result<Members, String> {
    let listed: Vec<(String, String)> = serde_json::from_str(UNKNOWN)
        .map_err(|error| format!("cases/unknown-members.json: {error}"))?;
    let members = listed.into_iter().map(|(name, text)| (name, parse(&text)));
    Ok(members.collect())
}

fn and_unknown(object: &Object) -> Result<Object, String> {
    let mut members = unknown()?;
    for (name, value) in object.members() {
        members.insert(name.into_owned(), value);
    }
    Ok(members.to_object())
}

fn unknown_in_request(bench: &Bench, sample: &AnySample) -> Checked {
    let mut parts = any_parts(sample)?;
    for (name, value) in [
        ("org.example.b", "2"),
        ("org.example.a", ""),
        ("org.example.b", "1"),
        ("", "é &=+%"),
    ] {
        parts.query.push(name, value);
    }
    if let Content::Json(content) = &parts.content {
        parts.content = Content::Json(and_unknown(content)?);
    }
    runtime().block_on(parts_cross(bench, sample, parts, &any_reply(sample)))
}

fn unknown_in_reply(bench: &Bench, sample: &AnySample) -> Checked {
    let reply = match any_reply(sample) {
        ReplySample::Message(content) => ReplySample::Message(and_unknown(&content)?),
        ReplySample::Events(mut parts) => {
            // Not in the order of their names: a stream is read in the order in which it was written.
            let mut members: Vec<Part> = unknown()?
                .iter()
                .filter(|(name, _)| !parts.iter().any(|part| is_member(part, name)))
                .map(|(name, value)| Part::Member {
                    name: name.to_owned(),
                    value: value.clone(),
                })
                .collect();
            members.reverse();
            parts.extend(members);
            ReplySample::Events(parts)
        }
        ReplySample::Blob(mut blob) => {
            blob.metadata = and_unknown(&blob.metadata)?;
            ReplySample::Blob(blob)
        }
        ReplySample::Body(_) => return Err("the sample gives another shape than its row".into()),
    };
    runtime().block_on(crosses(bench, &*any_request(sample), &reply))
}

fn is_member(part: &Part, member: &str) -> bool {
    match part {
        Part::Member { name, .. } => name == member,
        Part::Array(array) => *array == member,
        _ => false,
    }
}

fn random_calls(bench: &Bench, sample: &AnySample) -> Checked {
    let law = format!("a call is equal everywhere: {:?}", sample.operation());
    let strategy = (sample.requests(), sample.replies());
    random(
        bench,
        &law,
        DRAWN,
        &strategy,
        |(request, reply)| async move { crosses(bench, &*request, &reply).await },
    )
}

/// Content that the operation can read reaches the handler as it was; content that it cannot is refused as reading it refuses it, and is
/// not sent where nothing is read.
fn random_contents(bench: &Bench, sample: &AnySample) -> Checked {
    let law = format!("content is the same: {:?}", sample.operation());
    let strategy = (sample.requests(), sample.contents());
    let reply = any_reply(sample);
    random(bench, &law, DRAWN, &strategy, |(request, content)| {
        let reply = &reply;
        async move {
            let form = form_of(&*request)?;
            let parts = EndpointParts {
                content,
                ..form.parts().clone()
            };
            content_crosses(bench, sample, parts, form.target(), reply).await
        }
    })
}

async fn content_crosses(
    bench: &Bench,
    sample: &AnySample,
    parts: EndpointParts,
    target: &str,
    reply: &ReplySample,
) -> Checked {
    let operation = sample.operation();
    let method = Cow::Borrowed(operation.method());
    let form = EndpointForm::received(method, target.to_owned(), parts);
    let context = CallContext::to(name(DESTINATION));
    match operation.read(form.parts()) {
        Ok(request) => {
            let call = Call::received(request, form, context);
            crosses_as_is(bench, call, reply).await
        }
        Err(_) if !bench.declared().reads => Ok(()),
        Err(refusal) => {
            let call = Call::received(any_request(sample), form, context);
            let answer = Answer::Reply(reply.clone());
            let exchange = bench.exchange(call, answer).await?;
            let refusal = Failure::from(&refusal.into());
            ensure!(
                exchange.seen.is_none(),
                "it reached the handler: {refusal:?}"
            );
            ensure!(
                exchange.outcome.as_ref() == Err(&refusal),
                "the caller got {} and not {refusal:?}",
                shown(&exchange.outcome)
            );
            Ok(())
        }
    }
}

/// What may stand in a member that is read by its type, and is easily taken for nothing.
const ODD: [Option<&str>; 5] = [None, Some("null"), Some("[]"), Some("{}"), Some("\"\"")];

fn members_of_request(sample: &AnySample) -> Vec<&'static str> {
    let parameters = sample.parameters().iter();
    let members = parameters.filter(|one| one.place == Place::Member);
    let mut names: Vec<_> = members.map(|one| one.name).collect();
    names.extend(sample.request_lists().iter().map(|list| list.member));
    names.sort_unstable();
    names.dedup();
    names
}

fn members_of_reply(sample: &AnySample) -> Vec<&'static str> {
    let mut names: Vec<_> = sample.reply_members().iter().map(|one| one.name).collect();
    names.extend(sample.reply_lists().iter().map(|list| list.member));
    names.sort_unstable();
    names.dedup();
    names
}

fn odd_request_members(bench: &Bench, sample: &AnySample) -> Checked {
    let parts = any_parts(sample)?;
    let content = parts.object().map_err(|error| error.to_string())?;
    let target = form_of(&*any_request(sample))?.target().to_owned();
    let reply = any_reply(sample);
    for member in members_of_request(sample) {
        for odd in ODD {
            let content = with_member(&content, member, odd.map(parse));
            let parts = with_content(&parts, content);
            runtime().block_on(content_crosses(bench, sample, parts, &target, &reply))?;
        }
    }
    Ok(())
}

fn odd_reply_members(bench: &Bench, sample: &AnySample) -> Checked {
    let streamed = super::arrays(sample);
    let request = any_request(sample);
    for member in members_of_reply(sample) {
        for odd in ODD {
            let value: Option<Value> = odd.map(parse);
            let array = streamed.iter().find(|array| **array == member);
            let reply = match array {
                Some(array) if odd == Some("[]") => ReplySample::Events(vec![Part::Array(array)]),
                _ => {
                    let members = with_member(&Object::empty(), member, value);
                    ReplySample::of_members(sample.operation().spec().reply, &members)
                }
            };
            runtime().block_on(crosses(bench, &*request, &reply))?;
        }
    }
    Ok(())
}
