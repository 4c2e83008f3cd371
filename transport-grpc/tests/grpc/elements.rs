//! The limit of the elements of one message, either way, however they are hidden.

use bytes::Bytes;
use comity_core::{
    api::{Calls, QueryKeys},
    call::{Call, Reply},
    error::{CallError, Delivery, TransportErrorKind},
    json::Json,
};
use comity_proto as pb;
use futures_util::StreamExt;
use prost::Message;

use crate::{
    setting::{Serving, destination, nobody, value},
    wire::{OK, detail, framed, join, rogue, send, target},
};

/// Twice the limit.
const ELEMENTS: usize = 200_000;

/// A message whose field 1 is a list of so many empty elements, each time behind something that prost reads over.
fn hidden() -> Vec<Bytes> {
    let elements = [0x0a, 0].repeat(ELEMENTS);
    [
        elements.clone(),
        [&[0x78, 0], &elements[..]].concat(),
        [0x8a, 0, 0].repeat(ELEMENTS),
        [&[0x7b, 0x7c], &elements[..]].concat(),
    ]
    .map(|list| {
        let mut message = vec![0x7b, 0x7c, 0x0a];
        prost::encoding::encode_varint(list.len() as u64, &mut message);
        message.extend(list);
        message.into()
    })
    .into()
}

#[tokio::test]
async fn a_request_of_too_many_elements_is_refused_before_they_are_decoded() {
    let serving = Serving::start(nobody()).await;
    let uri = target("/_matrix/federation/v1/user/keys/query");
    let metadata = [
        ("x-matrix-method", "POST"),
        ("x-matrix-uri-bin", uri.as_str()),
    ];
    for message in hidden() {
        let body = framed(&[message]);
        let status = send(&serving, "Devices/QueryKeys", &metadata, body).await;
        assert_eq!(detail(&status), Some(("M_TOO_LARGE".to_owned(), 413)));
        assert!(status.message().contains("100000"), "{status:?}");
    }
}

/// A text is counted by what it looks like, whichever way its message is read.
#[tokio::test]
async fn a_transaction_is_held_to_it_as_well() {
    let serving = Serving::start(nobody()).await;
    let uri = target("/_matrix/federation/v1/send/1");
    let metadata = [
        ("x-matrix-method", "PUT"),
        ("x-matrix-uri-bin", uri.as_str()),
    ];
    let message = pb::SendTransactionRequest {
        transaction_id: "1".to_owned(),
        origin: Some("\n\0".repeat(100_001)),
        origin_server_ts: Some(1),
        pdus: Some(pb::JsonList::default()),
        ..Default::default()
    };
    let body = framed(&[message.encode_to_vec().into()]);
    let status = send(&serving, "Transactions/SendTransaction", &metadata, body).await;
    assert_eq!(detail(&status), Some(("M_TOO_LARGE".to_owned(), 413)));
    assert!(status.message().contains("100000"), "{status:?}");
}

#[track_caller]
fn assert_over_limit(error: &CallError) {
    let CallError::Transport(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.kind(), TransportErrorKind::LimitExceeded);
    assert_eq!(error.delivery(), Delivery::MaybeProcessed);
    assert!(error.message().contains("100000"), "{error}");
}

#[tokio::test]
async fn a_reply_of_too_many_elements_is_refused_before_they_are_decoded() {
    for message in hidden() {
        let serving = rogue(200, framed(&[message]), OK).await;
        let client = serving.client();
        let request = QueryKeys {
            device_keys: Json::from_value(value("{}")),
            extra: Default::default(),
            extra_query: Default::default(),
        };
        let got = client.query_keys(&destination(), request).await;
        assert_over_limit(&got.unwrap_err());
    }
}

#[tokio::test]
async fn a_chunk_of_too_many_elements_is_refused_before_they_are_decoded() {
    let chunk = pb::Chunk {
        array: Some(0),
        array_start: true,
        items: vec![Bytes::new(); ELEMENTS],
        ..Default::default()
    };
    let serving = rogue(200, framed(&[chunk.encode_to_vec().into()]), OK).await;
    let call = Call::new(destination(), join());
    let Ok(Reply::Events(mut events)) = serving.client().send(call).await else {
        panic!("no stream");
    };
    let first = events.parts.next().await.unwrap();
    assert_over_limit(&first.unwrap_err());
    assert!(events.parts.next().await.is_none());
}
