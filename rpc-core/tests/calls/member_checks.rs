//! What both sides check in a change of membership: each member of a template and of an event made wrong, one at a time.

use bytes::Bytes;
use comity_core::{
    api::*,
    error::{CallError, Delivery, FederationError, TransportErrorKind},
    event::{
        Pdu,
        room_version::{RoomVersion, RoomVersions},
    },
    json::{Json, Members, Object, Value},
};

use crate::homeserver::name;

const ROOM: &str = "!room:b.example";
const USER: &str = "@u:a.example:8448";

fn value(text: &str) -> Value {
    Value::parse(Bytes::copy_from_slice(text.as_bytes()), 1 << 20).unwrap()
}

/// A member event of `USER`, with one member replaced or left out.
fn event(membership: &str, name: &str, other: Option<&str>) -> Object {
    let text = format!(
        r#"{{"auth_events":[],"content":{{"membership":"{membership}"}},"depth":1,"hashes":{{"sha256":"x"}},"origin_server_ts":1,
            "prev_events":[],"room_id":"{ROOM}","sender":"{USER}","state_key":"{USER}","type":"m.room.member"}}"#
    );
    let mut members = Members::from_object(&Object::from_value(&value(&text)).unwrap());
    if !name.is_empty() {
        members.remove(name);
    }
    if let Some(other) = other {
        members.insert(name.to_owned(), value(other));
    }
    members.to_object()
}

fn pdu(object: &Object) -> Pdu {
    Pdu::judge(object.to_value()).unwrap()
}

fn rules() -> std::sync::Arc<dyn RoomVersion> {
    RoomVersions::matrix().get("10").unwrap().rules().clone()
}

/// What makes an event another than the one that is meant: member and value.
const WRONG: [(&str, Option<&str>); 17] = [
    ("type", None),
    ("type", Some("\"m.room.name\"")),
    ("type", Some("7")),
    ("room_id", None),
    ("room_id", Some("\"!other:b.example\"")),
    ("room_id", Some("null")),
    ("sender", None),
    ("sender", Some("\"@other:a.example\"")),
    ("sender", Some("[\"@u:a.example:8448\"]")),
    ("state_key", None),
    ("state_key", Some("\"\"")),
    ("state_key", Some("\"@other:b.example\"")),
    ("content", None),
    ("content", Some("{}")),
    ("content", Some("{\"membership\":\"ban\"}")),
    ("content", Some("{\"membership\":[\"join\"]}")),
    ("content", Some("\"join\"")),
];

fn make_join() -> MakeJoin {
    MakeJoin {
        room_id: ROOM.to_owned(),
        user_id: USER.to_owned(),
        versions: vec!["9".to_owned(), "10".to_owned()],
        ..MakeJoin::default()
    }
}

fn template(object: &Object, version: Option<&str>) -> MakeJoinReply {
    MakeJoinReply {
        room_version: version.map(str::to_owned),
        event: Some(Json::from_value(object.to_value())),
        ..MakeJoinReply::default()
    }
}

#[test]
fn a_template_is_what_was_asked_for_or_is_not_signed() {
    let good = event("join", "", None);
    let checked = make_join().check(&template(&good, Some("10"))).unwrap();
    assert_eq!(
        (checked.room_version.as_str(), checked.event),
        ("10", good.clone())
    );
    for (member, other) in WRONG {
        let bad = event("join", member, other);
        let fault = make_join().check(&template(&bad, Some("10"))).unwrap_err();
        assert!(
            fault.to_string().contains(member),
            "{fault} of {member} {other:?}"
        );
    }
    let none = MakeJoinReply {
        event: None,
        ..template(&good, Some("10"))
    };
    assert_eq!(make_join().check(&none), Err(TemplateFault::Missing));
    let CallError::Transport(error) = CallError::from(TemplateFault::Missing) else {
        panic!("nobody answered")
    };
    assert_eq!(error.kind(), TransportErrorKind::Protocol);
    assert_eq!(error.delivery(), Delivery::MaybeProcessed);
}

#[test]
fn a_template_is_of_a_version_that_was_asked_for() {
    let good = event("join", "", None);
    let asking = |versions: &[&str]| MakeJoin {
        versions: versions.iter().map(ToString::to_string).collect(),
        ..make_join()
    };
    for (asked, given, fits) in [
        (&["9", "10"][..], Some("9"), true),
        (&["9", "10"], Some("11"), false),
        (&["9", "10"], Some(""), false),
        // Absent is version 1, on both sides.
        (&["9", "10"], None, false),
        (&["1", "10"], None, true),
        (&[], None, true),
        (&[], Some("1"), true),
        (&[], Some("10"), false),
    ] {
        let got = asking(asked).check(&template(&good, given));
        match fits {
            true => assert_eq!(got.unwrap().room_version, given.unwrap_or("1")),
            false => assert!(
                matches!(got, Err(TemplateFault::RoomVersion(_))),
                "{asked:?} {given:?}"
            ),
        }
    }
}

#[test]
fn a_user_is_of_the_server_whose_name_stands_behind_the_first_colon() {
    for (user, server, is) in [
        (USER, "a.example:8448", true),
        (USER, "a.example", false),
        ("@u:a.example", "a.example:8448", false),
        ("@u:A.example", "a.example", false),
        ("@u:[::1]:1", "[::1]:1", true),
        ("@:a.example", "a.example", true),
        ("u:a.example", "a.example", false),
        ("@u", "a.example", false),
        ("@u:", "a.example", false),
        ("", "a.example", false),
        ("@a:b:c", "b", false),
    ] {
        assert_eq!(name(server).has_user(user), is, "{user} of {server}");
    }
    let error = make_join().check_user(&name("c.example")).unwrap_err();
    assert_eq!(
        (error.http_status(), error.errcode()),
        (403, Some("M_FORBIDDEN"))
    );
    make_join().check_user(&name("a.example:8448")).unwrap();
}

fn send_join(object: &Object) -> SendJoin {
    SendJoin {
        room_id: ROOM.to_owned(),
        event_id: rules().event_id(object).unwrap_or_default(),
        event: pdu(object),
        omit_members: None,
        extra_query: Default::default(),
    }
}

/// The member that an answer to a peer names, whose code is always the same.
#[track_caller]
fn assert_names(fault: MemberFault, member: &str) {
    let error = FederationError::from(fault);
    assert_eq!(
        (error.http_status(), error.errcode()),
        (400, Some("M_INVALID_PARAM"))
    );
    assert!(
        error.message().contains(member),
        "{error} does not name {member}"
    );
}

#[test]
fn a_join_is_the_senders_own_to_this_room_or_is_not_taken() {
    let origin = name("a.example:8448");
    let good = event("join", "", None);
    send_join(&good).check(&origin, None).unwrap();
    send_join(&good).check(&origin, Some(&*rules())).unwrap();
    for (member, other) in WRONG {
        let bad = event("join", member, other);
        let fault = send_join(&bad).check(&origin, None).unwrap_err();
        assert_names(fault, member);
    }
    // Both are another user of the origin: whose membership it is, the sender says.
    let fault = send_join(&event("join", "state_key", Some("\"@v:a.example:8448\"")))
        .check(&origin, None)
        .unwrap_err();
    assert_eq!(fault, MemberFault::StateKey);
    let fault = send_join(&good)
        .check(&name("c.example"), None)
        .unwrap_err();
    assert_eq!(fault, MemberFault::Sender(name("c.example")));
    for membership in ["knock", "leave", "invite", "ban", ""] {
        let fault = send_join(&event(membership, "", None)).check(&origin, None);
        assert_names(fault.unwrap_err(), "content.membership");
    }
}

#[test]
fn an_event_has_the_id_that_the_call_says_where_its_version_is_known() {
    let origin = name("a.example:8448");
    let good = event("join", "", None);
    let other = SendJoin {
        event_id: "$other".to_owned(),
        ..send_join(&good)
    };
    other.check(&origin, None).unwrap();
    let fault = other.check(&origin, Some(&*rules())).unwrap_err();
    assert_eq!(fault, MemberFault::EventId(send_join(&good).event_id));
    assert_names(fault, "ID");
    // Version 1 writes it into the event.
    let versions = RoomVersions::matrix();
    let first = versions.get("1").unwrap().rules();
    let fault = other.check(&origin, Some(&**first)).unwrap_err();
    assert!(matches!(fault, MemberFault::NoEventId(_)));
    let with_id = event("join", "event_id", Some("\"$other\""));
    let with_id = SendJoin {
        event: pdu(&with_id),
        ..other
    };
    with_id.check(&origin, Some(&**first)).unwrap();
}

#[test]
fn an_invite_is_of_a_user_of_the_receiver() {
    let (origin, receiver) = (name("a.example:8448"), name("b.example"));
    let invite = |object: &Object| Invite {
        room_id: ROOM.to_owned(),
        event_id: rules().event_id(object).unwrap_or_default(),
        room_version: "10".to_owned(),
        event: pdu(object),
        invite_room_state: None,
        extra: Members::new(),
        extra_query: Default::default(),
    };
    let good = event("invite", "state_key", Some("\"@v:b.example\""));
    invite(&good)
        .check(&origin, &receiver, Some(&*rules()))
        .unwrap();
    for state_key in [
        None,
        Some("\"@v:c.example\""),
        Some("\"@u:a.example:8448\""),
        Some("\"b.example\""),
        Some("7"),
    ] {
        let bad = event("invite", "state_key", state_key);
        let fault = invite(&bad).check(&origin, &receiver, None).unwrap_err();
        assert_eq!(fault, MemberFault::Invited(receiver.clone()));
    }
    for (member, other) in WRONG
        .into_iter()
        .filter(|(member, _)| *member != "state_key")
    {
        let bad = event("invite", member, other);
        let fault = invite(&bad).check(&origin, &receiver, None).unwrap_err();
        assert_names(fault, member);
    }
}

/// Every operation that hands over such an event checks it so, and every one that asks for a template.
#[test]
fn knocks_leaves_and_the_first_versions_are_checked_alike() {
    let origin = name("a.example:8448");
    let request = |event: &Object| {
        let id = rules().event_id(event).unwrap_or_default();
        (ROOM.to_owned(), id, pdu(event), Default::default())
    };
    macro_rules! check {
        ($Send:ident, $event:expr) => {{
            let (room_id, event_id, event, extra_query) = request($event);
            let request = $Send {
                room_id,
                event_id,
                event,
                extra_query,
            };
            request.check(&origin, Some(&*rules()))
        }};
    }
    for wrong in [None, Some("sender"), Some("room_id")] {
        let event = |membership| event(membership, wrong.unwrap_or_default(), None);
        for (operation, result) in [
            ("SendJoinV1", check!(SendJoinV1, &event("join"))),
            ("SendKnock", check!(SendKnock, &event("knock"))),
            ("SendLeave", check!(SendLeave, &event("leave"))),
            ("SendLeaveV1", check!(SendLeaveV1, &event("leave"))),
        ] {
            assert_eq!(result.is_ok(), wrong.is_none(), "{operation}: {result:?}");
        }
    }
    for result in [
        check!(SendJoinV1, &event("leave", "", None)),
        check!(SendKnock, &event("join", "", None)),
        check!(SendLeave, &event("ban", "", None)),
        check!(SendLeaveV1, &event("join", "", None)),
    ] {
        assert_names(result.unwrap_err(), "content.membership");
    }
    let (room_id, event_id, event_, extra_query) =
        request(&event("invite", "state_key", Some("\"@v:b.example\"")));
    let invite = InviteV1 {
        room_id,
        event_id,
        event: event_,
        extra_query,
    };
    invite
        .check(&origin, &name("b.example"), Some(&*rules()))
        .unwrap();
    invite.check(&origin, &name("c.example"), None).unwrap_err();

    let knock = MakeKnock {
        room_id: ROOM.to_owned(),
        user_id: USER.to_owned(),
        versions: vec!["10".to_owned()],
        ..MakeKnock::default()
    };
    let leave = MakeLeave {
        room_id: ROOM.to_owned(),
        user_id: USER.to_owned(),
        ..MakeLeave::default()
    };
    let template = |membership: &str| Json::from_value(event(membership, "", None).to_value());
    for (membership, version) in [("knock", "10"), ("leave", "10"), ("knock", "11")] {
        let reply = MakeKnockReply {
            room_version: version.to_owned(),
            event: template(membership),
            extra: Members::new(),
        };
        let fits = (membership, version) == ("knock", "10");
        assert_eq!(knock.check(&reply).is_ok(), fits);
    }
    for (membership, version) in [
        ("leave", Some("10")),
        ("leave", None),
        ("knock", Some("10")),
    ] {
        let reply = MakeLeaveReply {
            room_version: version.map(str::to_owned),
            event: Some(template(membership)),
            extra: Members::new(),
        };
        let checked = leave.check(&reply, |version| version == "10");
        assert_eq!(
            checked.is_ok(),
            (membership, version) == ("leave", Some("10"))
        );
    }
    for result in [
        knock.check_user(&name("c.example")),
        leave.check_user(&name("c.example")),
    ] {
        assert_eq!(result.unwrap_err().http_status(), 403);
    }
}

#[test]
fn an_invite_that_is_exchanged_is_of_a_user_of_the_caller() {
    let origin = name("a.example:8448");
    let check = |change: &dyn Fn(&mut ExchangeThirdPartyInvite)| {
        let content = br#"{"membership":"invite","third_party_invite":{}}"#;
        let content = Object::parse(content[..].into(), 1 << 10).unwrap();
        let mut request = ExchangeThirdPartyInvite {
            room_id: ROOM.to_owned(),
            event_type: "m.room.member".to_owned(),
            event_room_id: Some(ROOM.to_owned()),
            sender: "@v:b.example".to_owned(),
            state_key: "@u:a.example:8448".to_owned(),
            content: comity_core::json::Json::from_value(content.to_value()),
            extra: Members::new(),
            extra_query: Default::default(),
        };
        change(&mut request);
        request.check(&origin)
    };
    check(&|_| {}).unwrap();
    check(&|it| it.event_room_id = None).unwrap();
    for user in ["@u:a.example", "@v:b.example", "a.example:8448", ""] {
        let fault = check(&|it| it.state_key = user.to_owned()).unwrap_err();
        assert_eq!(fault, MemberFault::Invited(origin.clone()), "{user}");
    }
    let join = Object::parse(br#"{"membership":"join"}"#[..].into(), 1 << 10).unwrap();
    let join = comity_core::json::Json::from_value(join.to_value());
    assert_names(
        check(&|it| it.event_type = "m.room.name".to_owned()).unwrap_err(),
        "type",
    );
    assert_names(
        check(&|it| it.event_room_id = Some("!other:b.example".to_owned())).unwrap_err(),
        "room_id",
    );
    assert_names(
        check(&|it| it.content = join.clone()).unwrap_err(),
        "membership",
    );
}
