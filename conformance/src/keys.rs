//! Server keys.

use comity_core::{api::GetServerKeys, endpoint::Content, json::Value};
use proptest::strategy::{BoxedStrategy, Strategy};

use crate::{Lists, ReplySample, Sample, extra_query, json, server::no_body};

impl Sample for GetServerKeys {
    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        extra_query()
            .prop_map(|extra_query| Self { extra_query })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        json::hostile(vec![
            ("old_verify_keys", json::object()),
            ("server_name", json::value()),
            ("signatures", json::object()),
            (
                "valid_until_ts",
                json::integer().prop_map(Value::integer).boxed(),
            ),
            ("verify_keys", json::object()),
        ])
        .prop_map(ReplySample::Message)
        .boxed()
    }
}
