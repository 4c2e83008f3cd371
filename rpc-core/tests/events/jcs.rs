//! A room version of someone else: no graph, and RFC 8785 instead of canonical JSON.

use std::collections::BTreeSet;

use comity_core::{
    ServerName,
    event::{
        Pdu, Receipt, check_event,
        room_version::{Age, CanonicalForm, EventError, RoomVersion, Rule},
    },
    json::Object,
};

use crate::setting::{house, object};

#[derive(Debug)]
pub struct Linear;

impl RoomVersion for Linear {
    fn check_format(&self, event: &Pdu, _: Age) -> Result<(), EventError> {
        match event.get("prev_events") {
            None => Ok(()),
            Some(_) => Err(EventError::new(Rule::Format, "there is no graph")),
        }
    }

    fn redact(&self, event: &Object) -> Result<Object, EventError> {
        Ok(event.filtered(|name| name != "content"))
    }

    fn required_signers(&self, event: &Pdu) -> Result<BTreeSet<ServerName>, EventError> {
        let server = event.get("hub").and_then(|hub| hub.as_str()?.parse().ok());
        let missing = || EventError::new(Rule::Format, "`hub` names no server");
        Ok([server.ok_or_else(missing)?].into())
    }

    fn canonical_form(&self) -> CanonicalForm {
        CanonicalForm::Jcs
    }
}

/// U+FB33 comes before U+1F600 by code point and behind it by UTF-16 code unit.
const EVENT: &str = "{\"\u{fb33}\":1,\"\u{1f600}\":1.50,\"hub\":\"one.example\",\"n\":1e21,\"content\":{\"f\":-0.0}}";

#[test]
fn rfc_8785_orders_by_utf_16_and_writes_numbers_as_ecmascript_does() {
    let text = CanonicalForm::Jcs.write(&object(EVENT)).unwrap();
    assert_eq!(
        text,
        "{\"content\":{\"f\":0},\"hub\":\"one.example\",\"n\":1e+21,\"\u{1f600}\":1.5,\"\u{fb33}\":1}"
    );
    let refusal = CanonicalForm::Jcs
        .write(&object(r#"{"a":1e400}"#))
        .unwrap_err();
    assert_eq!(refusal.rule(), Rule::CanonicalForm);
}

#[test]
fn an_event_without_a_graph_is_signed_and_checked_by_its_own_version() {
    let one = house("one.example");
    let (event_id, event) = one.event(&Linear, EVENT);
    assert_eq!(
        check_event(&Linear, &event, &one.keys()),
        Ok(Receipt::Good { event_id })
    );
    let other = event
        .object()
        .with_member("n", &object(r#"{"n":2}"#).get("n").unwrap());
    let other = Pdu::judge(other.to_value()).unwrap();
    let refusal = check_event(&Linear, &other, &one.keys()).unwrap_err();
    assert_eq!(refusal.error().rule(), Rule::Signatures);
}

/// A library that is not ours says the same, of whatever it can read.
#[test]
fn another_implementation_writes_the_same() {
    for text in [
        EVENT,
        r#"{"a":[1,-1,0,-0,0.1,1e-7,123456789012345680000,1e21,1.7976931348623157e308,4.9e-324,9007199254740993]}"#,
        r#"{"\u20ac":"Euro","\r":"CR","\ufb33":"Hebrew","1":"One","\ud83d\ude00":"Smiley","\u0080":"Control","\u00f6":"Latin"}"#,
        r#"{"":{"b":{},"a":[[],{}]},"literals":[null,true,false],"string":"\u20ac$\u000f\nA'B\"\\\\\"/"}"#,
    ] {
        let tree: serde_json::Value = serde_json::from_str(text).unwrap();
        let theirs = serde_json_canonicalizer::to_vec(&tree).unwrap();
        let ours = CanonicalForm::Jcs.write(&object(text)).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&ours),
            String::from_utf8_lossy(&theirs)
        );
    }
}
