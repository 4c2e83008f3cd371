//! Whose users an EDU speaks for, and which rooms it belongs to.

use comity_core::event::edu::EduError;

use super::{edu, of_type, server};

#[test]
fn an_edu_speaks_only_for_users_of_its_origin() {
    assert!(server("x:8448").has_user("@a:x:8448"));
    for (user, name) in [
        ("@a:x", "x:8448"),
        ("@a:x:8448", "x"),
        ("@a:X", "x"),
        ("a:x", "x"),
        ("@a", "x"),
        ("@a:evil:x", "x"),
        ("", "x"),
    ] {
        assert!(!server(name).has_user(user), "{user} of {name}");
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
