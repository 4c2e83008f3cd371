//! What a request or a reply of one operation says, and what it cannot.

use comity_core::{
    api::*,
    call::{AnyRequest, Blob, BlobSource, Call, Endpoint, MessageForm},
    endpoint::{Content, EndpointParts},
    error::{CallError, Delivery, TransportErrorKind},
    event::{Edu, Pdu, judge_all},
    json::Object,
};

use crate::homeserver::name;

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

/// A handler may read what was signed; whoever sends the call on writes and signs what is left of it.
#[test]
fn a_call_that_became_narrower_keeps_what_arrived_for_its_handler_only() {
    let request = |id: &str| GetEvent {
        event_id: id.to_owned(),
        ..GetEvent::default()
    };
    let mut call = Call::new(name("b.example"), request("$whole"));
    call.make_form().unwrap();
    call.context_mut()
        .credentials
        .push("X-Matrix ..".to_owned());
    call.narrow_request(Box::new(request("$less")));
    assert!(call.form().is_none() && call.context().credentials.is_empty());
    call.narrow_request(Box::new(request("$least")));
    let mut again = call.duplicate();
    assert!(again.make_form().unwrap().target().ends_with("/%24least"));
    for call in [call, again] {
        let (request, context) = call.into_parts();
        assert!(request.write().unwrap().target().ends_with("/%24least"));
        assert!(context.form().unwrap().target().ends_with("/%24whole"));
    }
}

/// A transaction over its limits is refused by whoever sends it, and by whoever gets it all the same.
#[tokio::test]
async fn a_transaction_over_its_limits_is_neither_sent_nor_taken() {
    let pdu = r#"{"type":"m.a"}"#;
    let edu = r#"{"content":{},"edu_type":"m.a"}"#;
    let list = |element: &str, count: usize| vec![element; count].join(",");
    for (pdus, edus, over) in [
        (50, 100, None),
        (51, 0, Some(("pdus", "51", "50"))),
        (0, 101, Some(("edus", "101", "100"))),
    ] {
        let text = format!(
            r#"{{"edus":[{}],"pdus":[{}]}}"#,
            list(edu, edus),
            list(pdu, pdus)
        );
        let content = Object::parse(text.into(), 1 << 20).unwrap();
        let parts = EndpointParts {
            path: vec!["txn".to_owned()],
            content: Content::Json(content),
            ..EndpointParts::default()
        };
        let read = <SendTransaction as Endpoint>::read(&parts);
        let values = |element: &str, count| {
            let value = Object::parse(element.to_owned().into(), 1 << 20).unwrap();
            vec![value.to_value(); count]
        };
        let request = SendTransaction {
            pdus: judge_all(values(pdu, pdus), Pdu::judge),
            edus: Some(judge_all(values(edu, edus), Edu::judge)),
            ..SendTransaction::new("txn", &name("a.example"), 1, [])
        };
        let written = AnyRequest::write(&request);
        let Some((list, length, limit)) = over else {
            read.unwrap();
            written.unwrap();
            continue;
        };
        let refused = read.unwrap_err();
        assert_eq!(
            (refused.http_status(), refused.errcode()),
            (400, Some("M_BAD_JSON"))
        );
        let CallError::Transport(error) = written.unwrap_err() else {
            panic!("an answer of nobody")
        };
        assert_eq!(error.delivery(), Delivery::NotSent);
        assert_eq!(error.kind(), TransportErrorKind::LimitExceeded);
        let cause = error.message();
        for part in [list, length, limit] {
            assert!(cause.contains(part), "{cause}");
            assert!(refused.message().contains(part), "{refused}");
        }
    }
}

#[test]
fn the_query_of_a_location_is_shown_nowhere() {
    let url = "https://cdn.example/m?signature=SomeT0kenHere".to_owned();
    let blob = Blob {
        metadata: Object::empty(),
        source: BlobSource::Location(url),
        bytes: Box::pin(futures_util::stream::empty()),
    };
    let shown = format!("{blob:?} {:?} {:#?}", blob.source, blob.source);
    assert!(shown.contains("https://cdn.example/m"), "{shown}");
    assert!(!shown.contains("SomeT0kenHere"), "{shown}");
}
