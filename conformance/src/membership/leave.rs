//! Leaving a room.

use comity_core::{
    api::{MakeLeave, SendLeave, SendLeaveV1},
    endpoint::Content,
};
use proptest::strategy::{BoxedStrategy, Strategy};

use super::{one_event, pdu, template};
use crate::{
    Kind, Lists, Parameter, ReplySample, Sample, extra_query, identifier, json, server::no_body,
};

impl Sample for MakeLeave {
    const PARAMETERS: &'static [Parameter] = &[];

    const REPLY_MEMBERS: &'static [Parameter] = &[Parameter::member("event", Kind::Template)];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        (identifier(), identifier(), extra_query())
            .prop_map(|(room_id, user_id, extra_query)| Self {
                room_id,
                user_id,
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

impl Sample for SendLeave {
    const PARAMETERS: &'static [Parameter] = &[Parameter::content("leave event", Kind::Event)];

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
        json::hostile(Vec::new())
            .prop_map(ReplySample::Message)
            .boxed()
    }
}

impl Sample for SendLeaveV1 {
    const PARAMETERS: &'static [Parameter] = &[Parameter::content("leave event", Kind::Event)];

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
        SendLeave::replies()
    }
}
