//! A room version is none of a binding's business: one without a graph and with another canonical form crosses every binding unchanged,
//! in requests, in messages and in streams, and its signatures hold at the far end.

use std::{collections::BTreeSet, sync::Arc};

use comity_conformance::{ReplySample, json::parse};
use comity_core::{
    ServerName,
    api::{Calls, GetEvent, GetMissingEvents, SendJoin, SendTransaction},
    auth::{KeyDocument, ServerKeys, now_ms},
    call::{Arrival, Call, Part, operation},
    event::{
        EventKeySet, Pdu, Receipt, check_event,
        room_version::{
            Age, CanonicalForm, EventError, RoomVersion, RoomVersionEntry, RoomVersions, Rule,
        },
        sign_event,
    },
    json::{Object, ObjectWriter},
};

use crate::{
    credentials::{DESTINATION, ORIGIN, key, name},
    recorder::Answer,
    run::runtime,
    wire::wires,
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

/// Names that the two canonical forms order differently, and numbers that only one of them has.
fn events() -> Vec<(String, Pdu)> {
    let contents = [
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

#[test]
fn a_version_without_a_graph_and_with_rfc_8785_crosses_every_binding_unchanged() {
    let sent = events();
    let values = || sent.iter().map(|(_, event)| event.value().clone());
    runtime().block_on(async {
        for wire in wires().await {
            let over = &wire.name;
            let pdus = sent.iter().map(|(_, event)| event.clone());
            let request = SendTransaction::new("t", &name(ORIGIN), 0, pdus);
            let reply = Object::from_value(&parse(r#"{"pdus":{}}"#)).unwrap();
            let answer = Answer::Reply(ReplySample::Message(reply));
            let call = Call::new(name(DESTINATION), request);
            let seen = wire.exchange(call, answer).await.seen.unwrap();
            assert_eq!(seen.request.operation(), operation::<SendTransaction>());
            let arrived =
                <SendTransaction as comity_core::call::Endpoint>::read(&seen.parts).unwrap();
            let arrived: Vec<Pdu> = arrived.pdus.into_iter().map(Result::unwrap).collect();
            assert_unchanged(over, &arrived, &sent);

            let mut content = ObjectWriter::new();
            content.array("pdus", values());
            let answer = Answer::Reply(ReplySample::Message(content.into_object()));
            let request = GetEvent {
                event_id: "$e".to_owned(),
                ..GetEvent::default()
            };
            let reply = wire
                .client(answer)
                .get_event(&name(DESTINATION), request)
                .await
                .unwrap();
            let arrived: Vec<Pdu> = reply.pdus.into_iter().map(Result::unwrap).collect();
            assert_unchanged(over, &arrived, &sent);

            let mut content = ObjectWriter::new();
            content.array("events", values());
            let answer = Answer::Reply(ReplySample::Message(content.into_object()));
            let request = GetMissingEvents {
                room_id: "!r".to_owned(),
                ..GetMissingEvents::default()
            };
            let client = wire.client(answer);
            let reply = client
                .get_missing_events(&name(DESTINATION), request)
                .await
                .unwrap();
            let arrived: Vec<Pdu> = reply.events.into_iter().map(Result::unwrap).collect();
            assert_unchanged(over, &arrived, &sent);

            let items = (0..).zip(values()).map(|(index, value)| Part::Item {
                array: "state",
                index,
                value,
            });
            let parts = std::iter::once(Part::Array("state")).chain(items).collect();
            let answer = Answer::Reply(ReplySample::Events(parts));
            let request = SendJoin {
                room_id: "!r".to_owned(),
                event_id: sent[0].0.clone(),
                event: sent[0].1.clone(),
                omit_members: None,
                extra_query: Default::default(),
            };
            let client = wire.client(answer);
            let mut reply = client.send_join(&name(DESTINATION), request).await.unwrap();
            let mut arrived = Vec::new();
            while let Some(arrival) = reply.next().await {
                match arrival.unwrap() {
                    Arrival::Item { item, .. } => arrived.push(item),
                    Arrival::Bad { bad, .. } => panic!("over {over}: {bad:?}"),
                }
            }
            assert_unchanged(over, &arrived, &sent);
        }
    });
}
