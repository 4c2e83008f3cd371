//! The registry of event types: consulted, never required.

use comity_core::{
    call::Edition,
    event::{
        Pdu,
        types::{ContentFault, EventTypeEntry, EventTypeError, EventTypes},
    },
};

use crate::setting::pdu;

fn event(event_type: &str, content: &str) -> Pdu {
    pdu(&format!(r#"{{"content":{content},"type":"{event_type}"}}"#))
}

/// What the registry says of the event: the type's name, nothing, or the fault in words.
fn verdict(event_type: &str, content: &str) -> Result<Option<String>, String> {
    EventTypes::matrix()
        .check(&event(event_type, content))
        .map(|entry| entry.map(|entry| entry.name().to_owned()))
        .map_err(|fault| fault.to_string())
}

#[test]
fn types_of_the_specification_say_who_defines_them() {
    let types = EventTypes::matrix();
    for name in [
        "m.room.create",
        "m.room.member",
        "m.room.power_levels",
        "m.room.join_rules",
        "m.room.server_acl",
        "m.room.third_party_invite",
        "m.room.history_visibility",
        "m.room.policy",
    ] {
        let entry = types.get(name).unwrap();
        assert_eq!(entry.namespace(), "m");
        assert_eq!(entry.edition(), Some(Edition::Matrix));
        assert!(entry.defined_by().contains("v1.19"));
        assert!(entry.has_check());
    }
}

#[test]
fn an_unknown_type_passes_and_so_does_an_event_without_one() {
    assert_eq!(verdict("org.example.tank", "7"), Ok(None));
    assert!(EventTypes::matrix().check(&pdu("{}")).unwrap().is_none());
    assert!(
        EventTypes::matrix()
            .check(&pdu(r#"{"type":7}"#))
            .unwrap()
            .is_none()
    );
    assert!(
        EventTypes::new()
            .check(&event("m.room.member", "{}"))
            .unwrap()
            .is_none()
    );
}

#[test]
fn contents_as_servers_write_them_fit() {
    for (name, content) in [
        (
            "m.room.create",
            r#"{"creator":"@a:x","room_version":"10","m.federate":true,"org.example":[1]}"#,
        ),
        (
            "m.room.create",
            r#"{"additional_creators":["@b:x"],"predecessor":{"room_id":"!r"},"type":"m.space"}"#,
        ),
        (
            "m.room.member",
            r#"{"membership":"join","displayname":null,"avatar_url":null}"#,
        ),
        (
            "m.room.member",
            r#"{"membership":"invite","third_party_invite":{"display_name":"a","signed":{}}}"#,
        ),
        (
            "m.room.power_levels",
            r#"{"ban":50,"users":{"@a:x":"100","@b:x":-5},"events":{"m.room.name":50}}"#,
        ),
        ("m.room.power_levels", "{}"),
        (
            "m.room.join_rules",
            r#"{"join_rule":"restricted","allow":[{"type":"m.room_membership","room_id":"!r"}]}"#,
        ),
        ("m.room.join_rules", r#"{"join_rule":"org.example.whim"}"#),
        (
            "m.room.server_acl",
            r#"{"allow":["*"],"deny":["*.evil"],"allow_ip_literals":false}"#,
        ),
        ("m.room.third_party_invite", "{}"),
        (
            "m.room.policy",
            r#"{"via":"p.example","public_keys":{"ed25519":"6yhHGKhCiXTSEN2ksjV7kX_N6ShuoRqqkWWNlaZ1XhE"}}"#,
        ),
        ("m.room.policy", "{}"),
        (
            "m.room.history_visibility",
            r#"{"history_visibility":"shared"}"#,
        ),
        ("m.room.canonical_alias", r#"{"alias":null}"#),
    ] {
        assert_eq!(
            verdict(name, content),
            Ok(Some(name.to_owned())),
            "{content}"
        );
    }
}

#[test]
fn the_first_departure_is_named_by_its_path() {
    for (name, content, fault) in [
        (
            "m.room.member",
            "{}",
            "`content.membership`: expected one of ban, invite, join, knock, leave, but it is missing",
        ),
        (
            "m.room.member",
            r#"{"membership":"lurk"}"#,
            "`content.membership`: expected one of ban, invite, join, knock, leave",
        ),
        ("m.room.member", "[]", "the event has no object `content`"),
        (
            "m.room.create",
            r#"{"m.federate":"yes"}"#,
            "`content.m.federate`: expected a boolean",
        ),
        (
            "m.room.create",
            r#"{"predecessor":{"event_id":"$e"}}"#,
            "`content.predecessor.room_id`: expected a string, but it is missing",
        ),
        (
            "m.room.power_levels",
            r#"{"users":{"@a:x":1.5}}"#,
            "`content.users.@a:x`: expected an integer, or the text of one",
        ),
        (
            "m.room.power_levels",
            r#"{"users":[]}"#,
            "`content.users`: expected an object",
        ),
        (
            "m.room.join_rules",
            r#"{"join_rule":"restricted","allow":[{"type":"a"},7]}"#,
            "`content.allow[1]`: expected an object",
        ),
        (
            "m.room.server_acl",
            r#"{"deny":["a",null]}"#,
            "`content.deny[1]`: expected a string",
        ),
        (
            "m.room.policy",
            r#"{"via":"p.example"}"#,
            "`content.public_keys`: expected an object, but it is missing",
        ),
        (
            "m.room.third_party_invite",
            r#"{"display_name":"a"}"#,
            "`content.key_validity_url`: expected a string, but it is missing",
        ),
    ] {
        assert_eq!(
            verdict(name, content),
            Err(fault.to_owned()),
            "{name} {content}"
        );
    }
}

#[test]
fn a_vendor_registers_a_type_beside_both_editions() {
    let mut types = EventTypes::matrix().and(EventTypes::ietf()).unwrap();
    let level = EventTypeEntry::new(
        "org.example",
        "org.example.tank.level",
        "Example Tanks Ltd.",
    )
    .with_alias("com.example.draft.level")
    .with_check(
        |content| match content.get("litres").and_then(|it| it.as_i64()) {
            Some(_) => Ok(()),
            None => Err(ContentFault::Missing {
                member: "litres".to_owned(),
                expected: "an integer".to_owned(),
            }),
        },
    );
    types.register(level).unwrap();
    let found = types.check(&event("com.example.draft.level", r#"{"litres":9}"#));
    let entry = found.unwrap().unwrap();
    assert_eq!(
        (entry.name(), entry.edition()),
        ("org.example.tank.level", None)
    );
    assert!(types.check(&event("org.example.tank.level", "{}")).is_err());
    assert_eq!(
        types.get("m.message").unwrap().edition(),
        Some(Edition::Ietf)
    );
    assert!(
        types
            .check(&event("m.message", r#"{"m.text":[{"body":"a"}]}"#))
            .unwrap()
            .is_some()
    );
    assert!(types.check(&event("m.message", r#"{"body":"a"}"#)).is_err());
}

#[test]
fn a_taken_name_and_one_of_another_namespace_are_refused() {
    let mut types = EventTypes::matrix();
    let taken = |name: &str| Err(EventTypeError::Taken(name.to_owned()));
    let entry = |namespace: &str, name: &str| EventTypeEntry::new(namespace, name, "a test");
    assert_eq!(
        types.register(entry("m", "m.room.create")),
        taken("m.room.create")
    );
    let alias = entry("org.example", "org.example.a").with_alias("m.room.name");
    assert_eq!(types.register(alias), taken("m.room.name"));
    assert!(
        types.get("org.example.a").is_none(),
        "nothing is half registered"
    );
    for (namespace, name) in [
        ("m", "n.room"),
        ("m", "mroom"),
        ("m", "m."),
        ("m", "m"),
        ("", ".a"),
    ] {
        let error = types.register(entry(namespace, name)).unwrap_err();
        assert!(
            matches!(error, EventTypeError::NotOfNamespace { .. }),
            "{error}"
        );
    }
    let long = types
        .register(entry("m", &format!("m.{}", "x".repeat(254))))
        .unwrap_err();
    assert!(
        long.to_string()
            .contains("256 bytes, more than the limit of 255"),
        "{long}"
    );
}
