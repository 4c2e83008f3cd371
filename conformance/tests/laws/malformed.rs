//! A malformed element, first, middle or last of a list of events or of their IDs, spoils no other.

use std::borrow::Cow;

use bytes::Bytes;
use comity_conformance::{AnyList, AnySample, Elements, ReplySample, json::parse, samples};
use comity_core::{
    api::{GetMissingEvents, SendTransaction},
    call::{Call, CallContext, Endpoint, Part, ReplyShape},
    endpoint::{Content, EndpointForm, EndpointParts},
    error::FederationError,
    event::{BadEvent, EventFault, Listed},
    json::{Members, Object, Value},
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

use crate::{
    credentials::{DESTINATION, name},
    recorder::Answer,
    run::runtime,
    wire::{Wire, wires},
};

/// Bytes of an element that is over the limit for one element of a stream.
const OVERSIZED: usize = 1_500_000;

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

/// An element over the limit for one of a stream.
fn oversized(elements: Elements) -> Case {
    let good = good(elements);
    let size = OVERSIZED;
    let (value, fault) = match elements {
        Elements::Ids => (
            Value::string(&"x".repeat(OVERSIZED - 2)),
            EventFault::IdTooLong { size },
        ),
        _ => (sized(OVERSIZED), EventFault::TooLarge { size }),
    };
    Case {
        place: good.len(),
        list: [good.clone(), vec![value], good].concat(),
        fault,
    }
}

impl Case {
    /// The good ones are what they were, and of the bad one is said what is wrong.
    fn assert_judged(&self, over: &str, judged: &[Listed<Value>]) {
        assert_eq!(judged.len(), self.list.len(), "{over}");
        for (index, (judged, sent)) in judged.iter().zip(&self.list).enumerate() {
            match judged {
                Ok(event) => assert!(event == sent, "element {index} of {over}"),
                Err(BadEvent {
                    index: at, fault, ..
                }) => assert_eq!(
                    (index, *at, fault),
                    (self.place, self.place as u64, &self.fault),
                    "{over}"
                ),
            }
            assert_eq!(
                judged.is_err(),
                index == self.place,
                "element {index} of {over}"
            );
        }
    }
}

fn any<S: Strategy>(strategy: &S) -> S::Value {
    let mut runner = TestRunner::deterministic();
    strategy.new_tree(&mut runner).unwrap().current()
}

/// A request with these parts.
pub(crate) fn call_of(sample: &AnySample, parts: EndpointParts) -> Call {
    let operation = sample.operation();
    let request = operation.read(&parts).unwrap();
    let target = request.write().unwrap().target().to_owned();
    let form = EndpointForm::received(operation.method().into(), target, parts);
    Call::received(request, form, CallContext::to(name(DESTINATION)))
}

/// Some call that is as it should be.
pub(crate) fn any_call(sample: &AnySample) -> Call {
    let parts = any(&sample.requests()).write().unwrap().parts().clone();
    call_of(sample, parts)
}

#[test]
fn a_bad_element_of_a_request_spoils_no_other() {
    let wires = runtime().block_on(wires());
    for sample in samples() {
        let reply = any(&sample.replies());
        let parts = any(&sample.requests()).write().unwrap().parts().clone();
        for (at, list) in sample.request_lists().into_iter().enumerate() {
            for case in cases(list.elements) {
                let mut members = Members::from_object(&parts.object().unwrap());
                let value = Value::array(case.list.clone());
                members.insert(list.member.to_owned(), value);
                let parts = EndpointParts {
                    content: Content::Json(members.to_object()),
                    ..parts.clone()
                };
                let sent = sample.judge_request(&parts).unwrap();
                for wire in &wires {
                    let over = format!("{sample:?} {} over {}", list.member, wire.name);
                    let call = call_of(&sample, parts.clone());
                    let answer = Answer::Reply(reply.clone());
                    let exchange = runtime().block_on(wire.exchange(call, answer));
                    assert_eq!(exchange.outcome, Ok(reply.clone()), "{over}");
                    let seen = exchange.seen.unwrap();
                    assert!(seen.request.operation() == sample.operation(), "{over}");
                    let judged = sample.judge_request(&seen.parts).unwrap();
                    case.assert_judged(&over, &judged[at]);
                    assert!(judged == sent, "another list of {over}");
                }
            }
        }
    }
}

/// SyTest sends one and expects the transaction to pass (HTTP rule 4.6).
#[test]
fn a_transaction_with_a_fraction_in_an_event_verifies() {
    runtime().block_on(async {
        for wire in wires().await {
            let text =
                r#"{"pdus":[{"content":{"a":1},"type":"x"},{"content":{"a":1.1},"type":"y"}]}"#;
            let content = Object::parse(Bytes::from_static(text.as_bytes()), 1 << 20).unwrap();
            let seen = send_transaction(&wire, content).await;
            let odd: Vec<_> = seen
                .pdus
                .iter()
                .map(|pdu| pdu.as_ref().unwrap().has_odd_numbers())
                .collect();
            assert_eq!(odd, [false, true], "over {}", wire.name);
        }
    });
}

/// Sends a transaction of this content; gives the request that the handler saw.
async fn send_transaction(wire: &Wire, content: Object) -> SendTransaction {
    let parts = EndpointParts {
        path: vec!["t1".to_owned()],
        content: Content::Json(content),
        ..EndpointParts::default()
    };
    let call = call_of(&AnySample::of::<SendTransaction>(), parts);
    let reply = ReplySample::Message(Object::from_value(&parse(r#"{"pdus":{}}"#)).unwrap());
    let exchange = wire.exchange(call, Answer::Reply(reply.clone())).await;
    assert_eq!(exchange.outcome, Ok(reply), "over {}", wire.name);
    SendTransaction::read(&exchange.seen.unwrap().parts).unwrap()
}

/// Messages and streams, every list of each. In a stream, elements beyond the limit for one are skipped and reported.
#[test]
fn a_bad_element_of_a_reply_spoils_no_other() {
    let wires = runtime().block_on(wires());
    for sample in samples() {
        let lists = sample.reply_lists();
        let Some(elements) = lists.first().map(|list| list.elements) else {
            continue;
        };
        let streams = sample.operation().spec().reply != ReplyShape::Message;
        let large = streams.then(|| oversized(elements));
        for case in cases(elements).into_iter().chain(large) {
            let is_oversized = matches!(
                case.fault,
                EventFault::TooLarge { size: OVERSIZED }
                    | EventFault::IdTooLong { size: OVERSIZED }
            );
            let reply = reply_of(streams, &lists, &case.list);
            // A gateway cannot pass on what it skipped (see below).
            let bears = |wire: &&Wire| !is_oversized || !wire.relayed;
            for wire in wires.iter().filter(bears) {
                let over = format!("{sample:?} over {}", wire.name);
                let client = wire.client(Answer::Reply(reply.clone()));
                let judged = runtime().block_on(async {
                    let reply = client.send(any_call(&sample)).await.unwrap();
                    sample.judge_reply(reply).await.unwrap()
                });
                assert_eq!(judged.len(), lists.len(), "{over}");
                for judged in &judged {
                    case.assert_judged(&over, judged);
                }
            }
        }
    }
}

/// A reply whose lists are all this one.
pub(crate) fn reply_of(streams: bool, lists: &[AnyList], elements: &[Value]) -> ReplySample {
    if !streams {
        let members = lists.iter().map(|list| {
            let value = Value::array(elements.iter().cloned());
            (list.member.to_owned(), value)
        });
        return ReplySample::Message(Members::from_iter(members).to_object());
    }
    let parts = lists.iter().flat_map(|list| {
        let array = list.member;
        let items = (0..).zip(elements.iter().cloned());
        std::iter::once(Part::Array(array)).chain(items.map(move |(index, value)| Part::Item {
            array,
            index,
            value,
        }))
    });
    ReplySample::Events(parts.collect())
}

/// Every list of every operation is covered: a stream cannot forget to say that it is one.
#[test]
fn every_stream_says_what_it_lists() {
    for sample in samples() {
        let ReplyShape::Events { arrays } = sample.operation().spec().reply else {
            continue;
        };
        let lists = sample.reply_lists();
        assert!(
            lists.iter().map(|list| &list.member).eq(arrays),
            "{sample:?}"
        );
    }
}

/// A gateway that skipped an element over the limit breaks the reply off: it never ends as if nothing was missing.
#[test]
fn a_gateway_loses_no_element_in_silence() {
    let wires = runtime().block_on(wires());
    for sample in samples() {
        let ReplyShape::Events { arrays } = sample.operation().spec().reply else {
            continue;
        };
        let list = &sample.reply_lists()[..1];
        assert_eq!(list[0].member, arrays[0]);
        let reply = reply_of(true, list, &oversized(list[0].elements).list);
        for wire in wires.iter().filter(|wire| wire.relayed) {
            let answer = Answer::Reply(reply.clone());
            let exchange = runtime().block_on(wire.exchange(any_call(&sample), answer));
            let complete = exchange.outcome.is_ok() && exchange.broken.is_none();
            assert!(!complete, "{sample:?} over {}", wire.name);
        }
    }
}

/// One PDU over the limit of a whole request refuses the request, and says so alike.
#[test]
fn a_request_over_its_limit_is_refused_alike() {
    runtime().block_on(async {
        for wire in wires().await.iter().filter(|wire| wire.reads) {
            let parts = EndpointParts {
                path: vec!["!r:example.org".to_owned()],
                content: Content::Json(Object::from_value(&sized((1 << 20) + 1)).unwrap()),
                ..EndpointParts::default()
            };
            let target = GetMissingEvents::PATH.write(&["!r:example.org"]);
            let form = EndpointForm::received(Cow::Borrowed("POST"), target, parts);
            let context = CallContext::to(name(DESTINATION));
            let call = Call::received(Box::new(GetMissingEvents::default()), form, context);
            let answer = Answer::Error(FederationError::internal("not reached"));
            let exchange = wire.exchange(call, answer).await;
            assert!(exchange.seen.is_none(), "over {}", wire.name);
            let refusal = FederationError::too_large(
                "request content",
                1 << 20,
                "receiver",
                "limits.request",
            );
            let refusal = comity_conformance::Failure::from(&refusal.into());
            assert_eq!(exchange.outcome, Err(refusal), "over {}", wire.name);
        }
    });
}
