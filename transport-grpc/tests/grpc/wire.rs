//! Peers that do not keep the rules, on either side.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::{BufMut, Bytes, BytesMut};
use comity_core::{
    api::{Calls, GetVersion, SendJoin},
    call::{Call, Message as Whole, Reply},
    error::{CallError, Delivery, TransportErrorKind},
};
use comity_net::{Body, HttpService};
use comity_proto as pb;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost::Message;
use tonic::{Code, Status};
use tower::{service_fn, util::BoxCloneSyncService};

use crate::setting::{Serving, destination, handler, nobody, object, pdu};

pub(crate) fn framed(messages: &[Bytes]) -> Bytes {
    let mut framed = BytesMut::new();
    for message in messages {
        framed.put_u8(0);
        framed.put_u32(message.len() as u32);
        framed.extend_from_slice(message);
    }
    framed.freeze()
}

/// Sends what no client of ours would.
pub(crate) async fn send(
    serving: &Serving,
    method: &str,
    metadata: &[(&str, &str)],
    body: Bytes,
) -> Status {
    let mut request = Request::post(format!("/comity.federation.v1.{method}"))
        .header("content-type", "application/grpc");
    for (name, value) in metadata {
        request = request.header(*name, *value);
    }
    let request = request.body(comity_net::body::full(body)).unwrap();
    let response = serving
        .pool()
        .send(&serving.route(), request)
        .await
        .unwrap();
    let (head, body) = response.into_parts();
    match Status::from_header_map(&head.headers) {
        Some(status) => status,
        None => Status::from_header_map(body.collect().await.unwrap().trailers().unwrap()).unwrap(),
    }
}

/// Errcode, HTTP status.
pub(crate) fn detail(status: &Status) -> Option<(String, u32)> {
    let details = tonic_types::pb::Status::decode(status.details()).ok()?;
    let ours = details
        .details
        .iter()
        .find(|any| any.type_url.ends_with("FederationErrorDetail"))?;
    let detail = pb::FederationErrorDetail::decode(&ours.value[..]).unwrap();
    Some((detail.errcode.unwrap(), detail.http_status))
}

pub(crate) fn target(target: &str) -> String {
    STANDARD_NO_PAD.encode(target)
}

#[tokio::test]
async fn a_message_that_stands_for_no_content_is_an_invalid_argument() {
    let serving = Serving::start(nobody()).await;
    let target = target("/_matrix/federation/v1/send/t");
    let metadata = [
        ("x-matrix-method", "PUT"),
        ("x-matrix-uri-bin", target.as_str()),
    ];
    let good = pb::SendTransactionRequest {
        transaction_id: "t".to_owned(),
        pdus: Some(pb::JsonList::default()),
        ..Default::default()
    };
    let duplicate = pb::SendTransactionRequest {
        extra_json: "{\"pdus\":[]}".into(),
        ..good.clone()
    };
    let injected = pb::SendTransactionRequest {
        pdus: Some(pb::JsonList {
            items: vec!["1],\"x\":[1".into()],
        }),
        ..good.clone()
    };
    let empty = pb::SendTransactionRequest {
        pdus: Some(pb::JsonList {
            items: vec![Bytes::new()],
        }),
        ..good.clone()
    };
    for bad in [duplicate, injected, empty] {
        let body = framed(&[bad.encode_to_vec().into()]);
        let status = send(&serving, "Transactions/SendTransaction", &metadata, body).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{bad:?}");
        assert_eq!(detail(&status), Some(("M_BAD_JSON".to_owned(), 400)));
    }
    let message = Bytes::from(good.encode_to_vec());
    for body in [
        framed(&[]),
        framed(&[message.clone(), message.clone()]),
        framed(&["\u{7}".into()]),
        framed(std::slice::from_ref(&message)).slice(..message.len()),
    ] {
        let status = send(&serving, "Transactions/SendTransaction", &metadata, body).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
}

#[tokio::test]
async fn the_target_is_the_messages_own() {
    let serving = Serving::start(nobody()).await;
    let message = pb::SendJoinRequest {
        room_id: "!r".to_owned(),
        event_id: "$e".to_owned(),
        event: Some("{}".into()),
        ..Default::default()
    };
    let body = framed(&[message.encode_to_vec().into()]);
    let path = "/_matrix/federation/v2/send_join";
    for (method, wrong) in [
        ("PUT", format!("{path}/!r/$other")),
        ("PUT", format!("{path}/$e/!r")),
        ("PUT", format!("{path}/!r/$e?omit_members=true")),
        ("PUT", "/_matrix/federation/v1/send/!r".to_owned()),
        ("PUT", "/nowhere".to_owned()),
        ("GET", format!("{path}/!r/$e")),
    ] {
        let uri = target(&wrong);
        let metadata = [
            ("x-matrix-method", method),
            ("x-matrix-uri-bin", uri.as_str()),
        ];
        let status = send(&serving, "Membership/SendJoin", &metadata, body.clone()).await;
        assert_eq!(status.code(), Code::Unauthenticated, "{wrong}");
        assert_eq!(
            detail(&status),
            Some(("M_UNAUTHORIZED".to_owned(), 401)),
            "{wrong}"
        );
    }
    let status = send(&serving, "Membership/SendJoin", &[], body.clone()).await;
    assert_eq!(detail(&status), Some(("M_UNAUTHORIZED".to_owned(), 401)));
    for (wrong, http_status) in [("/a b", 400), ("/%ff", 404), ("/a#", 400)] {
        let uri = target(wrong);
        let metadata = [
            ("x-matrix-method", "PUT"),
            ("x-matrix-uri-bin", uri.as_str()),
        ];
        let status = send(&serving, "Membership/SendJoin", &metadata, body.clone()).await;
        let (_, got) = detail(&status).unwrap();
        assert!(got == http_status || got == 401, "{wrong}: {got}");
    }
}

#[tokio::test]
async fn another_spelling_of_the_target_reaches_the_handler_as_it_was_signed() {
    let serving = Serving::start(handler(|call: Call| async move {
        assert_eq!(
            call.form().unwrap().target(),
            "/_matrix/federation/v1/version?a=+&b"
        );
        Ok(Reply::Message(Whole::from_content(object("{}"))))
    }))
    .await;
    let uri = target("/_matrix/federation/v1/version?a=+&b");
    let metadata = [
        ("x-matrix-method", "GET"),
        ("x-matrix-uri-bin", uri.as_str()),
    ];
    let parameter = |name: &str, value: &str| pb::QueryParameter {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let message = pb::GetVersionRequest {
        extra_query: vec![parameter("a", " "), parameter("b", "")],
    };
    let body = framed(&[message.encode_to_vec().into()]);
    let status = send(&serving, "Server/GetVersion", &metadata, body.clone()).await;
    assert_eq!(status.code(), Code::Ok, "{status:?}");
}

#[tokio::test]
async fn an_unauthenticated_call_may_leave_the_target_out() {
    let serving = Serving::start(handler(|call: Call| async move {
        assert_eq!(
            call.form().unwrap().target(),
            "/_matrix/federation/v1/version"
        );
        Ok(Reply::Message(Whole::from_content(object("{}"))))
    }))
    .await;
    let status = send(&serving, "Server/GetVersion", &[], framed(&[Bytes::new()])).await;
    assert_eq!(status.code(), Code::Ok, "{status:?}");
}

#[tokio::test]
async fn malformed_metadata_is_refused() {
    let serving = Serving::start(nobody()).await;
    for metadata in [
        vec![("x-matrix-destination", "not a name")],
        vec![
            ("x-matrix-destination", "a.test"),
            ("x-matrix-destination", "b.test"),
        ],
        vec![("x-matrix-method", "GET")],
        vec![("x-matrix-method", "GET"), ("x-matrix-uri-bin", "!")],
        vec![("grpc-timeout", "soon")],
    ] {
        let status = send(
            &serving,
            "Server/GetVersion",
            &metadata,
            framed(&[Bytes::new()]),
        )
        .await;
        let (_, http_status) = detail(&status).unwrap();
        assert_eq!(http_status, 400, "{metadata:?}");
    }
    let late = send(
        &serving,
        "Server/GetVersion",
        &[("grpc-timeout", "0S")],
        framed(&[Bytes::new()]),
    )
    .await;
    assert_eq!(detail(&late).unwrap().1, 504);
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented_without_our_detail() {
    let serving = Serving::start(nobody()).await;
    for method in ["Server/Nothing", "Nothing/GetVersion", "Server"] {
        let status = send(&serving, method, &[], framed(&[Bytes::new()])).await;
        assert_eq!(status.code(), Code::Unimplemented);
        assert_eq!(detail(&status), None);
    }
}

#[tokio::test]
async fn invoke_answers_what_http_would() {
    let serving = Serving::start(nobody()).await;
    for (method, path, http_status) in [
        ("GET", "/nowhere", 404),
        ("POST", "/_matrix/federation/v1/version", 405),
        ("GET", "/%zz", 404),
        ("GET", "no slash", 400),
    ] {
        let request = pb::InvokeRequest {
            method: method.to_owned(),
            target: Bytes::copy_from_slice(path.as_bytes()),
            ..Default::default()
        };
        let request = Request::post("/comity.federation.v1.Invocation/Invoke")
            .header("content-type", "application/grpc")
            .body(comity_net::body::full(framed(&[request
                .encode_to_vec()
                .into()])))
            .unwrap();
        let response = serving
            .pool()
            .send(&serving.route(), request)
            .await
            .unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
        let frame = pb::InvokeReply::decode(&body[5..5 + length]).unwrap();
        let Some(pb::invoke_reply::Frame::Head(head)) = frame.frame else {
            panic!("{frame:?}");
        };
        assert_eq!(head.status, http_status, "{method} {path}");
    }
}

/// A peer that answers every request with this body and these trailers.
pub(crate) async fn rogue(
    status: u16,
    body: Bytes,
    trailers: &'static [(&'static str, &'static str)],
) -> Serving {
    let service: HttpService = BoxCloneSyncService::new(service_fn(move |_: Request<Body>| {
        let mut fields = HeaderMap::new();
        for (name, value) in trailers {
            fields.insert(*name, value.parse().unwrap());
        }
        let mut frames = vec![Ok(Frame::data(body.clone()))];
        if !fields.is_empty() {
            frames.push(Ok(Frame::trailers(fields)));
        }
        let body = StreamBody::new(stream::iter(frames)).boxed_unsync();
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/grpc")
            .body(body)
            .unwrap();
        async { Ok(response) }
    }));
    Serving::http(service).await
}

pub(crate) const OK: &[(&str, &str)] = &[("grpc-status", "0")];

fn chunk(chunk: &pb::Chunk) -> Bytes {
    chunk.encode_to_vec().into()
}

pub(crate) fn join() -> SendJoin {
    SendJoin {
        room_id: "!r".to_owned(),
        event_id: "$e".to_owned(),
        event: pdu(1),
        omit_members: None,
        extra_query: Default::default(),
    }
}

#[tokio::test]
async fn chunks_that_break_the_rules_are_a_protocol_error() {
    let begin = pb::Chunk {
        array: Some(0),
        array_start: true,
        items: vec!["{}".into()],
        ..Default::default()
    };
    let end = pb::Chunk {
        complete: true,
        ..Default::default()
    };
    let members = pb::Chunk {
        members_json: "{\"a\":1}".into(),
        ..Default::default()
    };
    let with = |change: fn(&mut pb::Chunk)| {
        let mut chunk = begin.clone();
        change(&mut chunk);
        chunk
    };
    let replies = [
        vec![begin.clone()],
        vec![],
        vec![pb::Chunk::default(), end.clone()],
        vec![begin.clone(), begin.clone(), end.clone()],
        vec![members.clone(), members.clone(), end.clone()],
        vec![begin.clone(), end.clone(), members.clone()],
        vec![with(|chunk| chunk.array = Some(2)), end.clone()],
        vec![with(|chunk| chunk.array = None), end.clone()],
        vec![with(|chunk| chunk.array_start = false), end.clone()],
        vec![with(|chunk| chunk.members_json = "{}".into()), end.clone()],
        vec![with(|chunk| chunk.items = vec!["1,2".into()]), end.clone()],
        vec![with(|chunk| chunk.items = vec![Bytes::new()]), end.clone()],
        vec![
            with(|chunk| chunk.items = vec!["{\"b\":1,\"a\":1}".into()]),
            end.clone(),
        ],
    ];
    for reply in replies {
        let body = framed(&reply.iter().map(chunk).collect::<Vec<_>>());
        let serving = rogue(200, body, OK).await;
        let Ok(Reply::Events(events)) = serving
            .client()
            .send(Call::new(destination(), join()))
            .await
        else {
            panic!("no stream");
        };
        let last = events
            .parts
            .fold(None, |_, part| std::future::ready(Some(part)))
            .await;
        let Some(Err(CallError::Transport(error))) = last else {
            panic!("{reply:?}: {last:?}");
        };
        assert_eq!(error.kind(), TransportErrorKind::Protocol, "{reply:?}");
    }
}

#[tokio::test]
async fn a_reply_that_breaks_the_rules_is_a_protocol_error() {
    let good = Bytes::from(pb::GetVersionReply::default().encode_to_vec());
    let bad = pb::GetVersionReply {
        server: Some("{} ".into()),
        ..Default::default()
    };
    let mut compressed = BytesMut::from(&framed(std::slice::from_ref(&good))[..]);
    compressed[0] = 1;
    for (body, trailers) in [
        (framed(&[]), OK),
        (framed(&[good.clone(), good.clone()]), OK),
        (framed(std::slice::from_ref(&good)), &[][..]),
        (framed(&[bad.encode_to_vec().into()]), OK),
        (framed(&["\u{7}".into()]), OK),
        (Bytes::from_static(&[0, 0, 0, 0, 9, 1]), OK),
        (compressed.freeze(), OK),
    ] {
        let serving = rogue(200, body, trailers).await;
        let got = serving
            .client()
            .get_version(&destination(), GetVersion::default())
            .await;
        let Err(CallError::Transport(error)) = got else {
            panic!("{got:?}");
        };
        assert_eq!(error.kind(), TransportErrorKind::Protocol, "{error:?}");
        assert_eq!(error.delivery(), Delivery::MaybeProcessed);
    }
}

#[tokio::test]
async fn a_carriers_word_is_not_the_peers() {
    for (status, trailers, delivery) in [
        (
            200,
            &[("grpc-status", "14"), ("grpc-message", "draining")][..],
            Delivery::MaybeProcessed,
        ),
        (200, &[("grpc-status", "16")][..], Delivery::MaybeProcessed),
        (200, &[("grpc-status", "12")][..], Delivery::Rejected),
        (503, OK, Delivery::MaybeProcessed),
        (404, OK, Delivery::Rejected),
        (431, OK, Delivery::Rejected),
    ] {
        let serving = rogue(status, Bytes::new(), trailers).await;
        let got = serving
            .client()
            .get_version(&destination(), GetVersion::default())
            .await;
        let Err(CallError::Transport(error)) = got else {
            panic!("{got:?}");
        };
        assert_eq!(error.kind(), TransportErrorKind::Carrier, "{error:?}");
        assert_eq!(error.delivery(), delivery, "{error:?}");
    }
}

#[tokio::test]
async fn a_peer_that_cannot_be_reached_got_nothing() {
    let serving = Serving::start(nobody()).await;
    let client = serving.client();
    drop(serving);
    tokio::task::yield_now().await;
    let got = client
        .get_version(&destination(), GetVersion::default())
        .await;
    let Err(CallError::Transport(error)) = got else {
        panic!("{got:?}");
    };
    assert_eq!(error.delivery(), Delivery::NotSent, "{error:?}");
}
