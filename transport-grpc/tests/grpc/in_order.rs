//! A transaction that is read from its message's bytes, without decoding it: always what comes of decoding it.

use bytes::Bytes;
use comity_core::{
    api::SendTransaction,
    endpoint::{Content, EndpointParts},
    json::Object,
};
use comity_grpc::{CodecError, GrpcCodec};
use comity_proto as pb;
use proptest::{collection::vec, option, prelude::*, sample::Index};
use prost::Message;

const LIMIT: usize = 1 << 20;

fn decoded(message: &[u8], limit: usize) -> Result<EndpointParts, CodecError> {
    let message = pb::SendTransactionRequest::decode(message)?;
    SendTransaction::request_from_message(&message)?.ingest(limit)
}

fn in_order(message: &[u8], limit: usize) -> Option<EndpointParts> {
    SendTransaction::request_from_bytes(message, limit)
}

fn object(parts: &EndpointParts) -> &Object {
    match &parts.content {
        Content::Json(object) => object,
        other => panic!("{other:?}"),
    }
}

/// The same parameters and text, and the same found in it.
#[track_caller]
fn assert_same(one: &EndpointParts, other: &EndpointParts) {
    assert_eq!(one, other);
    let (one, other) = (object(one), object(other));
    assert_eq!(one.facts(), other.facts());
    assert!(one.members().eq(other.members()));
    for name in ["edus", "pdus"] {
        let elements = |object: &Object| {
            let elements = object.array(name)?;
            Some(elements.map(|it| (it.facts(), it)).collect::<Vec<_>>())
        };
        assert_eq!(elements(one), elements(other));
    }
}

fn events() -> impl Strategy<Value = pb::JsonList> {
    let event = prop_oneof![
        6 => "\\{\"a\":[0-9]\\}",
        4 => Just("{\"content\":{\"body\":\"é\"},\"depth\":[[1.5]]}".to_owned()),
        1 => "[\\[\\]{},:\"a1 ]{0,6}",
    ];
    vec(event, 0..4).prop_map(|events| pb::JsonList {
        items: events.into_iter().map(Bytes::from).collect(),
    })
}

fn plain() -> impl Strategy<Value = pb::SendTransactionRequest> {
    (
        ".{0,5}",
        option::of(".{0,5}"),
        option::of(prop_oneof![0..1_i64 << 53, any::<i64>()]),
        option::of(events()),
        option::of(events()),
    )
        .prop_map(|(transaction_id, origin, origin_server_ts, pdus, edus)| {
            pb::SendTransactionRequest {
                transaction_id,
                origin,
                origin_server_ts,
                pdus,
                edus,
                ..Default::default()
            }
        })
}

/// Also with the fields that only the decoder reads.
fn any_message() -> impl Strategy<Value = pb::SendTransactionRequest> {
    let query = vec((".{0,3}", ".{0,3}"), 0..2);
    (plain(), "(\\{\"x\":1\\})?", any::<bool>(), query).prop_map(
        |(message, extra_json, no_content, query)| pb::SendTransactionRequest {
            extra_json: extra_json.into(),
            no_content,
            extra_query: query
                .into_iter()
                .map(|(name, value)| pb::QueryParameter { name, value })
                .collect(),
            ..message
        },
    )
}

proptest! {
    /// As encoders write it, it is taken as it is, or refused.
    #[test]
    fn a_usual_message_is_not_decoded(message in plain()) {
        let bytes = message.encode_to_vec();
        let negative = message.origin_server_ts.is_some_and(|it| it < 0);
        match (in_order(&bytes, LIMIT), decoded(&bytes, LIMIT)) {
            (Some(ours), Ok(parts)) => assert_same(&ours, &parts),
            (None, Ok(_)) => prop_assert!(negative),
            (None, Err(_)) => {}
            (Some(ours), Err(error)) => prop_assert!(false, "{ours:?}: {error}"),
        }
    }

    /// Two messages behind one another are one whose fields come twice; cut off, or with a byte changed, it may be none.
    #[test]
    fn whatever_is_taken_is_what_the_decoder_makes_of_it(
        one in any_message(), other in any_message(), cut in any::<Index>(), place in any::<Index>(), byte in any::<u8>(), limit in 0..200_usize,
    ) {
        let both = [one.encode_to_vec(), other.encode_to_vec()].concat();
        let cut = both[..cut.index(both.len() + 1)].to_vec();
        let mut changed = one.encode_to_vec();
        if !changed.is_empty() {
            let place = place.index(changed.len());
            changed[place] = byte;
        }
        for message in [one.encode_to_vec(), both, cut, changed] {
            for limit in [LIMIT, limit] {
                if let Some(ours) = in_order(&message, limit) {
                    assert_same(&ours, &decoded(&message, limit).expect("the decoder takes it"));
                }
            }
        }
    }
}

#[test]
fn a_limit_is_met_to_the_byte() {
    let message = pb::SendTransactionRequest {
        transaction_id: "1".to_owned(),
        origin: Some("one.example".to_owned()),
        origin_server_ts: Some(1),
        pdus: Some(pb::JsonList {
            items: vec![Bytes::from_static(b"{}"); 3],
        }),
        ..Default::default()
    }
    .encode_to_vec();
    let parts = in_order(&message, LIMIT).expect("it is usual");
    let length = object(&parts).text().len();
    assert!(in_order(&message, length).is_some());
    assert!(in_order(&message, length - 1).is_none());
    assert!(matches!(
        decoded(&message, length - 1),
        Err(CodecError::TooLarge { .. })
    ));
}
