//! Server keys.

use comity_core::{
    api::{
        BatchQueryServerKeys, GetServerKeys, GetServerKeysById, QueryServerKeys,
        QueryServerKeysById, QueryServerKeysReply,
    },
    endpoint::Content,
    json::{Json, Object, Value},
};
use proptest::{
    option,
    prelude::{any, prop_oneof},
    strategy::{BoxedStrategy, Just, Strategy},
};

use crate::{
    Elements, Kind, List, Lists, Parameter, ReplyLists, ReplySample, Sample, extra_query,
    identifier, json, lists::documents, server::no_body,
};

impl Sample for GetServerKeys {
    const PARAMETERS: &'static [Parameter] = &[];

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
        document().prop_map(ReplySample::Message).boxed()
    }
}

impl Sample for GetServerKeysById {
    const PARAMETERS: &'static [Parameter] = &[];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        (identifier(), extra_query())
            .prop_map(|(key_id, extra_query)| Self {
                key_id,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        document().prop_map(ReplySample::Message).boxed()
    }
}

const VALID_UNTIL: Parameter = Parameter::query("minimum_valid_until_ts", Kind::Integer);

const LISTED: ReplyLists<QueryServerKeysReply> = ReplyLists::Message(&[List {
    member: "server_keys",
    elements: Elements::Documents,
    judged: |reply| documents(reply.server_keys.as_deref().unwrap_or_default()),
}]);

impl Sample for QueryServerKeys {
    const PARAMETERS: &'static [Parameter] = &[VALID_UNTIL];

    const REPLY_MEMBERS: &'static [Parameter] = &[SERVER_KEYS];

    const LISTS: Lists<Self> = Lists {
        reply: LISTED,
        ..Lists::NONE
    };

    fn requests() -> BoxedStrategy<Self> {
        (identifier(), option::of(any::<i64>()), extra_query())
            .prop_map(|(server_name, minimum_valid_until_ts, extra_query)| Self {
                server_name,
                minimum_valid_until_ts,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        listed()
    }
}

impl Sample for QueryServerKeysById {
    const PARAMETERS: &'static [Parameter] = &[VALID_UNTIL];

    const REPLY_MEMBERS: &'static [Parameter] = &[SERVER_KEYS];

    const LISTS: Lists<Self> = Lists {
        reply: LISTED,
        ..Lists::NONE
    };

    fn requests() -> BoxedStrategy<Self> {
        (
            identifier(),
            identifier(),
            option::of(any::<i64>()),
            extra_query(),
        )
            .prop_map(
                |(server_name, key_id, minimum_valid_until_ts, extra_query)| Self {
                    server_name,
                    key_id,
                    minimum_valid_until_ts,
                    extra_query,
                },
            )
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        listed()
    }
}

impl Sample for BatchQueryServerKeys {
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::member("server_keys", Kind::Object).required()];

    const REPLY_MEMBERS: &'static [Parameter] = &[SERVER_KEYS];

    const LISTS: Lists<Self> = Lists {
        reply: LISTED,
        ..Lists::NONE
    };

    fn requests() -> BoxedStrategy<Self> {
        let members = json::members(&["server_keys"]);
        (json::map(criteria()), members, extra_query())
            .prop_map(|(server_keys, extra, extra_query)| Self {
                server_keys: Json::from_value(server_keys),
                extra,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        let servers = json::map(prop_oneof![4 => criteria(), 1 => json::value()].boxed());
        let content = json::hostile(vec![("server_keys", servers)]);
        prop_oneof![8 => content.prop_map(Content::Json), 1 => Just(Content::Absent)].boxed()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        listed()
    }
}

const SERVER_KEYS: Parameter = Parameter::member("server_keys", Kind::Array);

/// What is asked for of one server.
fn criteria() -> BoxedStrategy<Value> {
    let time = json::integer().prop_map(Value::integer).boxed();
    let key = json::hostile(vec![("minimum_valid_until_ts", time)]);
    json::map(key.prop_map(|object| object.to_value()).boxed())
}

/// A reply of key documents.
fn listed() -> BoxedStrategy<ReplySample> {
    let document = document().prop_map(|object| object.to_value());
    let document = prop_oneof![6 => document, 1 => json::value()].boxed();
    json::hostile(vec![("server_keys", json::array(document))])
        .prop_map(ReplySample::Message)
        .boxed()
}

/// Something like a key document.
fn document() -> BoxedStrategy<Object> {
    json::hostile(vec![
        ("old_verify_keys", json::object()),
        ("server_name", json::value()),
        ("signatures", json::object()),
        (
            "valid_until_ts",
            json::integer().prop_map(Value::integer).boxed(),
        ),
        ("verify_keys", json::object()),
    ])
    .boxed()
}
