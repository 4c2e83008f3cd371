//! Inputs as messages of every rpc, and as frames that are none.

use bytes::{BufMut, Bytes, BytesMut};
use comity_net::Protocol;
use http::Request;
use http_body_util::Full;
use prost::Message;
use prost_types::FileDescriptorSet;

use crate::{
    corpus::{inputs, share},
    listener::{NAME, run},
    peer::{Outcome, Peer},
};

/// The rpc that carries any call.
pub(crate) const INVOKE: &str = "comity.federation.v1.Invocation/Invoke";

/// A call of an rpc with this body.
pub(crate) fn post(rpc: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(format!("https://{NAME}/{rpc}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(body.into()))
        .unwrap()
}

/// A message behind its prefix.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    frame(0, &message.encode_to_vec())
}

/// A call in the form of its endpoint.
pub(crate) fn invocation(
    method: &str,
    target: &str,
    content: Option<&Bytes>,
) -> Request<Full<Bytes>> {
    let message = comity_proto::InvokeRequest {
        method: method.to_owned(),
        target: target.to_owned().into(),
        content: content.cloned(),
        content_type: None,
    };
    post(INVOKE, framed(&message))
}

fn frame(flag: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(flag);
    frame.put_u32(payload.len() as u32);
    frame.extend_from_slice(payload);
    frame.freeze()
}

/// The path of every rpc of the schema.
fn rpcs() -> Vec<String> {
    let files = FileDescriptorSet::decode(comity_proto::DESCRIPTORS).unwrap();
    let mut rpcs = Vec::new();
    for file in &files.file {
        for service in &file.service {
            for method in &service.method {
                let (package, service) = (file.package(), service.name());
                rpcs.push(format!("{package}.{service}/{}", method.name()));
            }
        }
    }
    assert!(rpcs.iter().any(|rpc| rpc == INVOKE), "{rpcs:?}");
    rpcs
}

/// Every answer has a status, of gRPC or of HTTP.
#[track_caller]
fn assert_answered(outcome: &Outcome, of: &dyn std::fmt::Debug) {
    let Outcome::Answer {
        status, headers, ..
    } = outcome
    else {
        panic!("{of:?}: {outcome:?}");
    };
    assert!(*status == 200, "{of:?}: {outcome:?}");
    let status = headers
        .get("grpc-status")
        .expect("a status ends every reply");
    // INTERNAL, which is 13, would be the server's own fault.
    assert_ne!(status, "13", "{of:?}: {outcome:?}");
}

#[test]
fn messages_of_every_rpc_are_answered() {
    run(async |serving| {
        let mut peer = Peer::new(serving, Protocol::Http2);
        let rpcs = rpcs();
        for (turn, rpc) in rpcs.iter().enumerate() {
            for (field, input) in share(turn, rpcs.len()).enumerate() {
                let outcome = peer.send(post(rpc, frame(0, &input.bytes))).await;
                assert_answered(&outcome, &(rpc, &input.name));
                // As the value of a field, of the kind that most of them are.
                let field = field as u32 % 8 + 1;
                let mut message = Vec::new();
                prost::encoding::bytes::encode(field, &input.bytes, &mut message);
                let outcome = peer.send(post(rpc, frame(0, &message))).await;
                assert_answered(&outcome, &(rpc, field, &input.name));
            }
        }
    });
}

#[test]
fn frames_that_are_none_are_answered() {
    run(async |serving| {
        let mut peer = Peer::new(serving, Protocol::Http2);
        let rpcs = rpcs();
        for (turn, input) in inputs().iter().enumerate() {
            let bytes = &input.bytes;
            let long = {
                let mut frame = BytesMut::from(&frame(0, bytes)[..]);
                frame[1..5].copy_from_slice(&(bytes.len() as u32 + 1).to_be_bytes());
                frame.freeze()
            };
            let huge = [&[0, 0xff, 0xff, 0xff, 0xff], &bytes[..]].concat();
            let bodies: [(&str, Bytes); 7] = [
                ("as it is", bytes.clone()),
                ("compressed", frame(1, bytes)),
                ("of an odd flag", frame(0xff, bytes)),
                ("shorter than it says", long),
                ("of four gigabytes", huge.into()),
                ("twice", [frame(0, bytes), frame(0, bytes)].concat().into()),
                ("and more", [&frame(0, bytes)[..], &[0, 0]].concat().into()),
            ];
            let rpc = &rpcs[turn % rpcs.len()];
            for (what, body) in bodies {
                for rpc in [rpc.as_str(), INVOKE] {
                    let outcome = peer.send(post(rpc, body.clone())).await;
                    assert_answered(&outcome, &(rpc, what, &input.name));
                }
            }
        }
    });
}

#[test]
fn rpcs_of_any_name_are_answered() {
    run(async |serving| {
        let mut peer = Peer::new(serving, Protocol::Http2);
        for input in inputs() {
            let name = input.bytes.iter().take(500);
            let name: String = name.map(|byte| format!("%{byte:02x}")).collect();
            for rpc in [
                name.clone(),
                format!("comity.federation.v1.Server/{name}"),
                format!("{INVOKE}/{name}"),
            ] {
                let outcome = peer.send(post(&rpc, frame(0, b""))).await;
                assert_answered(&outcome, &(&rpc, &input.name));
            }
        }
    });
}
