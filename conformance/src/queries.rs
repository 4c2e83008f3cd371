//! Questions about users and aliases, and of any other kind.

use comity_core::{
    api::{QueryCustom, QueryDirectory, QueryProfile},
    endpoint::Content,
};
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

impl Sample for QueryDirectory {
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::query("room_alias", Kind::String).required()];

    const REPLY_MEMBERS: &'static [Parameter] = &[
        Parameter::member("room_id", Kind::String).required(),
        Parameter::member("servers", Kind::Strings).required(),
    ];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        (identifier(), extra_query())
            .prop_map(|(room_alias, extra_query)| Self {
                room_alias,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        let text = json::string().prop_map(|text| comity_core::json::Value::string(&text));
        json::hostile(vec![
            ("room_id", text.boxed()),
            ("servers", json::strings()),
        ])
        .prop_map(ReplySample::Message)
        .boxed()
    }
}

impl Sample for QueryCustom {
    const PARAMETERS: &'static [Parameter] = &[];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        // These two are operations of their own wherever they arrive.
        let other = |query_type: &String| !["directory", "profile"].contains(&query_type.as_str());
        let query_type = identifier().prop_filter("it has a row of its own", other);
        (query_type, extra_query())
            .prop_map(|(query_type, parameters)| Self {
                query_type,
                parameters,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        json::hostile(Vec::new())
            .prop_map(ReplySample::Message)
            .boxed()
    }
}
