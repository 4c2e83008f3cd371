//! CPU of a server for a transaction by a session over gRPC, against the same transaction signed over our own HTTPS; and what judging a known session costs by itself.

use std::sync::Arc;

use bytes::Bytes;
use comity_core::{
    Client,
    api::SendTransaction,
    auth::{
        Authenticator, Channel, ChannelProofs, EXPORTER_BYTES, SessionCredential, SessionOptions,
        SessionUse, Sign, now_ms,
    },
    call::{Call, Credentials, operation},
    endpoint::{Content, EndpointForm, EndpointParts, read_content},
    transport::{FixedRoutes, Route},
};
use comity_floors::bodies::usual;
use comity_grpc::GrpcTransport;
use comity_net::Protocol;
use tokio::runtime::Runtime;

use crate::{
    grpc,
    load::{Sender, Server},
    ours,
    process::thread_cpu,
    report::{Need, Report},
    rounds::{Spread, alternate},
    setting::{TARGET, connector, destination, origin, pool, signing_key},
    transactions,
};

const ROUNDS: usize = 21;

/// Judgements of one round.
const JUDGED: u32 = 20_000;

pub(crate) fn measure(runtime: &Runtime, report: &mut Report) {
    for (pdus, requests, need) in [(50, 1_000, Need::AtMost(0.2)), (1, 4_000, Need::None)] {
        let content = usual(pdus);
        let mut session = Server::start(runtime, &["session"], |route| {
            InSession::to(route, &content)
        });
        let mut signed = transactions::start(runtime, "ours", pdus, true, &content);
        let pair = alternate(ROUNDS, || session.cost(requests), || signed.cost(requests));
        report.pair(
            format!(
                "{pdus} PDUs: gRPC with TLS by a session / HTTP/1.1 with TLS by X-Matrix, both ours"
            ),
            pair,
            need,
        );
        let mut tonic = grpc::tonic_with_tls(runtime, &content);
        let checks = "plain tonic with TLS that checks the content and asks nobody who calls";
        for (what, pair) in [
            (
                format!("gRPC with TLS by a session / {checks}"),
                alternate(
                    ROUNDS / 2,
                    || session.cost(requests),
                    || tonic.cost(requests),
                ),
            ),
            (
                format!("{checks} / our HTTP/1.1 with TLS by X-Matrix"),
                alternate(
                    ROUNDS / 2,
                    || tonic.cost(requests),
                    || signed.cost(requests),
                ),
            ),
        ] {
            report.pair(format!("{pdus} PDUs: {what}"), pair, Need::None);
        }
    }
    let nanoseconds = runtime.block_on(judging());
    report.row(
        "a call on a proven session: judging its proof, with the key ring",
        "ns",
        Spread::of(nanoseconds),
        Need::AtMost(1_000.0),
        "screened, then authenticated",
    );
}

/// The transaction with this content, as a client makes it; its endpoint form is made.
fn call(content: &Bytes) -> Call {
    let op = operation::<SendTransaction>();
    let (_, parts) = comity_core::Operations::federation()
        .route("PUT", TARGET)
        .expect("it is in the table");
    let content = read_content(op, None, content.clone()).expect("it is canonical");
    let parts = EndpointParts { content, ..parts };
    let form = EndpointForm::received("PUT".into(), TARGET.to_owned(), parts);
    assert!(matches!(form.content(), Content::Json(_)));
    let context = comity_core::call::CallContext::to(destination());
    Call::read(op, form, context).expect("it is a transaction")
}

/// A transaction by a session.
struct InSession {
    client: Client,
    call: Call,
}

impl InSession {
    /// Made within a runtime.
    fn to(route: Route, content: &Bytes) -> Self {
        let pool = pool(connector(true), Protocol::Http2);
        let routes = Arc::new(FixedRoutes::new().with(destination(), route));
        // If it were refused, the calls would fail.
        let sessions = SessionOptions::default().with_usually(SessionUse::Required);
        let transport = GrpcTransport::new(routes, pool).with_sessions(sessions);
        let sign = Sign::layer(origin(), signing_key());
        Self {
            client: Client::layered(Arc::new(transport), sign),
            call: call(content),
        }
    }
}

impl Sender for InSession {
    async fn send(&self) {
        let sent = self.client.send(self.call.duplicate()).await;
        sent.expect("the server answers");
    }
}

/// A connection that is none.
#[derive(Debug, Default)]
struct Wire(ChannelProofs);

impl Channel for Wire {
    fn exporter(&self, _: &[u8]) -> Option<[u8; EXPORTER_BYTES]> {
        Some([7; EXPORTER_BYTES])
    }

    fn proofs(&self) -> &ChannelProofs {
        &self.0
    }
}

/// Nanoseconds of CPU for each judgement, round by round.
async fn judging() -> Vec<f64> {
    let authenticator = ours::sessions();
    let created = u64::try_from(now_ms()).expect("after 1970");
    let credential = SessionCredential::sign(
        origin(),
        destination(),
        &signing_key(),
        &[7; EXPORTER_BYTES],
        created,
        created + 3_600_000,
    );
    let mut call = call(&usual(1));
    let context = call.context_mut();
    context.channel = Some(Arc::new(Wire::default()));
    context.credentials = Credentials::new(vec![credential.to_header()]);
    let op = operation::<SendTransaction>();
    let proven = authenticator.authenticate(&mut call).await;
    proven.expect("it is signed for this connection");
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = thread_cpu();
        for _ in 0..JUDGED {
            authenticator
                .screen(op, call.context())
                .expect("it is proven");
            let origin = authenticator.authenticate(&mut call).await;
            std::hint::black_box(origin.expect("it is proven"));
        }
        rounds.push((thread_cpu() - begun).as_nanos() as f64 / f64::from(JUDGED));
    }
    rounds
}
