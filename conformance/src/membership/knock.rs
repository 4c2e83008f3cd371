//! Knocking upon a room.

use comity_core::{
    api::{MakeKnock, SendKnock},
    endpoint::Content,
};
use proptest::{
    collection::vec,
    strategy::{BoxedStrategy, Strategy},
};

use super::{one_event, pdu, template};
use crate::{
    Elements, Kind, List, Lists, Parameter, ReplyLists, ReplySample, Sample, extra_query,
    identifier, json, lists::pdus, server::no_body,
};

impl Sample for MakeKnock {
    const PARAMETERS: &'static [Parameter] = &[Parameter::query("ver", Kind::String).required()];

    const REPLY_MEMBERS: &'static [Parameter] = &[
        Parameter::member("room_version", Kind::String).required(),
        Parameter::member("event", Kind::Template).required(),
    ];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        // An empty value would say nothing, and is not sent.
        let versions = vec(identifier(), 1..4);
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

impl Sample for SendKnock {
    const PARAMETERS: &'static [Parameter] = &[Parameter::content("knock event", Kind::Event)];

    const REPLY_MEMBERS: &'static [Parameter] =
        &[Parameter::member("knock_room_state", Kind::Array).required()];

    const LISTS: Lists<Self> = Lists {
        reply: ReplyLists::Message(&[List {
            member: "knock_room_state",
            elements: Elements::Pdus,
            judged: |reply| pdus(&reply.knock_room_state),
        }]),
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
        json::hostile(vec![("knock_room_state", json::array(json::event()))])
            .prop_map(ReplySample::Message)
            .boxed()
    }
}
