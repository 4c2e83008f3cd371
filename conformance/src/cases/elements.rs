//! A malformed element, first, middle or last of a list of events or of their IDs, spoils no other.

use comity_core::{
    endpoint::EndpointParts,
    event::{EventFault, Listed},
    json::Value,
};

use super::{
    Checked, OfOperation, any_call, any_parts, any_reply, call_of, ensure, is_message, shown,
    with_content, with_member,
};
use crate::{
    AnyList, AnySample, Bench, Elements, ReplySample,
    bench::{Answer, runtime},
    json::parse,
};

pub(super) fn of(sample: &AnySample) -> Vec<OfOperation> {
    let in_request = (0..).zip(sample.request_lists());
    let mut found: Vec<_> = in_request
        .map(|(at, list)| {
            let name = format!("a malformed element of `{}` of the request", list.member);
            OfOperation::new(name, move |bench, sample| {
                runtime().block_on(bad_request(bench, sample, at, &list))
            })
        })
        .collect();
    if let Some(list) = sample.reply_lists().first() {
        let elements = list.elements;
        found.push(OfOperation::new(
            "a malformed element of the reply",
            move |bench, sample| runtime().block_on(bad_reply(bench, sample, elements)),
        ));
        if !is_message(sample) {
            found.push(OfOperation::new(
                "an element of the reply over its limit",
                move |bench, sample| runtime().block_on(oversized_reply(bench, sample, elements)),
            ));
        }
    }
    found
}

async fn bad_request(bench: &Bench, sample: &AnySample, at: usize, list: &AnyList) -> Checked {
    let reply = any_reply(sample);
    let parts = any_parts(sample)?;
    let content = parts.object().map_err(|error| error.to_string())?;
    for case in cases(list.elements) {
        let value = Value::array(case.list.clone());
        let content = with_member(&content, list.member, Some(value));
        let parts = with_content(&parts, content);
        let judge = |parts: &EndpointParts| {
            let judged = sample.judge_request(parts);
            judged.map_err(|error| error.to_string())
        };
        let sent = judge(&parts)?;
        let call = call_of(sample, parts)?;
        let exchange = bench.exchange(call, Answer::Reply(reply.clone())).await?;
        let Some(seen) = &exchange.seen else {
            let outcome = shown(&exchange.outcome);
            return Err(format!("with {:?} it did not arrive: {outcome}", case.fault).into());
        };
        let judged = judge(&seen.parts)?;
        let mine = judged.get(at).ok_or("the sample judges another list")?;
        case.is_judged(list.member, mine)?;
        ensure!(judged == sent, "another list is not what it was");
    }
    Ok(())
}

async fn bad_reply(bench: &Bench, sample: &AnySample, elements: Elements) -> Checked {
    for case in cases(elements) {
        comes_judged(bench, sample, &case).await?;
    }
    Ok(())
}

/// It is skipped, and its size told. A gateway cannot pass on what it skipped: its reply breaks off, and never ends as if nothing was missing.
async fn oversized_reply(bench: &Bench, sample: &AnySample, elements: Elements) -> Checked {
    let case = oversized(elements, sample.operation().spec().limits.item + 1);
    if !bench.declared().relays {
        return comes_judged(bench, sample, &case).await;
    }
    let reply = ReplySample::of_lists(
        sample.operation().spec().reply,
        &sample.reply_lists(),
        &case.list,
    );
    let exchange = bench
        .exchange(any_call(sample)?, Answer::Reply(reply))
        .await?;
    ensure!(
        exchange.outcome.is_err() || exchange.broken.is_some(),
        "the reply ended as if nothing was missing"
    );
    Ok(())
}

/// Messages and streams, every list of each.
async fn comes_judged(bench: &Bench, sample: &AnySample, case: &Case) -> Checked {
    let lists = sample.reply_lists();
    let reply = ReplySample::of_lists(sample.operation().spec().reply, &lists, &case.list);
    let client = bench.client(Answer::Reply(reply));
    let call = any_call(sample)?;
    let judging = async {
        let reply = client.send(call).await?;
        sample.judge_reply(reply).await
    };
    let patience = bench.declared().patience;
    let judged = tokio::time::timeout(patience, judging)
        .await
        .map_err(|_| format!("there was no reply within {patience:?}"))?
        .map_err(|error| format!("with {:?}: {error}", case.fault))?;
    for (list, judged) in lists.iter().zip(&judged) {
        case.is_judged(list.member, judged)?;
    }
    Ok(())
}

/// An object nested `depth` levels.
fn nested(depth: usize) -> Value {
    let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
    parse(&format!(r#"{{"content":{open}{close}}}"#))
}

fn sized(bytes: usize) -> Value {
    let frame = r#"{"content":""}"#.len();
    parse(&format!(r#"{{"content":"{}"}}"#, "x".repeat(bytes - frame)))
}

/// What is no such element, each with what a receiver says of it.
fn bad(elements: Elements) -> Vec<(Value, EventFault)> {
    let deep = |depth| {
        let fault = EventFault::TooDeep {
            depth: depth as u32,
        };
        (nested(depth), fault)
    };
    let large = |size| (sized(size), EventFault::TooLarge { size });
    let (mut bad, other, fault) = match elements {
        Elements::Pdus => (
            vec![deep(10_000), deep(1_001), large(65_537), large(500_000)],
            "\"\"",
            EventFault::NotAnObject,
        ),
        // They have no size limit of their own.
        Elements::Edus => (
            vec![deep(10_000), deep(1_001)],
            "\"\"",
            EventFault::NotAnObject,
        ),
        // Nor have these, and they may be nested as deep as they like.
        Elements::Documents => (Vec::new(), "\"\"", EventFault::NotAnObject),
        Elements::Ids => (
            vec![
                (nested(1_001), EventFault::NotAnId),
                (
                    Value::string(&"x".repeat(256)),
                    EventFault::IdTooLong { size: 258 },
                ),
            ],
            "{}",
            EventFault::NotAnId,
        ),
    };
    for text in ["null", "0", "1.1", "true", "[]", "[{}]", other] {
        bad.push((parse(text), fault.clone()));
    }
    bad
}

/// Elements that are unusual and yet good.
fn good(elements: Elements) -> Vec<Value> {
    if elements == Elements::Ids {
        let longest = "x".repeat(255);
        return [
            "",
            &longest,
            "$x",
            "$with/slash+plus",
            "\u{0}\u{1f600}",
            "null",
        ]
        .map(Value::string)
        .to_vec();
    }
    let mut good = vec![
        nested(100),
        nested(990),
        nested(1_000),
        sized(65_536),
        parse("{}"),
        parse(r#"{"content":{"depth":1.1}}"#),
        parse(r#"{"content":[1e400,-0.0,9007199254740993]}"#),
        parse(r#"{"content":{},"unsigned":{"age":1},"zeta":[]}"#),
    ];
    if elements == Elements::Documents {
        good.extend([nested(10_000), sized(500_000)]);
    }
    good
}

/// A list of good elements with a bad one among them.
#[derive(Clone)]
struct Case {
    list: Vec<Value>,
    place: usize,
    fault: EventFault,
}

/// One bad element at each of three places.
fn cases(elements: Elements) -> Vec<Case> {
    let good = good(elements);
    let mut cases = Vec::new();
    for (value, fault) in bad(elements) {
        for place in [0, good.len() / 2, good.len()] {
            let mut list = good.clone();
            list.insert(place, value.clone());
            let fault = fault.clone();
            cases.push(Case { list, place, fault });
        }
    }
    cases
}

/// An element of so many bytes, over the limit for one of a stream. That one at the limit arrives is said by the case `largest reply`.
fn oversized(elements: Elements, size: usize) -> Case {
    let good = good(elements);
    let (value, fault) = match elements {
        Elements::Ids => (
            Value::string(&"x".repeat(size - 2)),
            EventFault::IdTooLong { size },
        ),
        _ => (sized(size), EventFault::TooLarge { size }),
    };
    Case {
        place: good.len(),
        list: [good.clone(), vec![value], good].concat(),
        fault,
    }
}

impl Case {
    /// The good ones are what they were, and of the bad one is said what is wrong.
    fn is_judged(&self, list: &str, judged: &[Listed<Value>]) -> Checked {
        ensure!(
            judged.len() == self.list.len(),
            "of {} elements of {list} {} arrived",
            self.list.len(),
            judged.len()
        );
        for (index, (judged, sent)) in judged.iter().zip(&self.list).enumerate() {
            let good = index != self.place;
            let right = match judged {
                Ok(event) => good && event == sent,
                Err(bad) => !good && bad.index == index as u64 && bad.fault == self.fault,
            };
            ensure!(
                right,
                "element {index} of {list}, {}, was judged {}; element {} is bad: {:?}",
                shown(sent),
                shown(judged),
                self.place,
                self.fault
            );
        }
        Ok(())
    }
}
