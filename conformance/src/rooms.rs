//! Finding rooms.

use comity_core::{
    api::{GetHierarchy, GetPublicRooms, QueryPublicRooms},
    endpoint::Content,
    json::{Json, Value},
};
use proptest::{
    option,
    prelude::{any, prop_oneof},
    strategy::{BoxedStrategy, Just, Strategy},
};

use crate::{
    Kind, Lists, Parameter, ReplySample, Sample, extra_query, identifier, json, server::no_body,
};

impl Sample for GetPublicRooms {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::query("limit", Kind::Integer),
        Parameter::query("since", Kind::String),
        Parameter::query("include_all_networks", Kind::Boolean),
        Parameter::query("third_party_instance_id", Kind::String),
    ];

    const REPLY_MEMBERS: &'static [Parameter] = &[CHUNK];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        (
            option::of(any::<i64>()),
            option::of(json::string()),
            option::of(any::<bool>()),
            option::of(json::string()),
            extra_query(),
        )
            .prop_map(
                |(limit, since, include_all_networks, third_party_instance_id, extra_query)| Self {
                    limit,
                    since,
                    include_all_networks,
                    third_party_instance_id,
                    extra_query,
                },
            )
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        chunks()
    }
}

impl Sample for QueryPublicRooms {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::member("since", Kind::String),
        Parameter::member("filter", Kind::Object),
        Parameter::member("third_party_instance_id", Kind::String),
    ];

    const REPLY_MEMBERS: &'static [Parameter] = &[CHUNK];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        let known = &[
            "filter",
            "include_all_networks",
            "limit",
            "since",
            "third_party_instance_id",
        ];
        (
            option::of(json::integer()),
            option::of(json::string()),
            option::of(json::object()),
            option::of(any::<bool>()),
            option::of(json::string()),
            json::members(known),
            extra_query(),
        )
            .prop_map(
                |(limit, since, filter, all, network, extra, extra_query)| Self {
                    limit,
                    since,
                    filter: filter.map(Json::from_value),
                    include_all_networks: all,
                    third_party_instance_id: network,
                    extra,
                    extra_query,
                },
            )
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        let room_type = prop_oneof![3 => text(), 1 => Just(Value::null())].boxed();
        let filter = json::hostile(vec![
            ("generic_search_term", text()),
            ("room_types", json::array(room_type)),
        ]);
        let content = json::hostile(vec![
            (
                "filter",
                filter.prop_map(|filter| filter.to_value()).boxed(),
            ),
            ("include_all_networks", boolean()),
            ("limit", integer()),
            ("since", text()),
            ("third_party_instance_id", text()),
        ]);
        prop_oneof![8 => content.prop_map(Content::Json), 1 => Just(Content::Absent)].boxed()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        chunks()
    }
}

impl Sample for GetHierarchy {
    const PARAMETERS: &'static [Parameter] = &[Parameter::query("suggested_only", Kind::Boolean)];

    const REPLY_MEMBERS: &'static [Parameter] = &[
        Parameter::member("room", Kind::Object).required(),
        Parameter::member("children", Kind::Array).required(),
    ];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        (identifier(), option::of(any::<bool>()), extra_query())
            .prop_map(|(room_id, suggested_only, extra_query)| Self {
                room_id,
                suggested_only,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        json::hostile(vec![
            ("children", json::array(summary())),
            ("inaccessible_children", json::strings()),
            ("room", summary()),
        ])
        .prop_map(ReplySample::Message)
        .boxed()
    }
}

const CHUNK: Parameter = Parameter::member("chunk", Kind::Array).required();

/// Rooms of a directory.
fn chunks() -> BoxedStrategy<ReplySample> {
    json::hostile(vec![
        ("chunk", json::array(summary())),
        ("next_batch", text()),
        ("prev_batch", text()),
        ("total_room_count_estimate", integer()),
    ])
    .prop_map(ReplySample::Message)
    .boxed()
}

/// What is said of a room, or anything.
fn summary() -> BoxedStrategy<Value> {
    let summary = json::hostile(vec![
        ("allowed_room_ids", json::strings()),
        ("children_state", json::array(json::event())),
        ("guest_can_join", boolean()),
        ("name", text()),
        ("num_joined_members", integer()),
        ("room_id", text()),
        ("room_type", text()),
        ("world_readable", boolean()),
    ]);
    let summary = summary.prop_map(|summary| summary.to_value());
    prop_oneof![6 => summary, 1 => json::value()].boxed()
}

fn text() -> BoxedStrategy<Value> {
    json::string().prop_map(|text| Value::string(&text)).boxed()
}

fn integer() -> BoxedStrategy<Value> {
    json::integer().prop_map(Value::integer).boxed()
}

fn boolean() -> BoxedStrategy<Value> {
    any::<bool>().prop_map(Value::boolean).boxed()
}
