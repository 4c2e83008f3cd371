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

use crate::{
    Elements, Kind, List, Lists, Parameter, ReplySample, Sample, extra_query, identifier, json,
    lists::{edus, pdus},
};

const KNOWN: &[&str] = &["edus", "origin", "origin_server_ts", "pdus"];

impl Sample for SendTransaction {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::member("pdus", Kind::Array).required(),
        Parameter::member("edus", Kind::Array),
    ];

    const REPLY_MEMBERS: &'static [Parameter] =
        &[Parameter::member("pdus", Kind::Object).required()];

    const LISTS: Lists<Self> = Lists {
        request: &[
            List {
                member: "pdus",
                elements: Elements::Pdus,
                judged: |request| pdus(&request.pdus),
            },
            List {
                member: "edus",
                elements: Elements::Edus,
                judged: |request| edus(request.edus.as_deref().unwrap_or_default()),
            },
        ],
        ..Lists::NONE
    };

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
        let results = json::map(result.prop_map(|result| result.to_value()).boxed());
        json::hostile(vec![("pdus", results)])
            .prop_map(ReplySample::Message)
            .boxed()
    }
}
