//! Inviting by a third-party identifier.

use comity_core::{
    api::ExchangeThirdPartyInvite,
    endpoint::Content,
    json::{Json, ObjectWriter, Value},
};
use proptest::{
    option,
    prelude::prop_oneof,
    strategy::{BoxedStrategy, Just, Strategy},
};

use super::text;
use crate::{Kind, Lists, Parameter, ReplySample, Sample, extra_query, identifier, json};

const KNOWN: &[&str] = &["content", "room_id", "sender", "state_key", "type"];

impl Sample for ExchangeThirdPartyInvite {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::member("type", Kind::String).required(),
        Parameter::member("room_id", Kind::String),
        Parameter::member("sender", Kind::String).required(),
        Parameter::member("state_key", Kind::String).required(),
        Parameter::member("content", Kind::Object).required(),
    ];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        (
            identifier(),
            json::string(),
            option::of(json::string()),
            json::string(),
            json::string(),
            prop_oneof![invite(), json::object()],
            json::members(KNOWN),
            extra_query(),
        )
            .prop_map(
                |(
                    room_id,
                    event_type,
                    event_room_id,
                    sender,
                    state_key,
                    content,
                    extra,
                    extra_query,
                )| {
                    Self {
                        room_id,
                        event_type,
                        event_room_id,
                        sender,
                        state_key,
                        content: Json::from_value(content),
                        extra,
                        extra_query,
                    }
                },
            )
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        let content = json::hostile(vec![
            ("content", invite()),
            ("room_id", text()),
            ("sender", text()),
            ("state_key", text()),
            ("type", text()),
        ]);
        prop_oneof![8 => content.prop_map(Content::Json), 1 => Just(Content::Absent)].boxed()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        json::hostile(Vec::new())
            .prop_map(ReplySample::Message)
            .boxed()
    }
}

/// Content as the specification has it.
fn invite() -> BoxedStrategy<Value> {
    let signatures = r#"{"magic.forest":{"ed25519:3":"AAAA"}}"#;
    (json::string(), json::string(), json::string())
        .prop_map(move |(display_name, mxid, token)| {
            let mut content = ObjectWriter::new();
            content.string("membership", "invite");
            content.object("third_party_invite", |invite| {
                invite.string("display_name", &display_name);
                invite.object("signed", |signed| {
                    signed.string("mxid", &mxid);
                    signed.value("signatures", &json::parse(signatures));
                    signed.string("token", &token);
                });
            });
            content.into_object().to_value()
        })
        .boxed()
}
