//! CPU of a server over gRPC: a transaction as one message, and a room's state as a stream. Without authentication, so that what is
//! measured is the binding.
//!
//! Beside ours stand what everybody would write: tonic with one `bytes` field, the same that also checks the JSON, and hyper's HTTP/2 alone.

pub(crate) mod servers;

use std::{hint::black_box, sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use comity_bench::peers::tonic::Plain;
use comity_core::{
    Operations,
    api::{GetState, SendTransaction},
    call::{Call, Endpoint, Part, Reply},
    endpoint::EndpointParts,
    json::{Object, Value},
    transport::{FixedRoutes, Route, Transport},
};
use comity_floors::bodies::{STATE_EVENT, usual};
use comity_grpc::{GrpcCodec, GrpcTransport};
use comity_net::{Pool, Protocol, body};
use futures_util::StreamExt;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use prost::Message;
use tokio::runtime::Runtime;

use crate::{
    load::{IN_FLIGHT, Sender, Server},
    process::thread_cpu,
    report::{Need, Report},
    rounds::alternate,
    setting::{TARGET, connector, destination, pool},
};

const ROUNDS: usize = 15;

/// State events in a streamed reply.
const STATE: u64 = 20_000;

pub(crate) fn measure(runtime: &Runtime, report: &mut Report) {
    let start =
        |role: &[&str], sent| Server::start(runtime, role, |route| Plainly::to(route, false, sent));
    for (pdus, requests) in [(50, 1_000), (1, 4_000)] {
        let content = usual(pdus);
        let mut ours = start(&["grpc"], unary(&content));
        for (role, other) in [
            (&["tonic"][..], "plain tonic with one bytes field"),
            (
                &["tonic-checked", "plain"],
                "the same tonic that puts the field through our strict check",
            ),
        ] {
            let mut tonic = start(role, plain(&content));
            let pair = alternate(ROUNDS, || ours.cost(requests), || tonic.cost(requests));
            report.pair(
                format!("gRPC, {pdus} PDUs without authentication: ours / {other}"),
                pair,
                match pdus {
                    50 => Need::AtMost(1.0),
                    _ => Need::None,
                },
            );
        }
    }
    let mut ours = start(&["grpc"], state());
    for (role, other, need) in [
        (
            "h2",
            "HTTP/2 alone, its bytes joined before",
            Need::AtMost(1.15),
        ),
        (
            "h2-joins",
            "HTTP/2 alone that joins them as they go",
            Need::None,
        ),
    ] {
        let mut raw = start(&[role], Sent::to("/", Bytes::new()));
        let pair = alternate(ROUNDS, || ours.cost(IN_FLIGHT), || raw.cost(IN_FLIGHT));
        report.pair(
            format!("gRPC, {STATE} events streamed, the server: ours / {other}"),
            pair,
            need,
        );
    }
    let raw = start(&["h2"], Sent::to("/", Bytes::new()));
    let transport = ours.sender.transport();
    for (checks, other, need) in [
        (false, "HTTP/2 alone", Need::None),
        (
            true,
            "HTTP/2 alone and our strict check of each event",
            Need::AtMost(1.15),
        ),
    ] {
        let pair = alternate(
            ROUNDS,
            || spent(runtime, read_ours(&transport)),
            || spent(runtime, raw.sender.read_raw(checks)),
        );
        report.pair(
            format!("gRPC, {STATE} events streamed, the client: ours / {other}"),
            pair,
            need,
        );
    }
}

/// Plain tonic with TLS that puts the content through our strict check and asks nobody who calls: what a transaction costs over gRPC at least.
pub(crate) fn tonic_with_tls<'a>(runtime: &'a Runtime, content: &Bytes) -> Server<'a, Plainly> {
    Server::start(runtime, &["tonic-checked", "tls"], |route| {
        Plainly::to(route, true, plain(content))
    })
}

/// CPU time of this thread, on which all of the runtime runs, until this is done.
fn spent(runtime: &Runtime, work: impl Future<Output = u64>) -> Duration {
    let begun = thread_cpu();
    let events = runtime.block_on(work);
    assert_eq!(events, STATE, "every event arrives");
    thread_cpu() - begun
}

/// Reads a state over our binding: how many events it has.
async fn read_ours(transport: &GrpcTransport) -> u64 {
    let call = Call::new(destination(), state_request());
    let reply = transport.send(call).await.expect("the server answers");
    let Reply::Events(mut events) = reply else {
        panic!("a state is a stream");
    };
    let mut count = 0;
    while let Some(part) = events.parts.next().await {
        if let Part::Item { value, .. } = part.expect("it is whole") {
            black_box(value);
            count += 1;
        }
    }
    count
}

/// A request that is sent again and again.
struct Sent {
    request: Request<()>,
    body: Bytes,
}

impl Sent {
    fn to(path: &str, body: Bytes) -> Self {
        let request = Request::post(path)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("its parts are valid");
        Self { request, body }
    }

    /// Our own rpc: what was signed travels beside the message.
    fn rpc<O: GrpcCodec>(parts: &EndpointParts, target: &str) -> Self {
        let message = O::request_to_message(parts).expect("the message can say it");
        let mut sent = Self::to(&format!("/{}", O::RPC), framed(&message));
        let target = base64_of(target);
        for (name, value) in [
            ("x-matrix-method", O::METHOD),
            ("x-matrix-uri-bin", &target),
            ("x-matrix-destination", destination().as_str()),
        ] {
            let value = value.parse().expect("it is a header");
            sent.request.headers_mut().insert(name, value);
        }
        sent
    }
}

fn base64_of(text: &str) -> String {
    tonic::metadata::MetadataValue::from_bytes(text.as_bytes())
        .as_encoded_bytes()
        .iter()
        .map(|byte| char::from(*byte))
        .collect()
}

fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("it is short"));
    message.encode(&mut frame).expect("there is room");
    frame.freeze()
}

fn unary(content: &Bytes) -> Sent {
    let object = Object::parse(content.clone(), usize::MAX).expect("it is canonical");
    let (_, parts) = Operations::federation()
        .route("PUT", TARGET)
        .expect("it is in the table");
    let parts = EndpointParts {
        content: comity_core::endpoint::Content::Json(object),
        ..parts
    };
    Sent::rpc::<SendTransaction>(&parts, TARGET)
}

fn state_request() -> GetState {
    GetState {
        room_id: "!room".to_owned(),
        event_id: "$event".to_owned(),
        ..Default::default()
    }
}

fn state() -> Sent {
    let target = "/_matrix/federation/v1/state/%21room?event_id=%24event";
    Sent::rpc::<GetState>(&state_request().write(), target)
}

fn plain(content: &Bytes) -> Sent {
    let data = content.clone();
    Sent::to("/bench.Plain/Send", framed(&Plain { data }))
}

/// A request over HTTP/2, by no client of gRPC: all servers get theirs from the same one.
pub(crate) struct Plainly {
    pool: Pool,
    route: Route,
    sent: Sent,
}

impl Plainly {
    /// Made within a runtime.
    fn to(route: Route, tls: bool, sent: Sent) -> Self {
        Self {
            pool: pool(connector(tls), Protocol::Http2),
            route,
            sent,
        }
    }

    /// Our client of this server.
    fn transport(&self) -> GrpcTransport {
        let routes = FixedRoutes::new().with(destination(), self.route.clone());
        GrpcTransport::new(Arc::new(routes), self.pool.clone())
    }

    /// Reads events that come without anything between them: how many there are.
    async fn read_raw(&self, checks: bool) -> u64 {
        let (head, ()) = self.sent.request.clone().into_parts();
        let request = Request::from_parts(head, body::empty());
        let response = self.pool.send(&self.route, request).await;
        let mut body = response.expect("the server answers").into_body();
        let (mut bytes, mut held) = (0, BytesMut::new());
        let check = |event: Bytes| {
            black_box(Value::parse(event, usize::MAX).expect("it is canonical"));
        };
        while let Some(frame) = body.frame().await {
            let Ok(mut data) = frame.expect("it is whole").into_data() else {
                continue;
            };
            bytes += data.len();
            if !checks {
                continue;
            }
            // An event that lies in two frames is put together, the others are slices.
            if !held.is_empty() {
                let rest = data.split_to(data.len().min(STATE_EVENT - held.len()));
                held.extend_from_slice(&rest);
                if held.len() < STATE_EVENT {
                    continue;
                }
                check(held.split().freeze());
            }
            while data.len() >= STATE_EVENT {
                check(data.split_to(STATE_EVENT));
            }
            held.extend_from_slice(&data);
        }
        bytes as u64 / STATE_EVENT as u64
    }
}

impl Sender for Plainly {
    async fn send(&self) {
        let (head, ()) = self.sent.request.clone().into_parts();
        let request = Request::from_parts(head, body::full(self.sent.body.clone()));
        let response = self.pool.send(&self.route, request).await;
        let response = response.expect("the server answers");
        assert_eq!(response.status(), StatusCode::OK);
        assert!(
            response.headers().get("grpc-status").is_none(),
            "{response:?}"
        );
        let mut body = response.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            match frame.expect("it is whole").into_data() {
                Ok(data) => bytes += data.len(),
                Err(trailers) => {
                    let status = trailers
                        .trailers_ref()
                        .and_then(|map| map.get("grpc-status"));
                    assert!(status.is_none_or(|status| status == "0"), "{trailers:?}");
                }
            }
        }
        assert!(bytes > 0, "an answer has bytes");
    }
}
