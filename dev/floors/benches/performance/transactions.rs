//! CPU of a server for each transaction over HTTP.

use bytes::Bytes;
use comity_core::transport::Route;
use comity_floors::bodies::usual;
use comity_net::{Pool, Protocol, body};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::BodyExt;
use tokio::runtime::Runtime;

use crate::{
    load::{Sender, Server},
    report::{Need, Report},
    rounds::alternate,
    setting::{TARGET, connector, credential, pool},
};

const ROUNDS: usize = 21;

pub(crate) fn measure(runtime: &Runtime, report: &mut Report) {
    for (pdus, limit) in [(50, 1.10), (1, 1.03)] {
        for tls in [false, true] {
            let wire = if tls { "HTTP/1.1 with TLS" } else { "HTTP/1.1" };
            let body = usual(pdus);
            let requests = if pdus == 1 { 4_000 } else { 1_000 };
            let server = |role| start(runtime, role, pdus, tls, &body);
            let (mut ours, mut floor) = (server("ours"), server("floor"));
            let pair = alternate(ROUNDS, || ours.cost(requests), || floor.cost(requests));
            report.pair(
                format!("{wire}, {pdus} PDUs verified: ours / floor"),
                pair,
                Need::AtMost(limit),
            );
            let mut plain = server("ours-plain-checks");
            let pair = alternate(ROUNDS / 2, || plain.cost(requests), || floor.cost(requests));
            report.pair(
                format!("{wire}, {pdus} PDUs verified: ours without prepared keys / floor"),
                pair,
                Need::None,
            );
            drop((plain, floor));
            if pdus == 50 {
                let mut ruma = server("ruma");
                let pair = alternate(ROUNDS / 2, || ruma.cost(requests), || ours.cost(requests));
                report.pair(
                    format!("{wire}, {pdus} PDUs verified: ruma / ours"),
                    pair,
                    Need::AtLeast(2.4),
                );
            }
        }
    }
}

/// A server in this role, which gets this transaction.
pub(crate) fn start<'a>(
    runtime: &'a Runtime,
    role: &str,
    pdus: usize,
    tls: bool,
    body: &Bytes,
) -> Server<'a, Signed> {
    let wire = if tls { "tls" } else { "plain" };
    let pdus = pdus.to_string();
    let role = match role {
        // It checks the bytes of this very transaction.
        "floor" => vec![role, wire, &pdus],
        _ => vec![role, wire],
    };
    Server::start(runtime, &role, |route| Signed::to(route, tls, body))
}

/// A signed transaction over HTTP/1.1.
pub(crate) struct Signed {
    pool: Pool,
    route: Route,
    credential: HeaderValue,
    body: Bytes,
}

impl Signed {
    /// Made within a runtime.
    pub(crate) fn to(route: Route, tls: bool, body: &Bytes) -> Self {
        Self {
            pool: pool(connector(tls), Protocol::Http1),
            route,
            credential: credential(TARGET, body),
            body: body.clone(),
        }
    }
}

impl Sender for Signed {
    async fn send(&self) {
        let request = Request::put(TARGET)
            .header(header::AUTHORIZATION, self.credential.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(body::full(self.body.clone()))
            .expect("its parts are valid");
        let response = self.pool.send(&self.route, request).await;
        let response = response.expect("the server answers");
        let status = response.status();
        let body = response.into_body().collect().await.expect("it is whole");
        let body = body.to_bytes();
        assert_eq!(status, StatusCode::OK, "{body:?}");
        assert_eq!(body, r#"{"pdus":{}}"#);
    }
}
