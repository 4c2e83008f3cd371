//! Pulling events.

use comity_core::{api::GetMissingEvents, endpoint::Content, json::Value};
use proptest::{
    collection::vec,
    option,
    prelude::prop_oneof,
    strategy::{BoxedStrategy, Just, Strategy},
};

use crate::{ReplySample, Sample, extra_query, identifier, json};

const KNOWN: &[&str] = &["earliest_events", "latest_events", "limit", "min_depth"];

impl Sample for GetMissingEvents {
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
