//! CPU of a server for each transaction over HTTP.

use std::time::Duration;

use bytes::Bytes;
use comity_core::transport::Route;
use comity_floors::bodies::{FIFTY_PDUS, ONE_PDU, transaction};
use comity_net::{Pool, body};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::BodyExt;
use tokio::runtime::Runtime;

use crate::{
    process::Role,
    report::{Need, Report},
    rounds::alternate,
    setting::{IN_FLIGHT, TARGET, credential, pool, route},
};

const ROUNDS: usize = 21;

pub(crate) fn measure(runtime: &Runtime, report: &mut Report) {
    for (pdus, bytes, limit) in [(50, FIFTY_PDUS, 1.10), (1, ONE_PDU, 1.03)] {
        for tls in [false, true] {
            let wire = if tls { "HTTP/1.1 with TLS" } else { "HTTP/1.1" };
            let body = Bytes::from(transaction(pdus, bytes));
            let requests = if pdus == 1 { 4_000 } else { 1_000 };
            let server = |role| Server::start(runtime, role, pdus, tls, &body);
            let (mut ours, mut floor) = (server("ours"), server("floor"));
            let pair = alternate(ROUNDS, || ours.cost(requests), || floor.cost(requests));
            report.row(
                format!("{wire}, {pdus} PDUs verified: ours / floor"),
                "",
                pair.ratio,
                Need::AtMost(limit),
                format!("{:.1?} / {:.1?}", pair.a, pair.b),
            );
            let mut plain = server("ours-plain-checks");
            let pair = alternate(ROUNDS / 2, || plain.cost(requests), || floor.cost(requests));
            report.row(
                format!("{wire}, {pdus} PDUs verified: ours without prepared keys / floor"),
                "",
                pair.ratio,
                Need::None,
                format!("{:.1?} / {:.1?}", pair.a, pair.b),
            );
            drop((plain, floor));
            if pdus == 50 {
                let mut ruma = server("ruma");
                let pair = alternate(ROUNDS / 2, || ruma.cost(requests), || ours.cost(requests));
                report.row(
                    format!("{wire}, {pdus} PDUs verified: ruma / ours"),
                    "",
                    pair.ratio,
                    Need::AtLeast(2.4),
                    format!("{:.1?} / {:.1?}", pair.a, pair.b),
                );
            }
        }
    }
}

/// A server in a process of its own, and what is sent to it.
pub(crate) struct Server<'a> {
    runtime: &'a Runtime,
    role: Role,
    pool: Pool,
    route: Route,
    credential: HeaderValue,
    body: Bytes,
}

impl<'a> Server<'a> {
    pub(crate) fn start(
        runtime: &'a Runtime,
        role: &str,
        pdus: usize,
        tls: bool,
        body: &Bytes,
    ) -> Self {
        let wire = if tls { "tls" } else { "plain" };
        let mut role = Role::start(&[role, wire, &pdus.to_string()]);
        let port = u16::try_from(role.number()).expect("it tells its port");
        Self {
            runtime,
            role,
            pool: runtime.block_on(async { pool(tls) }),
            route: route(port),
            credential: HeaderValue::from_str(&credential(body)).expect("it is a header"),
            body: body.clone(),
        }
    }

    /// CPU time of the server for one of so many requests.
    pub(crate) fn cost(&mut self, requests: usize) -> Duration {
        let begun = self.role.cpu();
        self.runtime.block_on(async {
            let workers = (0..IN_FLIGHT).map(|_| async {
                for _ in 0..requests / IN_FLIGHT {
                    self.send().await;
                }
            });
            futures_util::future::join_all(workers).await;
        });
        (self.role.cpu() - begun) / (requests / IN_FLIGHT * IN_FLIGHT) as u32
    }

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
