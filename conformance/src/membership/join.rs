//! Joining a room.

use comity_core::{
    api::{MakeJoin, SendJoin, SendJoinV1},
    endpoint::Content,
    json::Value,
};
use proptest::{
    collection::vec,
    option,
    prelude::any,
    strategy::{BoxedStrategy, Strategy},
};

use super::{one_event, pdu, template};
use crate::{
    Elements, Kind, Lists, Parameter, ReplyLists, ReplySample, Sample, extra_query, identifier,
    json, server::no_body, stream::streams,
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
        template()
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
        one_event()
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

impl Sample for SendJoinV1 {
    const PARAMETERS: &'static [Parameter] = &[Parameter::content("join event", Kind::Event)];

    const REPLY_MEMBERS: &'static [Parameter] = SendJoin::REPLY_MEMBERS;

    const LISTS: Lists<Self> = Lists {
        reply: ReplyLists::stream(Elements::Pdus),
        ..Lists::NONE
    };

    fn requests() -> BoxedStrategy<Self> {
        (identifier(), identifier(), pdu(), extra_query())
            .prop_map(|(room_id, event_id, event, extra_query)| Self {
                room_id,
                event_id,
                event,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        one_event()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        SendJoin::replies()
    }
}
