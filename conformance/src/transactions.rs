//! Transactions.

use comity_core::{
    api::SendTransaction,
    endpoint::Content,
    event::{Edu, Pdu, judge_all},
    json::Value,
};
use proptest::{
    collection::vec,
    option,
    prelude::prop_oneof,
    strategy::{BoxedStrategy, Just, Strategy},
};

use crate::{ReplySample, Sample, extra_query, identifier, json};

const KNOWN: &[&str] = &["edus", "origin", "origin_server_ts", "pdus"];

impl Sample for SendTransaction {
    fn requests() -> BoxedStrategy<Self> {
        (
            identifier(),
            option::of(json::string()),
            option::of(json::integer()),
            vec(json::event(), 0..6),
            option::of(vec(json::event(), 0..4)),
            json::members(KNOWN),
            extra_query(),
        )
            .prop_map(
                |(transaction_id, origin, origin_server_ts, pdus, edus, extra, extra_query)| Self {
                    transaction_id,
                    origin,
                    origin_server_ts,
                    pdus: judge_all(pdus, Pdu::judge),
                    edus: edus.map(|edus| judge_all(edus, Edu::judge)),
                    extra,
                    extra_query,
                },
            )
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        let text = json::string().prop_map(|text| Value::string(&text)).boxed();
        let content = json::hostile(vec![
            ("edus", json::array(json::event())),
            ("origin", text),
            (
                "origin_server_ts",
                json::integer().prop_map(Value::integer).boxed(),
            ),
            ("pdus", json::array(json::event())),
        ]);
        prop_oneof![8 => content.prop_map(Content::Json), 1 => Just(Content::Absent)].boxed()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        let result = json::hostile(vec![("error", json::value())]);
        let results = vec((identifier(), result), 0..4).prop_map(|results| {
            let mut members = comity_core::json::Members::new();
            for (event_id, result) in results {
                members.insert(event_id, result.to_value());
            }
            members.to_object().to_value()
        });
        json::hostile(vec![("pdus", results.boxed())])
            .prop_map(ReplySample::Message)
            .boxed()
    }
}
