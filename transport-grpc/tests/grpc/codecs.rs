//! The law of the codecs: content, message bytes, content is the identity, whatever the content is.

use comity_core::{
    api::{DownloadMedia, GetMissingEvents, GetServerKeys, GetVersion, SendJoin, SendTransaction},
    call::Endpoint,
    endpoint::{Content, EndpointParts, Query},
    json::Object,
};
use comity_grpc::{CodecError, GrpcCodec, ReplyMessage};
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
    let name = select(vec!["omit_members", "timeout_ms", "x", ""]);
    let value = select(vec!["true", "false", "5", "-5", "05", "x", "", "a b&c=d"]);
    vec((name, value), 0..4).prop_map(|pairs| {
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

fn reply_law<M: ReplyMessage>(content: &Object) {
    let message = M::from_content(content).encode_to_vec();
    let message = M::decode(message.as_slice()).unwrap();
    let back = message.content().unwrap().ingest(LIMIT).unwrap().unwrap();
    assert_eq!(back, *content);
}

proptest! {
    #[test]
    fn requests_come_back_byte_for_byte(content in content(), query in query()) {
        for content in [Content::Json(content), Content::Absent] {
            request_law::<GetVersion>(&content, &query);
            request_law::<GetServerKeys>(&content, &query);
            request_law::<SendTransaction>(&content, &query);
            request_law::<GetMissingEvents>(&content, &query);
            request_law::<SendJoin>(&content, &query);
            request_law::<DownloadMedia>(&content, &query);
        }
    }

    #[test]
    fn replies_come_back_byte_for_byte(content in content()) {
        reply_law::<pb::GetVersionReply>(&content);
        reply_law::<pb::GetServerKeysReply>(&content);
        reply_law::<pb::SendTransactionReply>(&content);
        reply_law::<pb::GetMissingEventsReply>(&content);
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
        assert!(
            matches!(ingest(&message), Err(CodecError::NotOneValue { .. })),
            "{pieces:?}"
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
