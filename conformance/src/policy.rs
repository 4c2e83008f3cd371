//! Policy servers.

use comity_core::{api::PolicySign, endpoint::Content, event::Pdu, json::Object};
use proptest::{
    prelude::prop_oneof,
    strategy::{BoxedStrategy, Just, Strategy},
};

use crate::{Kind, Lists, Parameter, ReplySample, Sample, extra_query, json};

impl Sample for PolicySign {
    const PARAMETERS: &'static [Parameter] = &[Parameter::content("event", Kind::Event)];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        let event = prop_oneof![json::event(), json::object()];
        let event = event.prop_filter_map("not an event", |value| Pdu::judge(value).ok());
        (event, extra_query())
            .prop_map(|(event, extra_query)| Self { event, extra_query })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        let event = json::event()
            .prop_map(|value| Object::from_value(&value).map_or(Content::Absent, Content::Json));
        let content = json::hostile(vec![("content", json::object()), ("type", json::value())]);
        prop_oneof![4 => event, 4 => content.prop_map(Content::Json), 1 => Just(Content::Absent)]
            .boxed()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        json::hostile(vec![("policy.example", json::object())])
            .prop_map(ReplySample::Message)
            .boxed()
    }
}
