//! Contents that are wrong, and EDUs of other types.

use comity_core::event::edu::{
    DeviceListUpdate, DirectToDevice, Edu, EduContent, EduError, MAX_ENTRIES, Presence, Typing,
};

use super::{edu, of_type, server};

/// What is said of a content that is wrong.
#[track_caller]
fn wrong(edu_type: &str, content: &str) -> String {
    of_type(edu_type, content).known().unwrap_err().to_string()
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
