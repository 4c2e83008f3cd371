//! Joining a room and inviting to it.

use comity_core::{
    api::{Invite, MakeJoin, SendJoin},
    endpoint::Content,
    event::{Pdu, judge_all},
    json::{Object, Value},
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

impl Sample for MakeJoin {
    const PARAMETERS: &'static [Parameter] = &[Parameter::query("ver", Kind::String)];

    const REPLY_MEMBERS: &'static [Parameter] = &[
        Parameter::member("room_version", Kind::String),
        Parameter::member("event", Kind::Template),
    ];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        let versions = vec(json::string(), 0..4);
        (identifier(), identifier(), versions, extra_query())
            .prop_map(|(room_id, user_id, versions, extra_query)| Self {
                room_id,
                user_id,
                versions,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        json::hostile(vec![("event", json::event()), ("room_version", text())])
            .prop_map(ReplySample::Message)
            .boxed()
    }
}

impl Sample for SendJoin {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::content("join event", Kind::Event),
        Parameter::query("omit_members", Kind::Boolean),
    ];

    const REPLY_MEMBERS: &'static [Parameter] = &[
        Parameter::member("event", Kind::Template),
        Parameter::member("members_omitted", Kind::Boolean),
        Parameter::member("servers_in_room", Kind::Strings),
    ];

    const LISTS: Lists<Self> = Lists {
        reply: ReplyLists::stream(Elements::Pdus),
        ..Lists::NONE
    };

    fn requests() -> BoxedStrategy<Self> {
        (
            identifier(),
            identifier(),
            pdu(),
            option::of(any::<bool>()),
            extra_query(),
        )
            .prop_map(
                |(room_id, event_id, event, omit_members, extra_query)| Self {
                    room_id,
                    event_id,
                    event,
                    omit_members,
                    extra_query,
                },
            )
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
        let servers = json::strings();
        let members = json::hostile(vec![
            ("event", json::event()),
            (
                "members_omitted",
                any::<bool>().prop_map(Value::boolean).boxed(),
            ),
            ("servers_in_room", servers),
        ]);
        streams(Self::ARRAYS, json::event(), members.boxed())
    }
}

impl Sample for Invite {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::member("room_version", Kind::String).required(),
        Parameter::member("event", Kind::Event).required(),
        Parameter::member("invite_room_state", Kind::Array),
    ];

    const REPLY_MEMBERS: &'static [Parameter] =
        &[Parameter::member("event", Kind::Event).required()];

    const LISTS: Lists<Self> = Lists {
        request: &[List {
            member: "invite_room_state",
            elements: Elements::Pdus,
            judged: |request| pdus(request.invite_room_state.as_deref().unwrap_or_default()),
        }],
        ..Lists::NONE
    };

    fn requests() -> BoxedStrategy<Self> {
        (
            identifier(),
            identifier(),
            json::string(),
            pdu(),
            option::of(vec(json::event(), 0..4)),
            json::members(&["event", "invite_room_state", "room_version"]),
            extra_query(),
        )
            .prop_map(
                |(room_id, event_id, room_version, event, state, extra, extra_query)| Self {
                    room_id,
                    event_id,
                    room_version,
                    event,
                    invite_room_state: state.map(|state| judge_all(state, Pdu::judge)),
                    extra,
                    extra_query,
                },
            )
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        let content = json::hostile(vec![
            ("event", json::event()),
            ("invite_room_state", json::array(json::event())),
            ("room_version", text()),
        ]);
        prop_oneof![8 => content.prop_map(Content::Json), 1 => Just(Content::Absent)].boxed()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        json::hostile(vec![("event", json::event())])
            .prop_map(ReplySample::Message)
            .boxed()
    }
}

fn pdu() -> BoxedStrategy<Pdu> {
    prop_oneof![json::event(), json::object()]
        .prop_filter_map("not an event", |value| Pdu::judge(value).ok())
        .boxed()
}

fn text() -> BoxedStrategy<Value> {
    json::string().prop_map(|text| Value::string(&text)).boxed()
}
