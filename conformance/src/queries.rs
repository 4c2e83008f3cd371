//! Questions about users.

use comity_core::{api::QueryProfile, endpoint::Content};
use proptest::{
    option,
    strategy::{BoxedStrategy, Strategy},
};

use crate::{
    Kind, Lists, Parameter, ReplySample, Sample, extra_query, identifier, json, server::no_body,
};

impl Sample for QueryProfile {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::query("user_id", Kind::String).required(),
        Parameter::query("field", Kind::String),
    ];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        (identifier(), option::of(identifier()), extra_query())
            .prop_map(|(user_id, field, extra_query)| Self {
                user_id,
                field,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        let text = || json::string().prop_map(|text| comity_core::json::Value::string(&text));
        json::hostile(vec![
            ("avatar_url", text().boxed()),
            ("displayname", text().boxed()),
            ("m.tz", json::value()),
        ])
        .prop_map(ReplySample::Message)
        .boxed()
    }
}
