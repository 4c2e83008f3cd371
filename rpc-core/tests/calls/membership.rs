//! The specification's examples of the calls about membership, and what stands within their events.

use bytes::Bytes;
use comity_core::{
    api::*,
    call::{Endpoint, Op, Reply, operation},
    endpoint::{Content, EndpointParts, Query, ReplyHead, read_reply},
    error::CallError,
    event::Pdu,
    json::Object,
};
use futures_util::{StreamExt, stream};

use crate::homeserver::pdu;

fn object(text: &str) -> Object {
    Object::parse(text.to_owned().into(), 1 << 20).unwrap()
}

fn parts(path: &[&str], content: &str) -> EndpointParts {
    EndpointParts {
        path: path.iter().map(|&text| text.to_owned()).collect(),
        query: Query::new(),
        content: Content::Json(object(content)),
    }
}

async fn reply(operation: Op, body: &str) -> Result<Reply, CallError> {
    let head = ReplyHead {
        status: 200,
        content_type: Some("application/json".to_owned()),
        ..ReplyHead::default()
    };
    let body = Bytes::copy_from_slice(body.as_bytes());
    read_reply(operation, head, stream::iter([Ok(body)]).boxed()).await
}

const LEAVE: &str = r#"{"content":{"membership":"leave"},"depth":0,"origin_server_ts":1549041175876,"sender":"@someone:example.org","state_key":"@someone:example.org","type":"m.room.member"}"#;

#[tokio::test]
async fn both_versions_of_a_call_take_the_same_event_and_give_the_same_reply() {
    let event = Pdu::judge(object(LEAVE).to_value()).unwrap();
    let path = ["!abc123:matrix.org", "$abc123:example.org"];
    let sent = SendLeave::read(&parts(&path, LEAVE)).unwrap();
    // The member `origin` is gone from events; the specification's own table still lists it.
    assert_eq!(sent.event, event);
    let first = SendLeaveV1::read(&parts(&path, LEAVE)).unwrap();
    assert_eq!(first.write(), sent.write());
    let form = comity_core::call::AnyRequest::write(&first).unwrap();
    let target = "/_matrix/federation/v1/send_leave/%21abc123%3Amatrix.org/%24abc123%3Aexample.org";
    assert_eq!(form.target(), target);

    let of_first = reply(operation::<SendLeaveV1>(), "[200,{\"x\":1}]").await;
    let of_second = reply(operation::<SendLeave>(), "{\"x\":1}").await;
    assert_eq!(
        of_first.unwrap().typed::<SendLeaveV1>().unwrap(),
        of_second.unwrap().typed::<SendLeave>().unwrap()
    );
    let bare = reply(operation::<SendLeave>(), "[200,{}]").await;
    assert!(bare.is_err());
}

#[tokio::test]
async fn the_first_version_of_a_join_streams_its_tuple() {
    let body =
        format!(r#"[200, {{"auth_chain": [{LEAVE}], "event": {{}}, "state": [7, {LEAVE}]}}]"#);
    let reply = reply(operation::<SendJoinV1>(), &body).await.unwrap();
    let mut reply: SendJoinReply = reply.typed::<SendJoinV1>().unwrap();
    let mut arrays = Vec::new();
    while let Some(arrival) = reply.next().await {
        arrays.push(format!("{:?}", arrival.unwrap()));
    }
    assert_eq!(arrays.len(), 3);
    assert!(arrays[1].contains("Bad"), "{arrays:?}");
    assert!(reply.finish().await.unwrap().event.is_some());
}

#[test]
fn the_first_version_of_an_invite_has_its_state_within_the_event() {
    let event = pdu(r#"{"type":"m.room.member","unsigned":{"age":1}}"#);
    let state = [Ok(pdu(r#"{"type":"m.room.create"}"#)), Ok(pdu("{}"))];
    let with_state = InviteV1::event_with_state(&event, &state).unwrap();
    assert_eq!(
        with_state.value().as_text(),
        r#"{"type":"m.room.member","unsigned":{"age":1,"invite_room_state":[{"type":"m.room.create"},{}]}}"#
    );
    let invite = |event| InviteV1 {
        room_id: "!r".to_owned(),
        event_id: "$e".to_owned(),
        event,
        extra_query: Query::new(),
    };
    let read = invite(with_state).invite_room_state().unwrap();
    assert_eq!(read.as_deref(), Some(&state[..]));
    let none = InviteV1::event_with_state(&pdu("{}"), &[]).unwrap();
    assert_eq!(invite(none).invite_room_state().unwrap(), Some(Vec::new()));
    for without in ["{}", r#"{"unsigned":null}"#, r#"{"unsigned":{}}"#] {
        assert_eq!(invite(pdu(without)).invite_room_state(), Ok(None));
    }
    let one_bad = pdu(r#"{"unsigned":{"invite_room_state":[{},null]}}"#);
    let judged = invite(one_bad).invite_room_state().unwrap().unwrap();
    assert_eq!((judged[0].is_ok(), judged[1].is_ok()), (true, false));
    let odd = pdu(r#"{"unsigned":{"invite_room_state":{}}}"#);
    let error = invite(odd).invite_room_state().unwrap_err();
    assert_eq!(error.member(), "invite_room_state");

    let elements = vec!["0"; Invite::MAX_STATE + 1].join(",");
    let many = object(&format!(
        r#"{{"unsigned":{{"invite_room_state":[{elements}]}}}}"#
    ));
    let many = invite(Pdu::judge(many.to_value()).unwrap());
    let error = many.invite_room_state().unwrap_err().to_string();
    assert!(error.contains("1001 elements"), "{error}");
    let large = object(&format!(r#"{{"content":"{}"}}"#, "x".repeat(60_000)));
    let large = [Ok(Pdu::judge(large.to_value()).unwrap())];
    assert!(InviteV1::event_with_state(&event, &large).is_ok());
    let twice = [large.clone(), large].concat();
    let error = InviteV1::event_with_state(&event, &twice).unwrap_err();
    assert!(error.to_string().contains("65536"), "{error}");
}

#[test]
fn a_third_party_invite_says_what_was_signed() {
    let content = r#"{"content":{"membership":"invite","third_party_invite":{"display_name":"alice","signed":{"mxid":"@alice:localhost","signatures":{"magic.forest":{"ed25519:3":"fQpGIW1Snz+pwLZu6sTy2aHy/DYWWTspTJRPyNp0PKkymfIsNffysMl6ObMMFdIJhk6g6pwlIqZ54rxo8SLmAg"}},"token":"abc123"}}},"room_id":"!abc123:matrix.org","sender":"@joe:matrix.org","state_key":"@someone:example.org","type":"m.room.member"}"#;
    let parts = parts(&["!abc123:matrix.org"], content);
    let request = ExchangeThirdPartyInvite::read(&parts).unwrap();
    assert_eq!(request.write(), parts);
    assert_eq!(request.event_type, "m.room.member");
    assert_eq!(request.event_room_id.as_ref(), Some(&request.room_id));
    let content = request.content.read().unwrap();
    assert_eq!(content.membership, "invite");
    let signed = content.third_party_invite.signed;
    assert_eq!(
        (&*signed.mxid, &*signed.token),
        ("@alice:localhost", "abc123")
    );
    assert!(signed.signatures["magic.forest"].contains_key("ed25519:3"));
}

#[test]
fn a_time_may_be_any_and_a_direction_is_one_of_two() {
    let asked = |query: &[(&str, &str)]| {
        let mut parts = EndpointParts {
            path: vec!["!r".to_owned()],
            ..EndpointParts::default()
        };
        for (name, value) in query {
            parts.query.push(*name, *value);
        }
        GetEventByTimestamp::read(&parts)
    };
    let request = asked(&[("dir", "b"), ("ts", "-9223372036854775808")]).unwrap();
    assert_eq!(request.timestamp, i64::MIN);
    assert_eq!(request.direction, Direction::Backwards);
    let forwards = asked(&[("ts", "0"), ("dir", "f")]).unwrap();
    assert_eq!(forwards.direction.as_str(), "f");
    for (query, errcode) in [
        (&[("ts", "0")][..], "M_MISSING_PARAM"),
        (&[("dir", "f")], "M_MISSING_PARAM"),
        (&[("ts", "0"), ("dir", "F")], "M_INVALID_PARAM"),
        (&[("ts", "1.5"), ("dir", "f")], "M_INVALID_PARAM"),
    ] {
        let error = asked(query).unwrap_err();
        assert_eq!(error.errcode(), Some(errcode), "{query:?}");
    }
}
