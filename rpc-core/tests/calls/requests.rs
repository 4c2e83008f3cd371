//! What a request or a reply of one operation says, and what it cannot.

use comity_core::{
    api::*,
    call::{AnyRequest, MessageForm},
    error::{CallError, Delivery},
    json::Object,
};

#[test]
fn a_request_without_a_required_parameter_is_not_sent() {
    let room_id = || "!r:a.example".to_owned();
    let requests: [(Box<dyn AnyRequest>, &str); 7] = [
        (
            Box::new(Backfill {
                room_id: room_id(),
                limit: 1,
                ..Default::default()
            }),
            "`v`",
        ),
        (
            Box::new(Backfill {
                room_id: room_id(),
                from: vec!["$a".to_owned(), String::new()],
                limit: 1,
                ..Default::default()
            }),
            "`v`",
        ),
        (
            Box::new(GetState {
                room_id: room_id(),
                ..Default::default()
            }),
            "`event_id`",
        ),
        (
            Box::new(GetStateIds {
                room_id: room_id(),
                ..Default::default()
            }),
            "`event_id`",
        ),
        (
            Box::new(MakeKnock {
                room_id: room_id(),
                user_id: "@a:b".to_owned(),
                ..Default::default()
            }),
            "`ver`",
        ),
        (Box::new(QueryProfile::default()), "`user_id`"),
        (Box::new(GetEvent::default()), "/event/{eventId}"),
    ];
    for (request, named) in requests {
        let error = request.write().unwrap_err();
        let CallError::Transport(error) = error else {
            panic!("{error}")
        };
        assert_eq!(error.delivery(), Delivery::NotSent, "{error}");
        assert!(error.message().contains(named), "{error}");
    }
}

/// Servers in Go write an empty map so. Refused for it, the keys that were claimed would be lost.
#[test]
fn a_null_in_place_of_a_map_of_keys_refuses_no_reply() {
    let text = r#"{"device_keys":null,"master_keys":null,"self_signing_keys":null}"#;
    let object = Object::parse(text.into(), 1 << 10).unwrap();
    let reply = QueryKeysReply::read(&object).unwrap();
    assert_eq!((&reply.device_keys, &reply.master_keys), (&None, &None));
    assert_eq!(reply.extra.len(), 3);
    assert_eq!(reply.write(), object);

    let object = Object::parse(r#"{"one_time_keys":null}"#.into(), 1 << 10).unwrap();
    let reply = ClaimKeysReply::read(&object).unwrap();
    assert_eq!(reply.one_time_keys, None);
    assert_eq!(reply.write(), object);
}
