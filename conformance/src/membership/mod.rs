//! Who is in a room.

mod invite;
mod join;
mod knock;
mod leave;
mod third_party;

use comity_core::{
    endpoint::Content,
    event::Pdu,
    json::{Object, Value},
};
use proptest::{
    prelude::prop_oneof,
    strategy::{BoxedStrategy, Just, Strategy},
};

use crate::{ReplySample, json};

/// An event that a request can be about.
fn pdu() -> BoxedStrategy<Pdu> {
    prop_oneof![json::event(), json::object()]
        .prop_filter_map("not an event", |value| Pdu::judge(value).ok())
        .boxed()
}

fn text() -> BoxedStrategy<Value> {
    json::string().prop_map(|text| Value::string(&text)).boxed()
}

/// Contents of a request that is one event: mostly such an event, and sometimes anything.
fn one_event() -> BoxedStrategy<Content> {
    let event = json::event()
        .prop_map(|value| Object::from_value(&value).map_or(Content::Absent, Content::Json));
    let content = json::hostile(vec![("content", json::object()), ("type", json::value())]);
    prop_oneof![4 => event, 4 => content.prop_map(Content::Json), 1 => Just(Content::Absent)]
        .boxed()
}

/// Replies that are a template of an event.
fn template() -> BoxedStrategy<ReplySample> {
    json::hostile(vec![("event", json::event()), ("room_version", text())])
        .prop_map(ReplySample::Message)
        .boxed()
}
