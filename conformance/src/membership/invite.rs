//! Inviting to a room.

use comity_core::{
    api::{Invite, InviteV1},
    endpoint::Content,
    event::{Pdu, judge_all},
};
use proptest::{
    collection::vec,
    option,
    prelude::prop_oneof,
    strategy::{BoxedStrategy, Just, Strategy},
};

use super::{one_event, pdu, text};
use crate::{
    Elements, Kind, List, Lists, Parameter, ReplySample, Sample, extra_query, identifier, json,
    lists::pdus,
};

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

impl Sample for InviteV1 {
    const PARAMETERS: &'static [Parameter] = &[Parameter::content("invite event", Kind::Event)];

    const REPLY_MEMBERS: &'static [Parameter] = Invite::REPLY_MEMBERS;

    const LISTS: Lists<Self> = Lists::NONE;

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
        Invite::replies()
    }
}
