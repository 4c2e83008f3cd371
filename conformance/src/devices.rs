//! Keys of users' devices.

use comity_core::{
    api::{ClaimKeys, GetUserDevices, QueryKeys},
    endpoint::Content,
    json::{Json, Value},
};
use proptest::{
    prelude::prop_oneof,
    strategy::{BoxedStrategy, Just, Strategy},
};

use crate::{
    Kind, Lists, Parameter, ReplySample, Sample, extra_query, identifier, json, server::no_body,
};

impl Sample for QueryKeys {
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::member("device_keys", Kind::Object).required()];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        let members = json::members(&["device_keys"]);
        (json::map(json::strings()), members, extra_query())
            .prop_map(|(device_keys, extra, extra_query)| Self {
                device_keys: Json::from_value(device_keys),
                extra,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        body("device_keys", json::strings())
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        json::hostile(vec![
            ("device_keys", users(json::map(json::object()))),
            ("master_keys", users(json::object())),
            ("self_signing_keys", users(json::object())),
        ])
        .prop_map(ReplySample::Message)
        .boxed()
    }
}

impl Sample for ClaimKeys {
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::member("one_time_keys", Kind::Object).required()];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        let members = json::members(&["one_time_keys"]);
        (json::map(json::map(text())), members, extra_query())
            .prop_map(|(one_time_keys, extra, extra_query)| Self {
                one_time_keys: Json::from_value(one_time_keys),
                extra,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        body("one_time_keys", json::map(text()))
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        json::hostile(vec![(
            "one_time_keys",
            users(json::map(json::map(json::value()))),
        )])
        .prop_map(ReplySample::Message)
        .boxed()
    }
}

impl Sample for GetUserDevices {
    const PARAMETERS: &'static [Parameter] = &[];

    const REPLY_MEMBERS: &'static [Parameter] = &[
        Parameter::member("user_id", Kind::String).required(),
        Parameter::member("stream_id", Kind::Integer).required(),
        Parameter::member("devices", Kind::Array).required(),
    ];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        (identifier(), extra_query())
            .prop_map(|(user_id, extra_query)| Self {
                user_id,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        let device = json::hostile(vec![
            ("device_display_name", text()),
            ("device_id", text()),
            ("keys", json::object()),
        ]);
        let device = device.prop_map(|object| object.to_value());
        let device = prop_oneof![6 => device, 1 => json::value()].boxed();
        json::hostile(vec![
            ("devices", json::array(device)),
            ("master_key", json::object()),
            ("self_signing_key", json::object()),
            (
                "stream_id",
                json::integer().prop_map(Value::integer).boxed(),
            ),
            ("user_id", text()),
        ])
        .prop_map(ReplySample::Message)
        .boxed()
    }
}

/// A map of users, to what it should hold or to anything.
fn users(usual: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    json::map(prop_oneof![4 => usual, 1 => json::value()].boxed())
}

/// A body of such a map.
fn body(name: &'static str, usual: BoxedStrategy<Value>) -> BoxedStrategy<Content> {
    let content = json::hostile(vec![(name, users(usual))]);
    prop_oneof![8 => content.prop_map(Content::Json), 1 => Just(Content::Absent)].boxed()
}

fn text() -> BoxedStrategy<Value> {
    json::string().prop_map(|text| Value::string(&text)).boxed()
}
