//! A room version is none of a binding's business: one without a graph and with another canonical form crosses every binding unchanged,
//! in requests, in messages and in streams, and its signatures hold at the far end.

use std::{collections::BTreeSet, sync::Arc};

use comity_conformance::{
    AnyList, AnySample, Elements, Kind, Parameter, ReplySample, json::parse, samples,
};
use comity_core::{
    ServerName,
    auth::{KeyDocument, ServerKeys, now_ms},
    call::{Part, ReplyShape},
    endpoint::{Content, EndpointParts},
    event::{
        EventKeySet, Pdu, Receipt, check_event,
        room_version::{
            Age, CanonicalForm, EventError, RoomVersion, RoomVersionEntry, RoomVersions, Rule,
        },
        sign_event,
    },
    json::{Object, Value},
};

use crate::{
    bad_input::declared::{reply_of, sampled, with_member},
    credentials::{ORIGIN, key, name},
    malformed::{any_call, call_of, reply_of as list_reply},
    recorder::Answer,
    run::runtime,
    wire::{Wire, wires},
};

/// A room whose order is a hub's: an event says what came before it, and nothing else. Signed as RFC 8785 writes it.
#[derive(Debug)]
struct Linear;

impl RoomVersion for Linear {
    fn check_format(&self, event: &Pdu, _: Age) -> Result<(), EventError> {
        for graph in ["prev_events", "auth_events", "depth"] {
            if event.get(graph).is_some() {
                let why = format!("`{graph}`: there is no graph");
                return Err(EventError::new(Rule::Format, why));
            }
        }
        Ok(())
    }

    fn redact(&self, event: &Object) -> Result<Object, EventError> {
        Ok(event.filtered(|name| name != "content"))
    }

    fn required_signers(&self, event: &Pdu) -> Result<BTreeSet<ServerName>, EventError> {
        let sender = event.sender().unwrap_or_default();
        let server = sender
            .split_once(':')
            .and_then(|(_, server)| server.parse().ok());
        let nobody = || EventError::new(Rule::Format, "`sender` names no server");
        Ok([server.ok_or_else(nobody)?].into())
    }

    fn canonical_form(&self) -> CanonicalForm {
        CanonicalForm::Jcs
    }
}

/// Names that the two canonical forms order differently, or that some writers escape; numbers that only one of them has; and depth.
fn events() -> Vec<(String, Pdu)> {
    let deep = format!("{{\"deep\":{}{}}}", "[".repeat(500), "]".repeat(500));
    let contents = [
        deep.as_str(),
        "{\"\u{2028}\":\"\u{2029}\"}",
        "{\"\u{fb33}\":1,\"\u{1f600}\":2}",
        r#"{"f":[1.50,-0.0,1e21,5e-324,9007199254740993]}"#,
        r#"{"":{"nested":[{"\u0000":null}]}}"#,
    ];
    let event = |content: &str| {
        let text = format!(
            r#"{{"content":{content},"hub":{{"\ud83d\ude00":1.0,"\ufb33":2}},"previous":"$p","sender":"@a:{ORIGIN}","type":"m"}}"#
        );
        let event = Object::from_value(&parse(&text)).unwrap();
        sign_event(&Linear, &event, &name(ORIGIN), &key()).unwrap()
    };
    contents.into_iter().map(event).collect()
}

/// The version as a server knows it: by its name.
fn versions() -> RoomVersions {
    let mut versions = RoomVersions::matrix().and(RoomVersions::ietf()).unwrap();
    let entry = RoomVersionEntry::new(
        "org.example.linear",
        comity_core::call::Edition::Ietf,
        Arc::new(Linear),
    );
    versions.register(entry).unwrap();
    versions
}

fn keys() -> EventKeySet {
    let document = KeyDocument::new(name(ORIGIN), now_ms() + 86_400_000);
    let document = document.sign(&[&key()]).unwrap();
    EventKeySet::new().with(Arc::new(ServerKeys::parse(document).unwrap()))
}

/// What arrived is what was signed, byte for byte, and good by its version.
#[track_caller]
fn assert_unchanged(over: &str, arrived: &[Pdu], sent: &[(String, Pdu)]) {
    let versions = versions();
    let version = versions.get("org.example.linear").unwrap().rules();
    assert_eq!(arrived.len(), sent.len(), "over {over}");
    for (arrived, (event_id, sent)) in arrived.iter().zip(sent) {
        assert_eq!(arrived.value().text(), sent.value().text(), "over {over}");
        let event_id = event_id.clone();
        assert_eq!(
            check_event(&**version, arrived, &keys()),
            Ok(Receipt::Good { event_id }),
            "over {over}"
        );
    }
}

/// Operations of the groups about events that carry none: one gives an ID, one asks for an event that is yet to be made.
const WITHOUT_EVENTS: [&str; 2] = ["GetEventByTimestamp", "ExchangeThirdPartyInvite"];

/// Whether an operation is about events, so that its sample has to say where they stand.
fn is_about_events(sample: &AnySample) -> bool {
    let spec = sample.operation().spec();
    matches!(
        spec.group,
        "Transactions" | "Events" | "Membership" | "Policy"
    ) && !WITHOUT_EVENTS.contains(&spec.name)
}

/// Where a request or reply carries one event, or a list of them.
#[derive(Debug)]
enum Place {
    RequestList(AnyList),
    RequestEvent(Parameter),
    ReplyList(AnyList),
    ReplyEvent(Parameter),
}

fn places(sample: &AnySample) -> Vec<Place> {
    let is_event = |one: &&Parameter| matches!(one.kind, Kind::Event | Kind::Template);
    let requests = sample.parameters().iter().filter(is_event).copied();
    let replies = sample.reply_members().iter().filter(is_event).copied();
    let of_pdus = |list: &AnyList| list.elements == Elements::Pdus;
    let in_request = sample.request_lists().into_iter().filter(of_pdus);
    let in_reply = sample.reply_lists().into_iter().filter(of_pdus);
    let places = in_request.map(Place::RequestList);
    let places = places.chain(requests.map(Place::RequestEvent));
    let places = places.chain(in_reply.map(Place::ReplyList));
    places.chain(replies.map(Place::ReplyEvent)).collect()
}

/// Sends a request whose content this is; gives the content of the one that the handler got, as it would be passed on.
async fn request(wire: &Wire, sample: &AnySample, content: Object) -> Object {
    let parts = EndpointParts {
        content: Content::Json(content),
        ..any_parts(sample)
    };
    let reply = sampled(&sample.replies(), 1).remove(0);
    let exchange = wire.exchange(call_of(sample, parts), Answer::Reply(reply));
    let seen = exchange.await.seen.unwrap();
    let again = seen.request.write().unwrap();
    again.parts().object().unwrap().into_owned()
}

/// Sends a reply; gives what the caller got of it.
async fn reply(wire: &Wire, sample: &AnySample, reply: ReplySample) -> ReplySample {
    let exchange = wire.exchange(any_call(sample), Answer::Reply(reply));
    exchange.await.outcome.unwrap()
}

fn any_parts(sample: &AnySample) -> EndpointParts {
    let request = sampled(&sample.requests(), 1).remove(0);
    request.write().unwrap().parts().clone()
}

/// Carries the events to their place over a wire; gives what arrived there.
async fn carry(wire: &Wire, sample: &AnySample, place: &Place, events: &[Value]) -> Vec<Value> {
    let mut arrived = Vec::new();
    match place {
        Place::RequestList(list) => {
            let content = any_parts(sample).object().unwrap().into_owned();
            let value = Value::array(events.iter().cloned());
            let content = with_member(&content, list.member, Some(value));
            let content = request(wire, sample, content).await;
            arrived.extend(content.array(list.member).unwrap());
        }
        Place::RequestEvent(parameter) => {
            for event in events {
                let content = any_parts(sample).object().unwrap().into_owned();
                arrived.push(match parameter.place {
                    comity_conformance::Place::Content => {
                        let event = Object::from_value(event).unwrap();
                        request(wire, sample, event).await.to_value()
                    }
                    _ => {
                        let value = Some(event.clone());
                        let content = with_member(&content, parameter.name, value);
                        let content = request(wire, sample, content).await;
                        content.get(parameter.name).unwrap()
                    }
                });
            }
        }
        Place::ReplyList(list) => {
            let streams = sample.operation().spec().reply != ReplyShape::Message;
            let sent = list_reply(streams, std::slice::from_ref(list), events);
            match reply(wire, sample, sent).await {
                ReplySample::Message(content) => {
                    arrived.extend(content.array(list.member).unwrap());
                }
                ReplySample::Events(parts) => {
                    arrived.extend(parts.into_iter().filter_map(|part| match part {
                        Part::Item { value, .. } => Some(value),
                        _ => None,
                    }))
                }
                ReplySample::Blob(_) | ReplySample::Body(_) => unreachable!("bytes list nothing"),
            }
        }
        Place::ReplyEvent(parameter) => {
            for event in events {
                let members = with_member(&Object::empty(), parameter.name, Some(event.clone()));
                let sent = reply_of(sample.operation().spec().reply, &members);
                arrived.push(match reply(wire, sample, sent).await {
                    ReplySample::Message(content) => content.get(parameter.name).unwrap(),
                    ReplySample::Events(mut parts) => match parts.remove(0) {
                        Part::Member { value, .. } => value,
                        other => panic!("{other:?}"),
                    },
                    ReplySample::Blob(_) | ReplySample::Body(_) => {
                        unreachable!("bytes have no event")
                    }
                });
            }
        }
    }
    arrived
}

#[test]
fn a_version_without_a_graph_and_with_rfc_8785_crosses_every_binding_unchanged() {
    let sent = events();
    let values: Vec<Value> = sent
        .iter()
        .map(|(_, event)| event.value().clone())
        .collect();
    let wires = runtime().block_on(wires());
    for sample in samples() {
        for place in places(&sample) {
            for wire in &wires {
                let over = format!("{place:?} of {sample:?} over {}", wire.name);
                let arrived = runtime().block_on(carry(wire, &sample, &place, &values));
                let arrived = arrived.into_iter().map(|event| Pdu::judge(event).unwrap());
                assert_unchanged(&over, &arrived.collect::<Vec<_>>(), &sent);
            }
        }
    }
}

/// No operation about events escapes the law above. Two lists hold IDs, which no version concerns.
#[test]
fn every_operation_about_events_says_where_they_stand() {
    for sample in samples() {
        let lists = sample.reply_lists();
        let ids = lists.iter().any(|list| list.elements == Elements::Ids);
        assert_eq!(
            is_about_events(&sample),
            ids || !places(&sample).is_empty(),
            "{sample:?}"
        );
    }
}
