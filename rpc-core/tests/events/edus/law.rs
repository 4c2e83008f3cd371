//! What can be read is written again as it was; reading changes nothing and panics at nothing.

use comity_core::event::edu::{Edu, KnownEdu};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof, proptest},
    prop_assert_eq,
    sample::select,
};

use super::{of_type, server};

pub(crate) fn written(known: &KnownEdu) -> Edu {
    let written = match known {
        KnownEdu::Typing(content) => Edu::new(content),
        KnownEdu::Presence(content) => Edu::new(content),
        KnownEdu::Receipts(content) => Edu::new(content),
        KnownEdu::DeviceListUpdate(content) => Edu::new(content),
        KnownEdu::SigningKeyUpdate(content) => Edu::new(content),
        KnownEdu::DirectToDevice(content) => Edu::new(content),
        _ => panic!("a seventh type"),
    };
    written.unwrap()
}

/// Names and values as the six types have them, in any place.
fn anything() -> impl Strategy<Value = String> {
    let name = || {
        select(
            &[
                "room_id",
                "user_id",
                "typing",
                "push",
                "presence",
                "status_msg",
                "last_active_ago",
                "currently_active",
                "!r:x",
                "m.read",
                "@a:x",
                "data",
                "ts",
                "thread_id",
                "event_ids",
                "device_id",
                "stream_id",
                "prev_id",
                "deleted",
                "keys",
                "master_key",
                "sender",
                "type",
                "message_id",
                "messages",
                "*",
                "org.example.x",
                "\\u0000",
                "é",
            ][..],
        )
    };
    let leaf = prop_oneof![
        select(
            &[
                "null",
                "true",
                "\"\"",
                "\"@a:x\"",
                "\"online\"",
                "1.5",
                "-1",
                "9007199254740992",
                "[]",
                "{}"
            ][..]
        )
        .prop_map(str::to_owned),
        any::<u32>().prop_map(|number| number.to_string()),
    ];
    leaf.prop_recursive(5, 48, 5, move |inner| {
        let array = vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(",")));
        let object = vec((name(), inner), 0..6).prop_map(|members| {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("\"{name}\":{value}"))
                .collect();
            format!("{{{}}}", members.join(","))
        });
        prop_oneof![1 => array, 3 => object]
    })
}

/// A content of each type, mostly as it should be.
fn nearly() -> impl Strategy<Value = (&'static str, String)> {
    let spoilt = |edu_type: &'static str, content: &'static str| {
        (
            any::<bool>(),
            anything(),
            select(&["\"org.example.x\"", "\"keys\"", "\"push\"", "\"user_id\""][..]),
        )
            .prop_map(move |(more, value, name)| {
                let content = content.strip_suffix('}').unwrap();
                let more = if more {
                    format!(",{name}:{value}")
                } else {
                    String::new()
                };
                (edu_type, format!("{content}{more}}}"))
            })
    };
    prop_oneof![
        spoilt(
            "m.typing",
            r#"{"room_id":"!r:x","typing":true,"user_id":"@a:x"}"#
        ),
        spoilt(
            "m.presence",
            r#"{"push":[{"presence":"online","user_id":"@a:x"}]}"#
        ),
        spoilt(
            "m.receipt",
            r#"{"!r:x":{"m.read":{"@a:x":{"data":{"ts":1},"event_ids":["$e"]}}}}"#
        ),
        spoilt(
            "m.device_list_update",
            r#"{"device_id":"A","stream_id":0,"user_id":"@a:x"}"#
        ),
        spoilt("m.signing_key_update", r#"{"user_id":"@a:x"}"#),
        spoilt(
            "m.direct_to_device",
            r#"{"message_id":"1","messages":{"@b:y":{"D":{}}},"sender":"@a:x","type":"t"}"#
        ),
    ]
}

proptest! {
    #[test]
    fn what_can_be_read_is_written_as_it_was(
        (edu_type, content) in prop_oneof![
            nearly(),
            (
                select(&["m.typing", "m.presence", "m.receipt", "m.device_list_update", "m.signing_key_update", "m.direct_to_device", "x"][..]),
                prop_oneof![9 => anything(), 1 => Just("{}".to_owned())],
            ),
        ],
    ) {
        let edu = of_type(edu_type, &content);
        let before = edu.value().as_text().to_owned();
        if let Ok(Some(known)) = edu.known() {
            prop_assert_eq!(&written(&known), &edu);
            let again = written(&known).known();
            prop_assert_eq!(again, Ok(Some(known)));
        }
        let origin = server("x");
        let _ = edu.check_origin(&origin);
        let rooms = edu.rooms();
        if let Some(left) = edu.retain_rooms(|room| room.len() < 5) {
            let short: Vec<String> = rooms.iter().filter(|room| room.len() < 5).cloned().collect();
            prop_assert_eq!(left.rooms(), short);
        }
        prop_assert_eq!(edu.value().as_text(), before);
    }
}
