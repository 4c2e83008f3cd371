//! What becomes of good events and bad ones, side by side.

use std::sync::Arc;

use comity_core::{
    api::SendTransaction,
    call::Endpoint,
    endpoint::{Content, EndpointParts},
    event::{
        EventFault, EventKeySet, Pdu, Receipt, check_event, check_past_event,
        room_version::{RoomVersionEntry, RoomVersions, Rule},
    },
    json::{ObjectWriter, Value},
};

use crate::setting::{DAY_MS, house, message, object, pdu, text, version};

#[test]
fn a_forged_a_mis_hashed_and_an_oversized_event_meet_their_fate_and_their_neighbours_pass() {
    let version = version("12");
    let one = house("one.example");
    let (good_id, good) = one.event(&*version, &message("one.example", "first"));
    // By another key of the same ID.
    let (forged_id, forged) =
        house("one.example").event(&*version, &message("one.example", "forged"));
    let (hashed_id, original) = one.event(&*version, &message("one.example", "original"));
    let content = object(r#"{"body":"tampered with","msgtype":"m.text"}"#).to_value();
    let mis_hashed = original
        .object()
        .with_member("content", &content)
        .to_value();
    let padding = format!(r#"{{"content":{{"body":"{}"}}}}"#, "x".repeat(65_536));
    let oversized = object(&padding).to_value();
    let (last_id, last) = one.event(&*version, &message("one.example", "last"));

    let mut body = ObjectWriter::new();
    body.string("origin", "one.example")
        .integer("origin_server_ts", 1);
    body.array(
        "pdus",
        [
            good.value().clone(),
            forged.into_value(),
            mis_hashed,
            oversized,
            last.value().clone(),
        ],
    );
    let parts = EndpointParts {
        path: vec!["txn".to_owned()],
        content: Content::Json(body.into_object()),
        ..EndpointParts::default()
    };
    let transaction = SendTransaction::read(&parts).unwrap();
    let fates: Vec<_> = transaction
        .pdus
        .iter()
        .map(|listed| {
            listed
                .as_ref()
                .map(|pdu| check_event(&*version, pdu, &one.keys()))
        })
        .collect();

    assert_eq!(fates[0], Ok(Ok(Receipt::Good { event_id: good_id })));
    let refusal = fates[1].clone().unwrap().unwrap_err();
    assert_eq!(refusal.event(), forged_id);
    assert_eq!(refusal.error().rule(), Rule::Signatures);
    assert_eq!(
        refusal.to_string(),
        format!(
            "{forged_id} is refused by the rules for signatures: the signature of one.example by ed25519:1 is wrong"
        )
    );
    let Ok(Ok(Receipt::Redacted { event_id, event })) = &fates[2] else {
        panic!("{:?}", fates[2]);
    };
    assert_eq!(*event_id, hashed_id);
    assert_eq!(event.content().unwrap().text(), "{}");
    assert_eq!(event.get("signatures"), original.get("signatures"));
    assert!(matches!(
        fates[3],
        Err(bad) if bad.index == 3 && matches!(bad.fault, EventFault::TooLarge { size } if size > 65_536)
    ));
    assert_eq!(fates[4], Ok(Ok(Receipt::Good { event_id: last_id })));
}

/// The event with one member changed, and the words that its refusal has to say.
#[track_caller]
fn refused(change: impl Fn(&str) -> String, rule: Rule, words: &str) {
    let version = version("12");
    let one = house("one.example");
    let changed = change(&message("one.example", "x"));
    // Signed as it is, so that only what is tried can be at fault.
    let (id, event) = one.event(&*version, &changed);
    let refusal = check_event(&*version, &event, &one.keys()).unwrap_err();
    assert_eq!(refusal.error().rule(), rule, "{refusal}");
    assert!(refusal.to_string().contains(words), "{refusal}");
    assert_eq!(refusal.event(), id);
}

#[test]
fn what_an_event_lacks_or_exceeds_is_named() {
    let replace = |from: &'static str, to: &'static str| {
        move |event: &str| {
            assert!(event.contains(from));
            event.replace(from, to)
        }
    };
    let format = Rule::Format;
    refused(
        replace(r#""depth":7"#, r#""depth":-1"#),
        format,
        "`depth` is negative",
    );
    refused(
        replace(r#""depth":7"#, r#""depth":"7""#),
        format,
        "`depth` is a string",
    );
    refused(replace(r#""depth":7,"#, ""), format, "`depth` is missing");
    refused(
        replace(r#"["$p"]"#, "null"),
        format,
        "`prev_events` is null",
    );
    refused(
        replace(r#"["$p"]"#, "[7]"),
        format,
        "an entry of `prev_events` is no event ID",
    );
    refused(
        replace(r#""room_id":"!r:one.example","#, ""),
        format,
        "`room_id` is missing",
    );
    refused(
        replace("\"$a\"", "\"$r:one.example\""),
        format,
        "holds the create event",
    );
    let long = |event: &str| event.replace("m.room.message", &"é".repeat(128));
    refused(
        long,
        Rule::Size,
        "`type` has 256 bytes, more than the limit of 255",
    );
    let many = |count: usize| vec![r#""$p""#; count].join(",");
    let crowded = |event: &str| event.replace(r#""$p""#, &many(21));
    refused(
        crowded,
        Rule::Size,
        "`prev_events` has 21 entries, more than the limit of 20",
    );
}

#[test]
fn an_old_event_may_have_more_references_than_a_new_one() {
    let version = version("12");
    let one = house("one.example");
    let crowded = message("one.example", "x").replace(r#""$p""#, &vec![r#""$p""#; 21].join(","));
    let (event_id, event) = one.event(&*version, &crowded);
    assert!(check_event(&*version, &event, &one.keys()).is_err());
    assert_eq!(
        check_past_event(&*version, &event, &one.keys()),
        Ok(Receipt::Good { event_id })
    );
}

#[test]
fn an_event_without_an_id_is_named_by_type_and_sender() {
    let version = version("12");
    let refusal = check_event(
        &*version,
        &pdu(r#"{"content":{},"sender":"@a:one.example\u0007"}"#),
        &EventKeySet::new(),
    );
    assert_eq!(
        refusal.unwrap_err().to_string(),
        "an event of type ? by @a:one.example\\u{7} without an ID is refused by the rules for event format: `type` is missing"
    );
}

/// A number that canonical JSON does not have.
fn odd() -> Value {
    object(r#"{"n":1.5}"#).get("n").unwrap()
}

/// An event of a version that bears odd numbers, or not, signed by the rules of version 12, where nobody minds what is in the content.
fn with_odd(event: &Pdu, name: &str) -> Pdu {
    let member = match name {
        "content" | "unsigned" => object(r#"{"a":1.5}"#).to_value(),
        _ => odd(),
    };
    Pdu::judge(event.object().with_member(name, &member).to_value()).unwrap()
}

#[test]
fn a_number_beyond_canonical_json_is_refused_since_version_6() {
    let one = house("one.example");
    for id in ["6", "10", "12"] {
        let version = version(id);
        let (_, event) = one.event(&*version, &message("one.example", "x"));
        for name in ["odd", "content", "unsigned", "depth"] {
            let refusal = check_event(&*version, &with_odd(&event, name), &one.keys());
            let refusal = refusal.expect_err("it is not canonical");
            assert_eq!(
                refusal.error().rule(),
                Rule::CanonicalForm,
                "version {id}, {name}"
            );
        }
    }
}

#[test]
fn before_that_only_what_cannot_be_checked_alike_is_unverifiable() {
    let one = house("one.example");
    for id in ["1", "3", "5"] {
        let version = version(id);
        let reference = if id == "1" {
            r#"["$p",{"sha256":"h"}]"#
        } else {
            r#""$p""#
        };
        let text = message("one.example", "x")
            .replace(r#"["$p"]"#, &format!("[{reference}]"))
            .replace(r#"["$a"]"#, "[]");
        let (event_id, event) = one.event(&*version, &text);
        let check = |event: &Pdu| check_event(&*version, event, &one.keys());

        // No hash and no signature covers it.
        let good = Ok(Receipt::Good {
            event_id: event_id.clone(),
        });
        assert_eq!(check(&with_odd(&event, "unsigned")), good, "version {id}");
        // A redaction removes it: the signature holds, only the hash cannot be known.
        for name in ["content", "odd"] {
            match check(&with_odd(&event, name)) {
                Ok(Receipt::Unverifiable {
                    event_id: Some(known),
                    why,
                }) => {
                    assert_eq!((known, why.rule()), (event_id.clone(), Rule::CanonicalForm));
                }
                other => panic!("version {id}, {name}: {other:?}"),
            }
        }
        let forged = with_odd(&event, "content")
            .object()
            .with_member("depth", &Value::integer(8));
        let forged = check(&Pdu::judge(forged.to_value()).unwrap()).unwrap_err();
        assert_eq!(forged.error().rule(), Rule::Signatures, "version {id}");
        // It is signed: nobody can tell.
        match check(&with_odd(&event, "depth")) {
            Ok(Receipt::Unverifiable {
                event_id: known, ..
            }) => {
                assert_eq!(known.is_some(), id == "1", "version {id}: {known:?}");
            }
            other => panic!("version {id}: {other:?}"),
        }
        // What is wrong anyway is refused anyway.
        let shapeless = with_odd(&event, "odd")
            .object()
            .with_member("type", &Value::null());
        let shapeless = check(&Pdu::judge(shapeless.to_value()).unwrap()).unwrap_err();
        assert_eq!(shapeless.error().rule(), Rule::Format, "version {id}");
    }
}

#[test]
fn events_refer_to_others_as_their_version_does() {
    let one = house("one.example");
    let pair = r#"["$p",{"sha256":"h"}]"#;
    for (id, reference, good) in [
        ("1", pair, true),
        ("2", pair, true),
        ("1", r#""$p""#, false),
        ("1", r#"["$p"]"#, false),
        ("2", r#"["$p",{"sha256":1}]"#, false),
        ("2", r#"["$p",{"sha256":"h"},1]"#, false),
        ("3", r#""$p""#, true),
        ("12", r#""$p""#, true),
        ("3", pair, false),
        ("12", pair, false),
    ] {
        let version = version(id);
        let text = message("one.example", "x")
            .replace(r#"["$p"]"#, &format!("[{reference}]"))
            .replace(r#"["$a"]"#, "[]");
        let (_, event) = one.event(&*version, &text);
        let got = check_event(&*version, &event, &one.keys());
        assert_eq!(got.is_ok(), good, "version {id}, {reference}: {got:?}");
        if let Err(refusal) = got {
            assert_eq!(refusal.error().rule(), Rule::Format);
        }
    }
}

/// Live servers take about a thousand levels: an event that they take and we refuse would split the room.
#[test]
fn an_event_is_as_deep_as_the_limit_allows() {
    let one = house("one.example");
    let mut versions = RoomVersions::matrix();
    let entry = RoomVersionEntry::new(
        "jcs",
        comity_core::call::Edition::Ietf,
        Arc::new(crate::jcs::Linear),
    );
    versions.register(entry).unwrap();
    for id in ["4", "12", "jcs"] {
        let version = versions.get(id).unwrap().rules();
        for depth in [126, 127, 128, 500, 998] {
            let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let text =
                message("one.example", "x").replace(r#""body":"x""#, &format!(r#""body":{deep}"#));
            let text = match id {
                "jcs" => {
                    format!(r#"{{"content":{{"body":{deep}}},"hub":"one.example","more":{deep}}}"#)
                }
                _ => text,
            };
            let (event_id, event) = one.event(&**version, &text);
            assert_eq!(
                check_event(&**version, &event, &one.keys()),
                Ok(Receipt::Good { event_id }),
                "version {id}, {depth} levels"
            );
            let kept = object(&format!(
                r#"{{"content":{{"creator":"c","deep":{deep}}},"type":"m.room.create"}}"#
            ));
            let redacted = version.redact(&kept).unwrap();
            assert_eq!(redacted.text() == kept.text(), id == "12", "version {id}");
        }
    }
}

#[test]
fn signatures_of_every_required_server_are_wanted() {
    let version = version("12");
    let (one, two) = (house("one.example"), house("two.example"));
    let join = format!(
        r#"{{"auth_events":[],"content":{{"join_authorised_via_users_server":"@b:two.example","membership":"join"}},"depth":7,
        "origin_server_ts":{},"prev_events":[],"room_id":"!r","sender":"@a:one.example","state_key":"@a:one.example","type":"m.room.member"}}"#,
        comity_core::auth::now_ms()
    );
    let (event_id, event) = one.event(&*version, &join);
    let keys = one.keys().with(two.document());
    let refusal = check_event(&*version, &event, &keys).unwrap_err();
    assert!(
        refusal.to_string().contains("two.example did not sign it"),
        "{refusal}"
    );
    let event = comity_core::event::add_signature(&*version, &event, &two.name, &two.key).unwrap();
    assert_eq!(
        check_event(&*version, &event, &keys),
        Ok(Receipt::Good { event_id })
    );
}

#[test]
fn signatures_by_unknown_keys_do_not_count_and_known_ones_all_do() {
    let version = version("12");
    let one = house("one.example");
    let (event_id, event) = one.event(&*version, &message("one.example", "x"));
    let with = |key_id: &str, signature: &str| {
        let signatures = event.get("signatures").unwrap();
        let signatures = comity_core::json::Object::from_value(&signatures).unwrap();
        let own = comity_core::json::Object::from_value(&signatures.get("one.example").unwrap())
            .unwrap()
            .with_member(key_id, &text(signature));
        let signatures = signatures.with_member("one.example", &own.to_value());
        pdu(event
            .object()
            .with_member("signatures", &signatures.to_value())
            .to_value()
            .as_text())
    };
    let good = Ok(Receipt::Good { event_id });
    for key_id in ["ed25519:unknown", "curve448:1", "no key ID", ""] {
        assert_eq!(
            check_event(&*version, &with(key_id, "AAAA"), &one.keys()),
            good,
            "{key_id}"
        );
    }
    for signature in ["AAAA", "not base64!", ""] {
        let refusal = check_event(&*version, &with("ed25519:1", signature), &one.keys());
        assert_eq!(refusal.unwrap_err().error().rule(), Rule::Signatures);
    }
    let refusal = check_event(&*version, &event, &EventKeySet::new()).unwrap_err();
    assert!(
        refusal.to_string().contains("known and was valid"),
        "{refusal}"
    );
}

#[test]
fn a_key_counts_for_the_time_in_which_it_was_valid() {
    let one = house("one.example");
    let later = comity_core::auth::now_ms() + 2 * DAY_MS;
    let future = |event: &str| {
        let event = object(event).with_member("origin_server_ts", &Value::integer(later));
        event.to_value().as_text().to_owned()
    };
    for (id, enforced) in [("4", false), ("5", true), ("12", true)] {
        let version = version(id);
        let (_, event) = one.event(&*version, &future(&message("one.example", "x")));
        let got = check_event(&*version, &event, &one.keys());
        assert_eq!(got.is_err(), enforced, "version {id}: {got:?}");
    }
}

#[test]
fn hashes_are_required_and_read_tolerantly() {
    let version = version("12");
    let one = house("one.example");
    let (event_id, event) = one.event(&*version, &message("one.example", "x"));
    let hash = event.get("hashes").unwrap();
    let padded = hash.as_text().replace("\"}", "=\"}");
    let padded = event
        .object()
        .with_member("hashes", &object(&padded).to_value());
    // The hash is signed: what changes it has to be signed again.
    let signed = padded.filtered(|name| name != "signatures");
    let signed = comity_core::event::add_signature(
        &*version,
        &Pdu::judge(signed.to_value()).unwrap(),
        &one.name,
        &one.key,
    )
    .unwrap();
    let got = check_event(&*version, &signed, &one.keys()).unwrap();
    assert!(matches!(got, Receipt::Good { event_id: id } if id != event_id));

    let bare = event
        .object()
        .filtered(|name| name != "hashes" && name != "signatures");
    let bare = Pdu::judge(bare.to_value()).unwrap();
    let bare = comity_core::event::add_signature(&*version, &bare, &one.name, &one.key).unwrap();
    let refusal = check_event(&*version, &bare, &one.keys()).unwrap_err();
    assert_eq!(refusal.error().rule(), Rule::Hashes);
}

#[test]
fn an_event_of_any_shape_is_judged_without_panic() {
    let version = version("11");
    for text in [
        "{}",
        r#"{"type":null}"#,
        r#"{"type":"m.room.member","content":[],"sender":"@a","signatures":[]}"#,
        r#"{"type":"m.room.member","content":{"membership":{}},"sender":7}"#,
        r#"{"type":"x","content":{"a":1e999},"hashes":7}"#,
    ] {
        let event = pdu(text);
        assert!(check_event(&*version, &event, &EventKeySet::new()).is_err());
        let _ = version.event_id(event.object());
    }
}
