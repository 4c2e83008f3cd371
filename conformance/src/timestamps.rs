//! Finding an event by its time.

use comity_core::{
    api::{Direction, GetEventByTimestamp},
    endpoint::Content,
    json::Value,
};
use proptest::{
    prelude::any,
    sample::select,
    strategy::{BoxedStrategy, Strategy},
};

use crate::{
    Kind, Lists, Parameter, ReplySample, Sample, extra_query, identifier, json, server::no_body,
};

impl Sample for GetEventByTimestamp {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::query("ts", Kind::Integer).required(),
        Parameter::query("dir", Kind::OneOf(&["f", "b"])).required(),
    ];

    const REPLY_MEMBERS: &'static [Parameter] = &[
        Parameter::member("event_id", Kind::String).required(),
        Parameter::member("origin_server_ts", Kind::Integer).required(),
    ];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        let direction = select(vec![Direction::Forwards, Direction::Backwards]);
        (identifier(), any::<i64>(), direction, extra_query())
            .prop_map(|(room_id, timestamp, direction, extra_query)| Self {
                room_id,
                timestamp,
                direction,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        let event_id = json::string().prop_map(|text| Value::string(&text));
        let time = json::integer().prop_map(Value::integer);
        json::hostile(vec![
            ("event_id", event_id.boxed()),
            ("origin_server_ts", time.boxed()),
        ])
        .prop_map(ReplySample::Message)
        .boxed()
    }
}
