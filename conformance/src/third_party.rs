//! Calls of servers that are no homeservers.

use comity_core::{
    api::{GetOpenIdUserInfo, NotifyThirdPartyBind},
    endpoint::Content,
    json::{Json, Value},
};
use proptest::{
    collection::vec,
    prelude::prop_oneof,
    strategy::{BoxedStrategy, Just, Strategy},
};

use crate::{
    Kind, Lists, Parameter, ReplySample, Sample, extra_query, identifier, json, server::no_body,
};

impl Sample for GetOpenIdUserInfo {
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::query("access_token", Kind::AccessToken).required()];

    const REPLY_MEMBERS: &'static [Parameter] =
        &[Parameter::member("sub", Kind::String).required()];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        (identifier(), extra_query())
            .prop_map(|(access_token, extra_query)| Self {
                access_token,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        json::hostile(vec![("sub", text())])
            .prop_map(ReplySample::Message)
            .boxed()
    }
}

impl Sample for NotifyThirdPartyBind {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::member("medium", Kind::String).required(),
        Parameter::member("address", Kind::String).required(),
        Parameter::member("mxid", Kind::String).required(),
        Parameter::member("invites", Kind::Array).required(),
    ];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        (
            json::string(),
            json::string(),
            json::string(),
            vec(invite(), 0..4),
            json::members(&["address", "invites", "medium", "mxid"]),
            extra_query(),
        )
            .prop_map(
                |(medium, address, mxid, invites, extra, extra_query)| Self {
                    medium,
                    address,
                    mxid,
                    invites: invites.into_iter().map(Json::from_value).collect(),
                    extra,
                    extra_query,
                },
            )
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        let content = json::hostile(vec![
            ("address", text()),
            ("invites", json::array(invite())),
            ("medium", text()),
            ("mxid", text()),
        ]);
        prop_oneof![8 => content.prop_map(Content::Json), 1 => Just(Content::Absent)].boxed()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        json::hostile(Vec::new())
            .prop_map(ReplySample::Message)
            .boxed()
    }
}

/// Something like an invite to an address.
fn invite() -> BoxedStrategy<Value> {
    let invite = json::hostile(vec![
        ("address", text()),
        ("medium", text()),
        ("mxid", text()),
        ("room_id", text()),
        ("sender", text()),
        ("signed", json::object()),
    ]);
    let invite = invite.prop_map(|invite| invite.to_value());
    prop_oneof![6 => invite, 1 => json::value()].boxed()
}

fn text() -> BoxedStrategy<Value> {
    json::string().prop_map(|text| Value::string(&text)).boxed()
}
