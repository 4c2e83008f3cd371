//! ruma-signatures says the same of every event that both can judge.

use std::collections::BTreeMap;

use comity_core::{
    event::{EventKeySet, Pdu, Receipt, check_event, check_past_event},
    json::Object,
};
use ruma_common::{CanonicalJsonObject, RoomVersionId, canonical_json::redact, serde::Base64};
use ruma_signatures::{PublicKeyMap, Verified, reference_hash, verify_event};
use serde_json::{Value as Json, json};

use crate::setting::{House, house, object, version};

const VERSIONS: [&str; 12] = [
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12",
];

fn public(house: &House) -> PublicKeyMap {
    let key = Base64::new(house.key.verify_key().as_bytes().to_vec());
    let keys = BTreeMap::from([(house.key.key_id().as_str().to_owned(), key)]);
    BTreeMap::from([(house.name.as_str().to_owned(), keys)])
}

/// Every type whose content survives a redaction in part, with members that do and members that do not.
fn contents() -> Vec<(&'static str, Json)> {
    let levels = json!({"ban": 1, "events": {"a": 1}, "events_default": 0, "invite": 3, "kick": 1, "redact": 5, "state_default": 2,
        "users": {"@a:one.example": 100}, "users_default": 0, "notifications": {"room": 20}});
    let third = json!({"display_name": "d", "signed": {"token": "t", "mxid": "@b:x"}});
    vec![
        (
            "m.room.create",
            json!({"creator": "@a:one.example", "room_version": "9", "m.federate": true}),
        ),
        (
            "m.room.member",
            json!({"membership": "join", "displayname": "A", "join_authorised_via_users_server": "@a:one.example"}),
        ),
        (
            "m.room.member",
            json!({"membership": "leave", "third_party_invite": third}),
        ),
        (
            "m.room.join_rules",
            json!({"join_rule": "restricted", "allow": [{"type": "x"}], "other": null}),
        ),
        ("m.room.power_levels", levels),
        (
            "m.room.history_visibility",
            json!({"history_visibility": "shared", "x": 1}),
        ),
        (
            "m.room.aliases",
            json!({"aliases": ["#a:one.example"], "x": 1}),
        ),
        ("m.room.redaction", json!({"redacts": "$x", "reason": "r"})),
        (
            "m.room.message",
            json!({"body": "é\u{7}\u{1f600}\"\\", "n": [1, -9_007_199_254_740_991_i64, {"b": {}}]}),
        ),
        ("org.example.empty", json!({})),
    ]
}

fn event(kind: &str, content: &Json) -> String {
    json!({
        "auth_events": [], "content": content, "depth": 3, "event_id": "$e:one.example", "membership": "join", "origin": "one.example",
        "origin_server_ts": 1_700_000_000_000_i64, "prev_events": [], "prev_state": [], "redacts": "$y", "room_id": "!r:one.example",
        "sender": "@a:one.example", "state_key": "@a:one.example", "type": kind, "unsigned": {"age": 4}, "zzz": {"unknown": true},
    })
    .to_string()
}

fn tree(object: &Object) -> CanonicalJsonObject {
    object.to_value().to().unwrap()
}

#[test]
fn ids_hashes_redactions_and_signatures_agree_in_every_version() {
    let one = house("one.example");
    let keys = one.keys();
    let mut compared = 0;
    for id in VERSIONS {
        let version = version(id);
        let rules = RoomVersionId::try_from(id).unwrap().rules().unwrap();
        for (kind, content) in contents() {
            let (event_id, signed) = one.event(&*version, &event(kind, &content));
            let theirs = tree(signed.object());
            assert_eq!(
                verify_event(&public(&one), &theirs, &rules).unwrap(),
                Verified::All,
                "version {id}, {kind}"
            );
            match id {
                "1" | "2" => assert_eq!(event_id, "$e:one.example"),
                _ => assert_eq!(
                    event_id,
                    format!("${}", reference_hash(&theirs, &rules).unwrap())
                ),
            }
            let expected = Receipt::Good {
                event_id: event_id.clone(),
            };
            assert_eq!(
                check_event(&*version, &signed, &keys),
                Ok(expected),
                "version {id}, {kind}"
            );

            let redacted = version.redact(signed.object()).unwrap();
            let redacted_by_ruma = redact(theirs, &rules.redaction, None).unwrap();
            assert_eq!(tree(&redacted), redacted_by_ruma, "version {id}, {kind}");

            let tampered = signed.object().with_member("zzz", &object("{}").to_value());
            let tampered = Pdu::judge(tampered.to_value()).unwrap();
            assert_eq!(
                verify_event(&public(&one), &tree(tampered.object()), &rules).unwrap(),
                Verified::Signatures
            );
            assert_eq!(
                check_event(&*version, &tampered, &keys),
                Ok(Receipt::Redacted {
                    event_id,
                    event: Pdu::judge(redacted.to_value()).unwrap()
                })
            );

            let forged = signed
                .object()
                .with_member("depth", &object(r#"{"d":4}"#).get("d").unwrap());
            let forged = Pdu::judge(forged.to_value()).unwrap();
            assert!(verify_event(&public(&one), &tree(forged.object()), &rules).is_err());
            assert!(check_event(&*version, &forged, &keys).is_err());
            compared += 1;
        }
    }
    assert_eq!(compared, VERSIONS.len() * contents().len());
}

#[test]
fn the_events_of_a_real_server_are_good() {
    let events: Vec<Json> = serde_json::from_str(include_str!(
        "../../../cli/tests/fixtures/synapse-room.json"
    ))
    .unwrap();
    let keys: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(include_str!(
        "../../../cli/tests/fixtures/synapse-keys.json"
    ))
    .unwrap();
    let keys = Pinned(keys);
    let version = version("12");
    for event in &events {
        let event = object(&event.to_string());
        let rules = RoomVersionId::V12.rules().unwrap();
        let event_id = format!("${}", reference_hash(&tree(&event), &rules).unwrap());
        let pdu = Pdu::judge(event.to_value()).unwrap();
        assert_eq!(
            check_past_event(&*version, &pdu, &keys),
            Ok(Receipt::Good { event_id })
        );
    }
    assert!(events.len() > 15);
    let first = Pdu::judge(object(&events[0].to_string()).to_value()).unwrap();
    assert!(check_past_event(&*version, &first, &EventKeySet::new()).is_err());
}

/// Keys without a document: what an operator wrote down.
struct Pinned(BTreeMap<String, BTreeMap<String, String>>);

impl comity_core::event::EventKeys for Pinned {
    fn event_key(
        &self,
        server: &comity_core::ServerName,
        key: &comity_core::auth::KeyId,
        _: Option<i64>,
        _: bool,
    ) -> Option<comity_core::auth::VerifyKey> {
        let key = self.0.get(server.as_str())?.get(key.as_str())?;
        comity_core::auth::VerifyKey::from_base64(key).ok()
    }
}
