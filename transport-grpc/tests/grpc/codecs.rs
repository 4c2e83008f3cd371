//! The law of the codecs: content, message bytes, content is the identity, whatever the content is.

use comity_core::{
    api::{QueryKeys, SendTransaction},
    call::{Endpoint, ReplyShape},
    endpoint::{Content, EndpointParts, Query},
    json::Object,
};
use comity_grpc::{CodecError, GrpcCodec, ReplyMessage as _};
use comity_proto as pb;
use proptest::{collection::vec, prelude::*, sample::select};
use prost::Message;

use crate::setting::object;

const LIMIT: usize = 16 << 20;

/// JSON text of any kind, canonical or not.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(vec![
            "null",
            "true",
            "false",
            "0",
            "-0",
            "1",
            "-7",
            "1.0",
            "1e3",
            "9007199254740991",
            "9007199254740992",
            "-9007199254740992",
            "99999999999999999999999",
            "\"\"",
            "\"a\"",
            "\"\\u0000\\n\\\"\"",
            "\"\u{1F600}\"",
            "\"},\\\"x\\\":{\"",
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z0-9{},: \\[\\]]{0,12}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            vec((select(vec!["", "a", "b", "é", "\u{10000}"]), inner), 0..4).prop_map(members),
        ]
    })
}

fn members(members: Vec<(&str, String)>) -> String {
    let members: Vec<_> = members
        .into_iter()
        .map(|(name, value)| format!("{}:{value}", serde_json::to_string(name).unwrap()))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// An object that has the members that messages know, mostly of some other type.
fn content() -> impl Strategy<Value = Object> {
    let name = select(vec![
        "origin",
        "origin_server_ts",
        "pdus",
        "edus",
        "earliest_events",
        "latest_events",
        "limit",
        "min_depth",
        "events",
        "event",
        "room_version",
        "invite_room_state",
        "displayname",
        "device_keys",
        "master_keys",
        "one_time_keys",
        "server",
        "extra_json",
        "",
        "z",
        "\u{FFFF}",
        "\u{10000}",
    ]);
    vec((name, json()), 0..7).prop_map(|list| object(members(list)))
}

fn query() -> impl Strategy<Value = Query> {
    let name = select(vec![
        "omit_members",
        "timeout_ms",
        "v",
        "ver",
        "limit",
        "event_id",
        "user_id",
        "field",
        "x",
        "",
    ]);
    let value = select(vec!["true", "false", "5", "-5", "05", "x", "", "a b&c=d"]);
    vec((name, value), 0..5).prop_map(|pairs| {
        let mut query = Query::default();
        for (name, value) in pairs {
            query.push(name, value);
        }
        query
    })
}

fn request_law<O: GrpcCodec>(content: &Content, query: &Query) {
    let parameters = O::PATH.as_str().matches('{').count();
    let parts = EndpointParts {
        path: (0..parameters).map(|n| format!("!{n}/ é%")).collect(),
        query: query.clone(),
        content: content.clone(),
    };
    let Some(message) = O::request_to_message(&parts) else {
        // Only where the endpoint has no content.
        assert_eq!(<O as Endpoint>::METHOD, "GET");
        assert_ne!(*content, Content::Absent);
        return;
    };
    assert!(O::request_from_message(&message).unwrap().matches(&parts));
    let message = O::Request::decode(message.encode_to_vec().as_slice()).unwrap();
    let back = O::request_from_message(&message)
        .unwrap()
        .ingest(LIMIT)
        .unwrap();
    assert_eq!(back, parts);
}

fn reply_law<O: GrpcCodec>(content: &Object) {
    const FRAME: usize = 5;
    let Some(message) = O::REPLY.encode(content) else {
        assert_ne!(O::SPEC.reply, ReplyShape::Message);
        return;
    };
    let back = O::REPLY.decode(message.slice(FRAME..), LIMIT).unwrap();
    assert_eq!(back.unwrap(), *content);
}

/// The laws of every row of the table.
macro_rules! every_codec {
    ($(
        $(#[$group_doc:meta])*
        group $Group:ident $routes:ident {
            $(
                $(#[$doc:meta])*
                $auth:ident $method:ident: $Request:ty => $Reply:ty { $($facts:tt)* }
            )*
        }
    )*) => {
        fn every_request_law(content: &Content, query: &Query) {
            $($( request_law::<$Request>(content, query); )*)*
        }

        fn every_reply_law(content: &Object) {
            $($( reply_law::<$Request>(content); )*)*
        }
    };
}

comity_core::operations!(every_codec);

proptest! {
    #[test]
    fn requests_come_back_byte_for_byte(content in content(), query in query()) {
        for content in [Content::Json(content), Content::Absent] {
            every_request_law(&content, &query);
        }
    }

    #[test]
    fn replies_come_back_byte_for_byte(content in content()) {
        every_reply_law(&content);
    }

    /// The same of a map, whose names are the peer's too.
    #[test]
    fn members_never_spill_over(
        pieces in vec(("[a-c\"{},:]{0,2}", "[\\[\\]{},:\"a1 ]{0,6}"), 0..3),
    ) {
        let message = map(pieces.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if let Ok(parts) = ingest_map(&message) {
            let again = QueryKeys::request_to_message(&parts).unwrap();
            prop_assert_eq!(again, message);
        }
    }

    /// A peer may send any bytes: what is taken in is what the fields say, or it is refused.
    #[test]
    fn fields_never_spill_over(
        pieces in vec("[\\[\\]{},:\"a1 ]{0,6}", 0..3),
        extra in "[\\[\\]{},:\"a1 ]{0,10}",
    ) {
        let message = pb::SendTransactionRequest {
            pdus: Some(list(pieces.iter().map(String::as_str))),
            extra_json: extra.into(),
            ..Default::default()
        };
        if let Ok(parts) = ingest(&message) {
            let again = SendTransaction::request_to_message(&parts).unwrap();
            prop_assert_eq!(again.pdus, message.pdus);
            if message.extra_json != "{}" {
                prop_assert_eq!(again.extra_json, message.extra_json);
            }
        }
    }
}

fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> pb::JsonList {
    pb::JsonList {
        items: items
            .into_iter()
            .map(|item| item.to_owned().into())
            .collect(),
    }
}

fn ingest(message: &pb::SendTransactionRequest) -> Result<EndpointParts, CodecError> {
    SendTransaction::request_from_message(message)?.ingest(LIMIT)
}

fn map<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> pb::QueryKeysRequest {
    let members = members.into_iter().map(|(name, value)| pb::JsonMember {
        name: name.to_owned(),
        value: value.to_owned().into(),
    });
    pb::QueryKeysRequest {
        device_keys: Some(pb::JsonMap {
            members: members.collect(),
        }),
        ..Default::default()
    }
}

fn ingest_map(message: &pb::QueryKeysRequest) -> Result<EndpointParts, CodecError> {
    QueryKeys::request_from_message(message)?.ingest(LIMIT)
}

#[test]
fn an_empty_map_is_not_an_absent_one() {
    for (text, message) in [
        ("{\"device_keys\":{}}", map([])),
        ("{}", pb::QueryKeysRequest::default()),
    ] {
        let parts = ingest_map(&message).unwrap();
        assert_eq!(parts.content, Content::Json(object(text)));
        assert_eq!(QueryKeys::request_to_message(&parts).unwrap(), message);
    }
}

#[test]
fn the_members_of_a_map_are_in_order_and_each_stands_once() {
    for (members, out) in [
        ([("b", "1"), ("a", "1")], "a"),
        ([("a", "1"), ("a", "2")], "a"),
        // As UTF-16 orders them.
        ([("\u{10000}", "1"), ("\u{ffff}", "1")], "\u{ffff}"),
    ] {
        let refused = ingest_map(&map(members)).unwrap_err();
        assert!(
            matches!(&refused, CodecError::Unordered { name, member } if name == "device_keys" && member == out),
            "{members:?}: {refused}"
        );
    }
}

#[test]
fn members_that_only_fit_together_are_refused() {
    for members in [
        &[("a", "1,\"b\":2")][..],
        &[("a", "[1"), ("b", "2]")],
        &[("a", "{\"x\":[1"), ("b", "2]}")],
        &[("a", "1}"), ("b", "{1")],
        &[("a", "")],
        &[("a", "1 ")],
        &[("a", "-0")],
    ] {
        let message = map(members.iter().copied());
        assert!(ingest_map(&message).is_err(), "{members:?}");
    }
}

#[test]
fn a_bytes_field_is_exactly_one_canonical_value() {
    for bad in [
        "",
        "1,2",
        "1],\"x\":[1",
        "1},\"x\":{",
        "{}}",
        "{} ",
        " {}",
        "{\"b\":1,\"a\":2}",
        "{\"a\":1,\"a\":1}",
        "-0",
        "\"\\u0041\"",
        "nul",
        "\u{feff}{}",
        "[",
        "\"\\ud800\"",
    ] {
        for pdus in [list([bad]), list(["{}", bad]), list([bad, "{}"])] {
            let message = pb::SendTransactionRequest {
                pdus: Some(pdus),
                ..Default::default()
            };
            assert!(ingest(&message).is_err(), "{bad}");
        }
        let reply = pb::GetVersionReply {
            server: Some(bad.to_owned().into()),
            ..Default::default()
        };
        assert!(reply.content().unwrap().ingest(LIMIT).is_err(), "{bad}");
        let extra = pb::SendTransactionRequest {
            extra_json: format!("{bad} ").into(),
            ..Default::default()
        };
        assert!(ingest(&extra).is_err(), "{bad}");
    }
}

#[test]
fn pieces_that_only_fit_together_are_refused() {
    for pieces in [&["[1", "2]"][..], &["{\"a\":[1", "2]}"], &["\"a", "b\""]] {
        let message = pb::SendTransactionRequest {
            pdus: Some(list(pieces.iter().copied())),
            ..Default::default()
        };
        let refused = ingest(&message).unwrap_err();
        assert!(
            matches!(&refused, CodecError::NotOneValue { name } | CodecError::Json { name, .. } if name == "pdus"),
            "{pieces:?}: {refused}"
        );
    }
}

#[test]
fn a_member_stands_in_one_field() {
    let message = pb::SendTransactionRequest {
        pdus: Some(list([])),
        extra_json: "{\"pdus\":null}".into(),
        ..Default::default()
    };
    assert!(matches!(ingest(&message), Err(CodecError::Duplicate { name }) if name == "pdus"));
}

#[test]
fn no_content_is_no_content() {
    let message = pb::SendTransactionRequest {
        no_content: true,
        edus: Some(list([])),
        ..Default::default()
    };
    assert!(matches!(ingest(&message), Err(CodecError::ContentAndNone)));
}

#[test]
fn integers_are_canonical() {
    let message = pb::SendTransactionRequest {
        origin_server_ts: Some(1 << 53),
        ..Default::default()
    };
    assert!(matches!(
        ingest(&message),
        Err(CodecError::OutOfRange { .. })
    ));
}

#[test]
fn huge_content_is_refused_by_its_limit() {
    let big = format!("\"{}\"", "x".repeat(LIMIT));
    let message = pb::SendTransactionRequest {
        pdus: Some(list([big.as_str()])),
        ..Default::default()
    };
    assert!(matches!(
        ingest(&message),
        Err(CodecError::TooLarge { limit: LIMIT })
    ));
}
