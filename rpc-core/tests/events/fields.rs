//! Members of an event, read when asked for.

use comity_core::event::{Edu, Pdu};

use crate::setting::{object, pdu};

#[test]
fn members_are_read_by_type_and_absent_ones_are_none() {
    let event = pdu(
        r#"{"auth_events":[["$a:x",{"sha256":"h"}]],"content":{"a":1},"depth":7,"origin_server_ts":8,"prev_events":["$p","$q"],
        "room_id":"!r","sender":"@a:x","type":"t"}"#,
    );
    assert_eq!(event.event_type().as_deref(), Some("t"));
    assert_eq!(event.room_id().as_deref(), Some("!r"));
    assert_eq!(event.sender().as_deref(), Some("@a:x"));
    assert_eq!(event.state_key(), None);
    assert_eq!(
        (event.depth(), event.origin_server_ts()),
        (Some(7), Some(8))
    );
    assert_eq!(event.content().unwrap().text(), r#"{"a":1}"#);
    assert_eq!(event.prev_events().unwrap(), ["$p", "$q"]);
    assert_eq!(event.auth_events().unwrap(), ["$a:x"]);
    let odd = pdu(r#"{"content":7,"depth":"7","prev_events":[["$p"],[]],"type":1}"#);
    assert_eq!(
        (odd.content(), odd.depth(), odd.event_type()),
        (None, None, None)
    );
    assert_eq!((odd.prev_events(), odd.auth_events()), (None, None));
}

#[test]
fn a_clone_is_the_same_text_and_the_same_buffer() {
    let event = pdu(r#"{"type":"t"}"#);
    let before = event.clone();
    assert_eq!(event.event_type().as_deref(), Some("t"));
    assert_eq!(before, event);
    assert_eq!(
        before.value().as_bytes().as_ptr(),
        event.clone().into_value().as_bytes().as_ptr()
    );
}

#[test]
fn an_edu_of_an_unknown_type_is_an_edu() {
    let text = object(r#"{"content":{"x":[1]},"edu_type":"org.example.unknown","origin":"y"}"#);
    let edu = Edu::judge(text.to_value()).unwrap();
    assert_eq!(edu.edu_type().as_deref(), Some("org.example.unknown"));
    assert_eq!(edu.content().unwrap().text(), r#"{"x":[1]}"#);
    assert_eq!(edu.value(), &text.to_value());
    assert!(Pdu::judge(edu.value().clone()).is_ok());
}

#[test]
fn an_id_in_a_list_has_a_limit_of_its_own() {
    use comity_core::event::{Element, EventFault};
    use comity_core::json::Value;
    let id = |size| Value::string(&"x".repeat(size));
    assert!(<String as Element>::judge(id(255)).is_ok());
    let fault = <String as Element>::judge(id(256)).unwrap_err();
    assert_eq!(fault, EventFault::IdTooLong { size: 258 });
    assert!(fault.to_string().contains("limit of 255"), "{fault}");
    assert_eq!(
        <String as Element>::judge(Value::null()),
        Err(EventFault::NotAnId)
    );
}
