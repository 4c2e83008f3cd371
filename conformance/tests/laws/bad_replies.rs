//! Of a reply that is wrong the caller learns which member is, and that the call may have been processed. It harms nothing: the same
//! connection serves the next call.

use std::{
    collections::BTreeSet,
    error::Error,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use comity_conformance::{
    Bench, Kind, ReplySample,
    bench::{Answer, any_call, runtime},
    json::{parse, with_member},
};
use comity_core::{
    call::ReplyShape,
    error::{CallError, Delivery, TransportErrorKind},
    json::Object,
};
use comity_net::{Body, ConnectionInfo};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tower::{service_fn, util::BoxCloneSyncService};

use crate::{
    bad_input::{
        Subject, contradiction,
        declared::{VALUES, good_reply, too_deep},
        framed, subjects,
    },
    wire::{grpc_to, peer_of, wires},
};

/// A reply that cannot be read, and the member that is why.
struct Fault {
    what: String,
    reply: ReplySample,
    names: String,
}

/// Each member that is read by its type left out, if it is required, and given as something else.
fn faults(subject: &Subject, good: &Object) -> Vec<Fault> {
    let shape = subject.operation.spec().reply;
    let mut faults = Vec::new();
    for parameter in subject.sample.reply_members() {
        let name = parameter.name;
        let mut add = |what: &str, value| {
            faults.push(Fault {
                what: format!(
                    "a reply of {:?} whose `{name}` is {what}",
                    subject.operation
                ),
                reply: ReplySample::of_members(shape, &with_member(good, name, value)),
                names: format!("`{name}`"),
            });
        };
        for (value, _) in VALUES
            .iter()
            .filter(|(_, kinds)| !kinds.contains(&parameter.kind))
        {
            add(value, Some(parse(value)));
        }
        if parameter.required {
            add("missing", None);
        }
        if parameter.kind == Kind::Event {
            add("nested too deep", Some(too_deep()));
        }
    }
    faults
}

/// The caller's error is of the right kind and names what was wrong, itself or by its cause.
#[track_caller]
fn assert_names(error: &CallError, names: &str, over: &str) {
    let CallError::Transport(transport) = error else {
        panic!("{over}: {error:?}");
    };
    assert_eq!(
        transport.kind(),
        TransportErrorKind::Protocol,
        "{over}: {error:?}"
    );
    assert_eq!(transport.delivery(), Delivery::MaybeProcessed, "{over}");
    let mut text = String::new();
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        text += &format!("{error}: ");
        cause = error.source();
    }
    assert!(text.contains(names), "{over}: {text}");
}

/// A good reply arrives; gives the connection that it came by.
async fn peer_of_a_good_call(
    wire: &Bench,
    subject: &Subject,
    good: &Object,
    over: &str,
) -> Option<SocketAddr> {
    let reply = ReplySample::of_members(subject.operation.spec().reply, good);
    let answer = Answer::Reply(reply.clone());
    let exchange = wire
        .exchange(any_call(&subject.sample).unwrap(), answer)
        .await
        .unwrap();
    assert_eq!(exchange.outcome, Ok(reply), "{over}");
    peer_of(&exchange.seen.unwrap())
}

#[test]
fn a_member_of_a_reply_that_is_wrong_is_named() {
    let wires = runtime().block_on(wires());
    for subject in subjects() {
        if subject.sample.reply_members().is_empty() {
            continue;
        }
        let good = good_reply(&subject);
        let faults = faults(&subject, &good);
        runtime().block_on(async {
            for wire in &wires {
                let over = format!("{:?} over {}", subject.operation, wire.name());
                let peer = peer_of_a_good_call(wire, &subject, &good, &over).await;
                for fault in &faults {
                    let over = format!("{} over {}", fault.what, wire.name());
                    let client = wire.client(Answer::Reply(fault.reply.clone()));
                    let reply = client
                        .send(any_call(&subject.sample).unwrap())
                        .await
                        .unwrap();
                    let judged = subject.sample.judge_reply(reply).await;
                    assert_names(&judged.expect_err(&over), &fault.names, &over);
                    let next = peer_of_a_good_call(wire, &subject, &good, &over).await;
                    assert_eq!(next, peer, "another connection after {over}");
                }
            }
        });
    }
}

/// A peer that answers every call of gRPC with the same message.
#[derive(Clone, Default)]
struct Rogue(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// In its frame.
    message: Bytes,
    /// Where the calls came from.
    peers: BTreeSet<SocketAddr>,
}

impl Rogue {
    fn answer(&self, request: &Request<Body>) -> Response<Body> {
        let mut state = self.0.lock().unwrap();
        let connection = request.extensions().get::<Arc<ConnectionInfo>>();
        state
            .peers
            .extend(connection.and_then(|connection| connection.peer().socket_addr()));
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let frames = [
            Frame::data(state.message.clone()),
            Frame::trailers(trailers),
        ];
        let body = StreamBody::new(stream::iter(frames.map(Ok))).boxed_unsync();
        let response = Response::builder().header("content-type", "application/grpc");
        response.body(body).unwrap()
    }

    fn prepare(&self, message: Bytes) {
        self.0.lock().unwrap().message = message;
    }
}

#[test]
fn a_reply_message_that_stands_for_no_content_is_refused() {
    let rogue = Rogue::default();
    let service = rogue.clone();
    let service = BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
        std::future::ready(Ok(service.answer(&request)))
    }));
    runtime().block_on(async {
        let client = grpc_to(service).await;
        for subject in subjects() {
            if subject.operation.spec().reply != ReplyShape::Message {
                continue;
            }
            let contradictions = contradiction::of_reply(subject.rpc);
            assert!(!contradictions.is_empty(), "{:?}", subject.operation);
            for fault in contradictions {
                let over = format!("{} in a reply of {:?}", fault.what, subject.operation);
                rogue.prepare(framed(&[fault.message]));
                let got = client.send(any_call(&subject.sample).unwrap()).await;
                assert_names(&got.expect_err(&over), &fault.names, &over);
            }
            rogue.prepare((subject.encode_reply)(&Object::empty()).unwrap());
            client
                .send(any_call(&subject.sample).unwrap())
                .await
                .unwrap();
        }
    });
    assert_eq!(rogue.0.lock().unwrap().peers.len(), 1, "connections");
}
