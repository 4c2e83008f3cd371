//! Contents as they should be.

use comity_core::{
    event::edu::{
        DeviceListUpdate, DirectToDevice, Edu, EduContent, KnownEdu, Presence, PresenceState,
        Receipts, SigningKeyUpdate, Typing,
    },
    json::{Members, Object},
};

use super::{edu, law::written, of_type, server};
use crate::setting::object;

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
