//! What is in an ephemeral event: the specification's examples and a real server's, hostile ones, and the law that reading changes nothing.

use comity_core::{
    ServerName,
    event::edu::{
        DeviceListUpdate, DirectToDevice, Edu, EduContent, EduError, KnownEdu, MAX_ENTRIES,
        Presence, PresenceState, Receipts, SigningKeyUpdate, Typing, is_user_of,
    },
    json::{Members, Object, Value},
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof, proptest},
    prop_assert_eq,
    sample::select,
};

use crate::setting::object;

fn edu(text: &str) -> Edu {
    let value = Value::parse(text.to_owned().into(), usize::MAX).unwrap();
    Edu::judge(value).unwrap()
}

fn of_type(edu_type: &str, content: &str) -> Edu {
    edu(&format!(
        r#"{{"content":{content},"edu_type":"{edu_type}"}}"#
    ))
}

fn server(name: &str) -> ServerName {
    name.parse().unwrap()
}

/// The content of an EDU of this type, which is written again as it was.
#[track_caller]
fn read<C: EduContent>(edu_type: &str, content: &str) -> C {
    let edu = of_type(edu_type, content);
    let read = edu.read::<C>().unwrap().unwrap();
    assert_eq!(read.write(), object(content));
    if edu_type == C::TYPES[0] {
        assert_eq!(Edu::new(&read).unwrap(), edu);
    }
    read
}

/// What is said of a content that is wrong.
#[track_caller]
fn wrong(edu_type: &str, content: &str) -> String {
    of_type(edu_type, content).known().unwrap_err().to_string()
}

#[test]
fn typing_is_read() {
    let typing: Typing = read(
        "m.typing",
        r#"{"org.example.x":null,"room_id":"!somewhere:matrix.org","typing":true,"user_id":"@john:matrix.org"}"#,
    );
    assert_eq!(typing.room_id, "!somewhere:matrix.org");
    assert_eq!(typing.user_id, "@john:matrix.org");
    assert!(typing.typing);
    assert!(typing.extra.get("org.example.x").unwrap().is_null());
}

#[test]
fn presence_is_read() {
    let presence: Presence = read(
        "m.presence",
        r#"{"push":[{"currently_active":true,"last_active_ago":5000,"presence":"online","status_msg":"Making cupcakes","user_id":"@john:matrix.org"},{"presence":"org.matrix.msc3026.busy","user_id":"@jane:matrix.org","x":[]}]}"#,
    );
    let [john, jane] = &presence.push[..] else {
        panic!("{presence:?}");
    };
    assert_eq!(john.presence, PresenceState::Online);
    assert_eq!(john.status_msg.as_deref(), Some("Making cupcakes"));
    assert_eq!(john.last_active_ago, Some(5_000));
    assert_eq!(john.currently_active, Some(true));
    assert_eq!(jane.presence.as_str(), "org.matrix.msc3026.busy");
    assert_eq!(jane.extra.len(), 1);
    assert_eq!((jane.last_active_ago, jane.currently_active), (None, None));
}

#[test]
fn receipts_are_read() {
    let receipts: Receipts = read(
        "m.receipt",
        r#"{"!some_room:example.org":{"m.read":{"@john:matrix.org":{"data":{"thread_id":"main","ts":1533358089009},"event_ids":["$read_this_event:matrix.org"]}},"org.example.kind":{}}}"#,
    );
    let room = &receipts.rooms["!some_room:example.org"];
    let receipt = &room.read["@john:matrix.org"];
    assert_eq!(receipt.event_ids, ["$read_this_event:matrix.org"]);
    assert_eq!(receipt.data.ts, 1_533_358_089_009);
    assert_eq!(receipt.data.thread_id.as_deref(), Some("main"));
    assert!(room.extra.get("org.example.kind").is_some());
}

#[test]
fn device_list_updates_are_read() {
    let update: DeviceListUpdate = read(
        "m.device_list_update",
        r#"{"deleted":false,"device_display_name":"Mobile","device_id":"QBUAZIFURK","keys":{"device_id":"QBUAZIFURK"},"org.matrix.opentracing_context":"{}","prev_id":[5],"stream_id":6,"user_id":"@john:example.com"}"#,
    );
    assert_eq!(update.device_id, "QBUAZIFURK");
    assert_eq!(update.device_display_name.as_deref(), Some("Mobile"));
    assert_eq!((update.stream_id, update.prev_id), (6, Some(vec![5])));
    assert_eq!(update.deleted, Some(false));
    assert_eq!(
        update.keys.unwrap().value().as_text(),
        r#"{"device_id":"QBUAZIFURK"}"#
    );
    let least = r#"{"device_id":"A","stream_id":0,"user_id":"@a:b"}"#;
    let update: DeviceListUpdate = read("m.device_list_update", least);
    assert_eq!((update.prev_id, update.deleted), (None, None));
}

#[test]
fn signing_key_updates_are_read_by_either_name() {
    let content = r#"{"master_key":{"keys":{"ed25519:k":"k"},"usage":["master"],"user_id":"@alice:example.com"},"user_id":"@alice:example.com"}"#;
    for edu_type in ["m.signing_key_update", "org.matrix.signing_key_update"] {
        let update: SigningKeyUpdate = read(edu_type, content);
        assert_eq!(update.user_id, "@alice:example.com");
        assert!(update.master_key.is_some() && update.self_signing_key.is_none());
        let known = of_type(edu_type, content).known().unwrap().unwrap();
        assert_eq!(known, KnownEdu::SigningKeyUpdate(update));
    }
}

#[test]
fn messages_to_devices_are_read() {
    let sent: DirectToDevice = read(
        "m.direct_to_device",
        r#"{"message_id":"hiezohf6Hoo7kaev","messages":{"@alice:example.org":{"*":{"hello":1.5},"IWHQUZUIAH":{}}},"sender":"@john:example.com","type":"m.room_key_request"}"#,
    );
    assert_eq!(sent.sender, "@john:example.com");
    assert_eq!(sent.message_type, "m.room_key_request");
    assert_eq!(sent.message_id, "hiezohf6Hoo7kaev");
    let devices = &sent.messages["@alice:example.org"];
    assert_eq!(devices["*"].value().as_text(), r#"{"hello":1.5}"#);
    assert_eq!(devices.len(), 2);
}

#[test]
fn an_edu_is_read_as_what_it_is_and_as_nothing_else() {
    let typing = of_type(
        "m.typing",
        r#"{"room_id":"!r","typing":1,"user_id":"@a:b"}"#,
    );
    assert_eq!(typing.read::<Presence>(), Ok(None));
    assert!(typing.read::<Typing>().is_err());
    for unknown in [
        r#"{"content":{},"edu_type":"org.example.unknown"}"#,
        r#"{"content":{},"edu_type":7}"#,
        r#"{"content":{}}"#,
        "{}",
    ] {
        let unknown = edu(unknown);
        assert_eq!(unknown.known(), Ok(None));
        assert_eq!(unknown.check_origin(&server("x")), Ok(()));
        assert!(unknown.rooms().is_empty());
        assert_eq!(unknown.retain_rooms(|_| false), Some(unknown));
    }
    let without = edu(r#"{"edu_type":"m.typing"}"#).known().unwrap_err();
    assert!(without.to_string().contains("`content`"), "{without}");
}

#[test]
fn what_is_wrong_with_a_content_is_named_with_its_place() {
    for (edu_type, content, names) in [
        (
            "m.typing",
            r#"{"room_id":"!r","typing":true}"#,
            "`user_id`: expected a string, but it is missing",
        ),
        (
            "m.typing",
            r#"{"room_id":"!r","typing":"true","user_id":"@a:b"}"#,
            "`typing`: expected a boolean, found a string",
        ),
        ("m.presence", r#"{"push":{}}"#, "`push`: expected an array"),
        (
            "m.presence",
            r#"{"push":[{"presence":"online","user_id":"@a:b"},null]}"#,
            "`push[1]`: expected an object, found null",
        ),
        (
            "m.presence",
            r#"{"push":[{"presence":"online"}]}"#,
            "`push[0].user_id`",
        ),
        (
            "m.presence",
            r#"{"push":[{"last_active_ago":1.5,"presence":"online","user_id":"@a:b"}]}"#,
            "`push[0].last_active_ago`",
        ),
        (
            "m.receipt",
            r#"{"!r":{}}"#,
            "`!r.m.read`: expected an object, but it is missing",
        ),
        (
            "m.receipt",
            r#"{"!r":[]}"#,
            "`!r`: expected an object, found an array",
        ),
        (
            "m.receipt",
            r#"{"!r":{"m.read":{"@a:b":{"data":{},"event_ids":[]}}}}"#,
            "`!r.m.read.@a:b.data.ts`",
        ),
        (
            "m.receipt",
            r#"{"!r":{"m.read":{"@a:b":{"data":{"ts":1},"event_ids":[1]}}}}"#,
            "`!r.m.read.@a:b.event_ids`: expected an array of strings",
        ),
        (
            "m.receipt",
            r#"{"!r":{"m.read":{"@a:b":{"data":{"thread_id":0,"ts":1},"event_ids":[]}}}}"#,
            "`!r.m.read.@a:b.data.thread_id`",
        ),
        (
            "m.device_list_update",
            r#"{"device_id":"A","prev_id":[1,"2"],"stream_id":0,"user_id":"@a:b"}"#,
            "`prev_id[1]`: expected an integer",
        ),
        (
            "m.device_list_update",
            r#"{"device_id":"A","stream_id":9007199254740992,"user_id":"@a:b"}"#,
            "`stream_id`: expected an integer",
        ),
        (
            "m.device_list_update",
            r#"{"device_id":"A","keys":null,"stream_id":0,"user_id":"@a:b"}"#,
            "`keys`: expected an object, found null",
        ),
        ("m.signing_key_update", r#"{"master_key":[]}"#, "member `"),
        (
            "m.direct_to_device",
            r#"{"message_id":"1","messages":{"@a:b":{"D":[]}},"sender":"@a:b","type":"t"}"#,
            "`messages.@a:b.D`: expected an object, found an array",
        ),
        (
            "m.direct_to_device",
            r#"{"message_id":"1","messages":{"@a:b":7},"sender":"@a:b","type":"t"}"#,
            "`messages.@a:b`: expected an object",
        ),
        (
            "m.direct_to_device",
            r#"{"message_id":"1","messages":{},"sender":"@a:b"}"#,
            "`type`",
        ),
    ] {
        let why = wrong(edu_type, content);
        assert!(why.contains(names), "{why} does not name {names}");
    }
}

#[test]
fn ids_have_a_limit_in_bytes_and_message_ids_one_in_code_points() {
    let id = |bytes: usize| format!("@{}:b", "é".repeat((bytes - 3) / 2));
    let typing = |user: String| Typing {
        room_id: "!r".to_owned(),
        user_id: user,
        ..Typing::default()
    };
    assert!(Edu::new(&typing(id(255))).is_ok());
    let too_long = Err(EduError::IdTooLong {
        member: "user_id".to_owned(),
        size: 257,
    });
    assert_eq!(Edu::new(&typing(id(257))), too_long);
    let text = typing(id(257)).write();
    let read = of_type("m.typing", std::str::from_utf8(text.text()).unwrap()).read::<Typing>();
    assert_eq!(read.map(|_| ()), too_long.map(|_: Edu| ()));

    let sent = |length: usize| DirectToDevice {
        message_id: "é".repeat(length),
        ..DirectToDevice::default()
    };
    assert!(Edu::new(&sent(32)).is_ok());
    let error = Edu::new(&sent(33)).unwrap_err();
    assert_eq!(error, EduError::MessageIdTooLong { length: 33 });
    assert!(error.to_string().contains("33 code points"), "{error}");

    let long = "x".repeat(300);
    for (edu_type, content, names) in [
        (
            "m.receipt",
            format!(r#"{{"!{long}":{{"m.read":{{}}}}}}"#),
            "`!xxx",
        ),
        (
            "m.receipt",
            format!(
                r#"{{"!r":{{"m.read":{{"@a:b":{{"data":{{"ts":1}},"event_ids":["$","{long}"]}}}}}}}}"#
            ),
            "`!r.m.read.@a:b.event_ids[1]`",
        ),
        (
            "m.presence",
            format!(r#"{{"push":[{{"presence":"online","user_id":"{long}"}}]}}"#),
            "`push[0].user_id`",
        ),
        (
            "m.direct_to_device",
            format!(
                r#"{{"message_id":"1","messages":{{"{long}":{{}}}},"sender":"@a:b","type":"t"}}"#
            ),
            "`messages.xxx",
        ),
    ] {
        let why = wrong(edu_type, &content);
        assert!(why.contains(names) && why.contains("255"), "{why}");
        assert!(why.len() < 250, "{why}");
    }
}

#[test]
fn an_integer_that_no_reader_takes_is_not_written() {
    let update = DeviceListUpdate {
        stream_id: 1 << 53,
        ..DeviceListUpdate::default()
    };
    let error = Edu::new(&update).unwrap_err().to_string();
    assert!(error.contains("`stream_id`"), "{error}");
}

#[test]
fn a_content_is_taken_apart_only_so_far() {
    let users = |count: usize| {
        let user = |number| format!(r#""@{number:06}:x":{{}}"#);
        let users: Vec<String> = (0..count).map(user).collect();
        format!(
            r#"{{"message_id":"1","messages":{{{}}},"sender":"@a:b","type":"t"}}"#,
            users.join(",")
        )
    };
    // The content's own members count as well.
    let most = of_type("m.direct_to_device", &users(MAX_ENTRIES - 4));
    assert!(most.known().is_ok());
    let more = of_type("m.direct_to_device", &users(MAX_ENTRIES - 3));
    assert_eq!(more.known(), Err(EduError::TooManyEntries));
    assert!(more.read::<Typing>().unwrap().is_none());
    let list = format!(r#"{{"push":[{}0]}}"#, "0,".repeat(MAX_ENTRIES));
    let list = of_type("m.presence", &list);
    assert_eq!(list.known(), Err(EduError::TooManyEntries));
}

#[test]
fn an_edu_speaks_only_for_users_of_its_origin() {
    assert!(is_user_of("@a:x:8448", &server("x:8448")));
    for (user, name) in [
        ("@a:x", "x:8448"),
        ("@a:x:8448", "x"),
        ("@a:X", "x"),
        ("a:x", "x"),
        ("@a", "x"),
        ("@a:evil:x", "x"),
        ("", "x"),
    ] {
        assert!(!is_user_of(user, &server(name)), "{user} of {name}");
    }
    for (edu_type, content) in [
        (
            "m.typing",
            r#"{"room_id":"!r","typing":true,"user_id":"@a:x"}"#,
        ),
        (
            "m.presence",
            r#"{"push":[{"presence":"online","user_id":"@b:x"},{"presence":"online","user_id":"@a:x"}]}"#,
        ),
        (
            "m.receipt",
            r#"{"!q":{"m.read":{}},"!r":{"m.read":{"@a:x":{"data":{"ts":1},"event_ids":[]}}}}"#,
        ),
        (
            "m.device_list_update",
            r#"{"device_id":"A","stream_id":0,"user_id":"@a:x"}"#,
        ),
        ("org.matrix.signing_key_update", r#"{"user_id":"@a:x"}"#),
        (
            "m.direct_to_device",
            r#"{"message_id":"1","messages":{"@c:y":{}},"sender":"@a:x","type":"t"}"#,
        ),
    ] {
        let good = of_type(edu_type, content);
        assert_eq!(good.check_origin(&server("x")), Ok(()), "{edu_type}");
        let error = of_type(edu_type, &content.replace("@a:x", "@a:y"));
        let error = error.check_origin(&server("x")).unwrap_err();
        let expected = EduError::NotOfOrigin {
            user: "@a:y".to_owned(),
            origin: server("x"),
        };
        assert_eq!(error, expected, "{edu_type}");
        assert_eq!(error.to_string(), r#""@a:y" is no user of x"#);
    }
}

#[test]
fn the_rooms_of_an_edu_are_known_and_can_be_taken_out() {
    let typing = of_type("m.typing", r#"{"room_id":"!r:x","typing":7}"#);
    assert_eq!(typing.rooms(), ["!r:x"]);
    assert_eq!(
        typing.retain_rooms(|room| room == "!r:x"),
        Some(typing.clone())
    );
    assert_eq!(typing.retain_rooms(|_| false), None);
    assert!(of_type("m.typing", r#"{"room_id":7}"#).rooms().is_empty());
    assert!(
        edu(r#"{"content":[],"edu_type":"m.receipt"}"#)
            .rooms()
            .is_empty()
    );

    let receipt = edu(
        r#"{"content":{"!a":{"m.read":{}},"!b":{"x":1.5},"!c":null},"edu_type":"m.receipt","origin":"y"}"#,
    );
    assert_eq!(receipt.rooms(), ["!a", "!b", "!c"]);
    let kept = receipt.retain_rooms(|room| room != "!a").unwrap();
    assert_eq!(
        kept.value().as_text(),
        r#"{"content":{"!b":{"x":1.5},"!c":null},"edu_type":"m.receipt","origin":"y"}"#
    );
    assert_eq!(receipt.retain_rooms(|_| false), None);
    assert_eq!(receipt.retain_rooms(|_| true), Some(receipt));
    let presence = of_type("m.presence", r#"{"push":[]}"#);
    assert_eq!(presence.rooms(), Vec::<String>::new());
    assert_eq!(presence.retain_rooms(|_| false), Some(presence.clone()));
}

/// EDUs as Synapse sent them, with other users.
#[test]
fn a_real_servers_edus_are_read_and_written_as_they_were() {
    let real = [
        r#"{"content":{"message_id":"HSCLQPoTmZsytOTL","messages":{"@alice:localhost:18448":{"MMPIVBQYBM":{"hello":"device"}}},"org.matrix.opentracing_context":"{}","sender":"@bob:localhost:18449","type":"m.harness"},"edu_type":"m.direct_to_device"}"#,
        r#"{"content":{"push":[{"last_active_ago":9,"presence":"offline","user_id":"@bob:localhost:18449"}]},"edu_type":"m.presence"}"#,
        r#"{"content":{"!WWxG79bDe9UgxbEPSfC-v7S5O8AoRTRGxhFDRqkBf5U":{"m.read":{"@bob:localhost:18449":{"data":{"ts":1795311454426},"event_ids":["$PofyLEqgBWVJWIx0Y_FJDIk1iWIW1cbpvvw5KEzhtnw"]}}}},"edu_type":"m.receipt"}"#,
        r#"{"content":{"room_id":"!WWxG79bDe9UgxbEPSfC-v7S5O8AoRTRGxhFDRqkBf5U","typing":true,"user_id":"@bob:localhost:18449"},"edu_type":"m.typing"}"#,
        r#"{"content":{"master_key":{"keys":{"ed25519:nqOvzeuGWT/sRx3h7+MHoInYj3Uk2LD/unI9kDYcHwk":"nqOvzeuGWT/sRx3h7+MHoInYj3Uk2LD/unI9kDYcHwk"},"usage":["master"],"user_id":"@bob:localhost:18449"},"user_id":"@bob:localhost:18449"},"edu_type":"m.signing_key_update"}"#,
    ];
    for text in real {
        let edu = edu(text);
        let known = edu.known().unwrap().unwrap();
        assert_eq!(written(&known), edu);
        assert_eq!(edu.check_origin(&server("localhost:18449")), Ok(()));
        assert!(edu.check_origin(&server("localhost:18448")).is_err());
    }
}

fn written(known: &KnownEdu) -> Edu {
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

#[test]
fn what_is_known_is_not_overruled_by_what_is_not() {
    let mut extra = Members::new();
    extra.insert("room_id".to_owned(), Object::empty().to_value());
    let typing = Typing {
        room_id: "!r".to_owned(),
        extra,
        ..Typing::default()
    };
    assert_eq!(
        typing.write().text(),
        r#"{"room_id":"!r","typing":false,"user_id":""}"#
    );
}
