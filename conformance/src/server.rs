//! What a server says of itself.

use comity_core::{api::GetVersion, endpoint::Content};
use proptest::{
    prelude::prop_oneof,
    strategy::{BoxedStrategy, Just, Strategy},
};

use crate::{Kind, Lists, Parameter, ReplySample, Sample, extra_query, json};

impl Sample for GetVersion {
    const PARAMETERS: &'static [Parameter] = &[];

    const REPLY_MEMBERS: &'static [Parameter] = &[Parameter::member("server", Kind::Object)];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        extra_query()
            .prop_map(|extra_query| Self { extra_query })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        let server = json::hostile(vec![("name", json::value()), ("version", json::value())]);
        let server = server.prop_map(|object| object.to_value()).boxed();
        json::hostile(vec![("server", server)])
            .prop_map(ReplySample::Message)
            .boxed()
    }
}

/// Contents of an operation that has none: a peer may send one all the same.
pub fn no_body() -> BoxedStrategy<Content> {
    prop_oneof![
        2 => Just(Content::Absent),
        1 => json::hostile(Vec::new()).prop_map(Content::Json),
    ]
    .boxed()
}
