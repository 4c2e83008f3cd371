//! A malformed event, first, middle or last of a list, spoils no other.

use std::borrow::Cow;

use bytes::Bytes;
use comity_conformance::{ReplySample, json::parse, samples};
use comity_core::{
    api::{Calls, GetMissingEvents, SendJoinMembers, SendTransaction},
    call::{Arrival, Call, CallContext, Endpoint, EventReply, Part, ReplyShape, operation},
    endpoint::{Content, EndpointForm, EndpointParts},
    error::FederationError,
    event::{BadEvent, EventFault, Listed, Pdu},
    json::{Object, ObjectWriter, Value},
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

use crate::{
    credentials::{DESTINATION, name},
    recorder::Answer,
    run::runtime,
    wire::wires,
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

/// What is no event, each with what a receiver says of it.
fn bad() -> Vec<(Value, EventFault)> {
    let mut bad = vec![
        (nested(10_000), EventFault::TooDeep { depth: 10_000 }),
        (nested(1_001), EventFault::TooDeep { depth: 1_001 }),
        (sized(65_537), EventFault::TooLarge { size: 65_537 }),
        (sized(500_000), EventFault::TooLarge { size: 500_000 }),
    ];
    for text in ["null", "0", "1.1", "\"\"", "true", "[]", "[{}]"] {
        bad.push((parse(text), EventFault::NotAnObject));
    }
    bad
}

/// Events that are unusual and yet events.
fn good() -> Vec<Value> {
    vec![
        nested(100),
        nested(990),
        nested(1_000),
        sized(65_536),
        parse("{}"),
        parse(r#"{"content":{"depth":1.1}}"#),
        parse(r#"{"content":[1e400,-0.0,9007199254740993]}"#),
    ]
}

/// Lists of good events with one bad event at each of three places.
fn lists() -> Vec<(Vec<Value>, usize, EventFault)> {
    let good = good();
    let mut lists = Vec::new();
    for (value, fault) in bad() {
        for place in [0, good.len() / 2, good.len()] {
            let mut list = good.clone();
            list.insert(place, value.clone());
            lists.push((list, place, fault.clone()));
        }
    }
    lists
}

/// The good ones are what they were, and of the bad one is said what is wrong.
fn assert_judged<T>(
    over: &str,
    judged: &[Listed<T>],
    value: fn(&T) -> &Value,
    list: &[Value],
    place: usize,
    fault: &EventFault,
) {
    assert_eq!(judged.len(), list.len(), "over {over}");
    for (index, (judged, sent)) in judged.iter().zip(list).enumerate() {
        match judged {
            Ok(event) => assert!(value(event) == sent, "event {index} over {over}"),
            Err(BadEvent {
                index: at,
                fault: why,
                ..
            }) => {
                assert_eq!(
                    (index, *at, why),
                    (place, place as u64, fault),
                    "over {over}"
                );
            }
        }
        assert_eq!(judged.is_err(), index == place, "event {index} over {over}");
    }
}

#[test]
fn a_bad_pdu_of_a_transaction_spoils_no_other() {
    runtime().block_on(async {
        let wires = wires().await;
        for (list, place, fault) in lists() {
            let mut content = ObjectWriter::new();
            content.array("pdus", list.clone());
            for wire in &wires {
                let seen = send_transaction(wire, content.clone().into_object()).await;
                assert_judged(&wire.name, &seen.pdus, Pdu::value, &list, place, &fault);
            }
        }
    });
}

#[test]
fn a_bad_edu_of_a_transaction_spoils_no_other() {
    runtime().block_on(async {
        let wires = wires().await;
        for (list, place, fault) in lists() {
            // EDUs have no size limit of their own.
            if matches!(fault, EventFault::TooLarge { .. }) {
                continue;
            }
            let mut content = ObjectWriter::new();
            content.array("edus", list.clone());
            content.array("pdus", good());
            for wire in &wires {
                let seen = send_transaction(wire, content.clone().into_object()).await;
                let edus = seen.edus.unwrap();
                assert_judged(&wire.name, &edus, |edu| edu.value(), &list, place, &fault);
                assert!(seen.pdus.iter().all(Result::is_ok), "over {}", wire.name);
            }
        }
    });
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
async fn send_transaction(wire: &crate::wire::Wire, content: Object) -> SendTransaction {
    let parts = EndpointParts {
        path: vec!["t1".to_owned()],
        content: Content::Json(content),
        ..EndpointParts::default()
    };
    let request = SendTransaction::read(&parts).unwrap();
    let target = SendTransaction::PATH.write(&["t1"]);
    let form = EndpointForm::received(Cow::Borrowed("PUT"), target, parts);
    let context = CallContext::to(name(DESTINATION));
    let call = Call::received(Box::new(request), form, context);
    let reply = ReplySample::Message(Object::from_value(&parse(r#"{"pdus":{}}"#)).unwrap());
    let exchange = wire.exchange(call, Answer::Reply(reply.clone())).await;
    assert_eq!(exchange.outcome, Ok(reply), "over {}", wire.name);
    let seen = exchange.seen.unwrap();
    assert_eq!(seen.request.operation(), operation::<SendTransaction>());
    SendTransaction::read(&seen.parts).unwrap()
}

#[test]
fn a_bad_event_of_a_reply_spoils_no_other() {
    runtime().block_on(async {
        let wires = wires().await;
        for (list, place, fault) in lists() {
            let mut content = ObjectWriter::new();
            content.array("events", list.clone());
            let reply = ReplySample::Message(content.into_object());
            for wire in &wires {
                let client = wire.client(Answer::Reply(reply.clone()));
                let request = GetMissingEvents {
                    room_id: "!r:example.org".to_owned(),
                    ..GetMissingEvents::default()
                };
                let reply = client
                    .get_missing_events(&name(DESTINATION), request)
                    .await
                    .unwrap();
                assert_judged(&wire.name, &reply.events, Pdu::value, &list, place, &fault);
            }
        }
    });
}

/// Every operation that streams events, every one of its arrays. Elements beyond the limit for one are skipped and reported.
#[test]
fn a_bad_event_of_a_stream_spoils_no_other() {
    runtime().block_on(async {
        let wires = wires().await;
        let mut runner = TestRunner::deterministic();
        for sample in samples() {
            let ReplyShape::Events { arrays } = sample.operation().spec().reply else {
                continue;
            };
            let request = sample.requests().new_tree(&mut runner).unwrap().current();
            let oversized = [good(), vec![sized(OVERSIZED)], good()].concat();
            let fault = EventFault::TooLarge { size: OVERSIZED };
            let lists = lists()
                .into_iter()
                .chain([(oversized, good().len(), fault)]);
            for (list, place, fault) in lists {
                let parts = arrays.iter().flat_map(|array| {
                    let items = (0..).zip(list.clone());
                    std::iter::once(Part::Array(array)).chain(items.map(move |(index, value)| {
                        Part::Item {
                            array,
                            index,
                            value,
                        }
                    }))
                });
                let reply = ReplySample::Events(parts.collect());
                let oversized = fault == EventFault::TooLarge { size: OVERSIZED };
                // A gateway cannot pass on what it skipped; see below.
                for wire in wires.iter().filter(|wire| !(wire.relayed && oversized)) {
                    let client = wire.client(Answer::Reply(reply.clone()));
                    let form = request.write().unwrap();
                    let context = CallContext::to(name(DESTINATION));
                    let call = Call::received(request.clone_box(), form, context);
                    let reply = client.send(call).await.unwrap();
                    let comity_core::call::Reply::Events(events) = reply else {
                        panic!("over {}: {reply:?}", wire.name);
                    };
                    // The members beside the arrays are not looked at, so that any type of them will do.
                    let mut events = EventReply::<SendJoinMembers>::from_parts(events.parts);
                    for _ in arrays {
                        let mut judged: Vec<Listed<Pdu>> = Vec::new();
                        for _ in &list {
                            judged.push(match events.next().await.unwrap().unwrap() {
                                Arrival::Item { item, .. } => Ok(item),
                                Arrival::Bad { bad, .. } => Err(bad),
                            });
                        }
                        assert_judged(&wire.name, &judged, Pdu::value, &list, place, &fault);
                    }
                    assert!(events.next().await.is_none(), "over {}", wire.name);
                }
            }
        }
    });
}

/// A gateway that skipped an element over the limit breaks the reply off: it never ends as if nothing was missing.
#[test]
fn a_gateway_loses_no_element_in_silence() {
    runtime().block_on(async {
        let wires = wires().await;
        let mut runner = TestRunner::deterministic();
        for sample in samples() {
            let ReplyShape::Events { arrays } = sample.operation().spec().reply else {
                continue;
            };
            let array = arrays[0];
            let item = Part::Item {
                array,
                index: 0,
                value: sized(OVERSIZED),
            };
            let reply = ReplySample::Events(vec![Part::Array(array), item]);
            let request = sample.requests().new_tree(&mut runner).unwrap().current();
            for wire in wires.iter().filter(|wire| wire.relayed) {
                let context = CallContext::to(name(DESTINATION));
                let form = request.write().unwrap();
                let call = Call::received(request.clone_box(), form, context);
                let exchange = wire.exchange(call, Answer::Reply(reply.clone())).await;
                let complete = exchange.outcome.is_ok() && exchange.broken.is_none();
                assert!(!complete, "over {}", wire.name);
            }
        }
    });
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
