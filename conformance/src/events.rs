//! Pulling events and state.

use comity_core::{
    api::{Backfill, GetEvent, GetEventAuth, GetMissingEvents, GetState, GetStateIds},
    endpoint::Content,
    json::Value,
};
use proptest::{
    collection::vec,
    option,
    prelude::{any, prop_oneof},
    strategy::{BoxedStrategy, Just, Strategy},
};

use crate::{
    Elements, Kind, List, Lists, Parameter, ReplyLists, ReplySample, Sample, extra_query,
    identifier, json, lists::pdus, server::no_body, stream::streams,
};

const KNOWN: &[&str] = &["earliest_events", "latest_events", "limit", "min_depth"];

impl Sample for GetEvent {
    const PARAMETERS: &'static [Parameter] = &[];

    const REPLY_MEMBERS: &'static [Parameter] =
        &[Parameter::member("pdus", Kind::Array).required()];

    const LISTS: Lists<Self> = Lists {
        reply: ReplyLists::Message(&[List {
            member: "pdus",
            elements: Elements::Pdus,
            judged: |reply| pdus(&reply.pdus),
        }]),
        ..Lists::NONE
    };

    fn requests() -> BoxedStrategy<Self> {
        (identifier(), extra_query())
            .prop_map(|(event_id, extra_query)| Self {
                event_id,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        let mut members = answered();
        members.push(("pdus", json::array(json::event())));
        json::hostile(members)
            .prop_map(ReplySample::Message)
            .boxed()
    }
}

impl Sample for GetState {
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::query("event_id", Kind::String).required()];

    const LISTS: Lists<Self> = Lists {
        reply: ReplyLists::stream(Elements::Pdus),
        ..Lists::NONE
    };

    fn requests() -> BoxedStrategy<Self> {
        (identifier(), identifier(), extra_query())
            .prop_map(|(room_id, event_id, extra_query)| Self {
                room_id,
                event_id,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        streams(Self::ARRAYS, json::event(), json::hostile(Vec::new()))
    }
}

impl Sample for GetStateIds {
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::query("event_id", Kind::String).required()];

    const LISTS: Lists<Self> = Lists {
        reply: ReplyLists::stream(Elements::Ids),
        ..Lists::NONE
    };

    fn requests() -> BoxedStrategy<Self> {
        (identifier(), identifier(), extra_query())
            .prop_map(|(room_id, event_id, extra_query)| Self {
                room_id,
                event_id,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        streams(Self::ARRAYS, json::event_id(), json::hostile(Vec::new()))
    }
}

impl Sample for GetEventAuth {
    const PARAMETERS: &'static [Parameter] = &[];

    const LISTS: Lists<Self> = Lists {
        reply: ReplyLists::stream(Elements::Pdus),
        ..Lists::NONE
    };

    fn requests() -> BoxedStrategy<Self> {
        (identifier(), identifier(), extra_query())
            .prop_map(|(room_id, event_id, extra_query)| Self {
                room_id,
                event_id,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        streams(Self::ARRAYS, json::event(), json::hostile(Vec::new()))
    }
}

impl Sample for Backfill {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::query("v", Kind::String).required(),
        Parameter::query("limit", Kind::Integer).required(),
    ];

    const LISTS: Lists<Self> = Lists {
        reply: ReplyLists::stream(Elements::Pdus),
        ..Lists::NONE
    };

    fn requests() -> BoxedStrategy<Self> {
        let from = vec(identifier(), 1..5);
        (identifier(), from, any::<i64>(), extra_query())
            .prop_map(|(room_id, from, limit, mut extra_query)| {
                // Known here, so it cannot be extra.
                extra_query.take_all("v");
                Self {
                    room_id,
                    from,
                    limit,
                    extra_query,
                }
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        streams(Self::ARRAYS, json::event(), json::hostile(answered()))
    }
}

impl Sample for GetMissingEvents {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::member("earliest_events", Kind::Strings).required(),
        Parameter::member("latest_events", Kind::Strings).required(),
        Parameter::member("limit", Kind::Integer),
        Parameter::member("min_depth", Kind::Integer),
    ];

    const REPLY_MEMBERS: &'static [Parameter] =
        &[Parameter::member("events", Kind::Array).required()];

    const LISTS: Lists<Self> = Lists {
        reply: ReplyLists::Message(&[List {
            member: "events",
            elements: Elements::Pdus,
            judged: |reply| pdus(&reply.events),
        }]),
        ..Lists::NONE
    };

    fn requests() -> BoxedStrategy<Self> {
        (
            identifier(),
            vec(json::string(), 0..4),
            vec(json::string(), 0..4),
            option::of(json::integer()),
            option::of(json::integer()),
            json::members(KNOWN),
            extra_query(),
        )
            .prop_map(
                |(
                    room_id,
                    earliest_events,
                    latest_events,
                    limit,
                    min_depth,
                    extra,
                    extra_query,
                )| {
                    Self {
                        room_id,
                        earliest_events,
                        latest_events,
                        limit,
                        min_depth,
                        extra,
                        extra_query,
                    }
                },
            )
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        let integer = || json::integer().prop_map(Value::integer).boxed();
        let content = json::hostile(vec![
            ("earliest_events", json::strings()),
            ("latest_events", json::strings()),
            ("limit", integer()),
            ("min_depth", integer()),
        ]);
        prop_oneof![8 => content.prop_map(Content::Json), 1 => Just(Content::Absent)].boxed()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        json::hostile(vec![("events", json::array(json::event()))])
            .prop_map(ReplySample::Message)
            .boxed()
    }
}

/// Who answered and when, as a transaction says it.
fn answered() -> Vec<(&'static str, BoxedStrategy<Value>)> {
    let origin = json::string().prop_map(|text| Value::string(&text));
    let time = json::integer().prop_map(Value::integer);
    vec![
        ("origin", origin.boxed()),
        ("origin_server_ts", time.boxed()),
    ]
}
