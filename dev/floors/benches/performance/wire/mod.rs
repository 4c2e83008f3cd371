//! Bytes on the wire and CPU for each operation and binding: one call and its reply on a connection that is open, TLS included.
//!
//! The requests and replies are of the size that a small room's are. What is sent is the same on every binding, so the difference
//! between two columns is what the binding writes around it.

mod samples;

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use comity_core::{
    Client, Operations,
    auth::Sign,
    call::{Blob, Body, Call, Reply},
    error::FederationError,
    transport::{FixedRoutes, Transport},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, GrpcTransport, is_grpc};
use comity_http::{HttpServer, HttpTransport};
use comity_net::{Counters, Dispatch, Listener, ListenerOptions, Protocol, ServerTls};
use futures_util::StreamExt;
use tower::{service_fn, util::BoxCloneSyncService};

use samples::{Sample, samples};

use crate::{
    process::process_cpu,
    report::Report,
    rounds::Spread,
    setting::{certificate, connector, destination, origin, pool, route, signing_key},
};

/// Calls of each operation; the first ones on a connection teach HPACK its names.
const CALLS: u64 = 20;

/// Alternating rounds for the CPU of each operation.
const ROUNDS: usize = 9;

/// Bytes of one call, out and in.
#[derive(Clone, Copy)]
struct Moved {
    sent: u64,
    received: u64,
}

pub(crate) async fn measure(report: &mut Report) {
    let port = serve().await;
    let samples = samples();
    let mut columns = Vec::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let counters = Counters::new();
        let transport = transport(protocol, port, counters.clone());
        let client = Client::layered(transport, Sign::layer(origin(), signing_key()));
        let mut column = Vec::new();
        for sample in &samples {
            // Opens the connection, and teaches it the names.
            exchange(&client, sample).await;
            let before = (counters.sent(), counters.received());
            for _ in 0..CALLS {
                exchange(&client, sample).await;
            }
            column.push(Moved {
                sent: (counters.sent() - before.0) / CALLS,
                received: (counters.received() - before.1) / CALLS,
            });
        }
        columns.push(column);
    }
    let mut table = String::from(
        "## Bytes on the wire\n\n\
         One signed call and its reply on an open connection, TLS 1.3 included; *content* is the JSON or the file alone. Requests and replies \
         as in a small room: a transaction of one PDU, state of ten events, a backfill of a hundred, a file of 64 KiB.\n\n\
         | operation | out: content | HTTP/1.1 | gRPC | in: content | HTTP/1.1 | gRPC |\n| --- | --: | --: | --: | --: | --: | --: |\n",
    );
    for (place, sample) in samples.iter().enumerate() {
        let (http, grpc) = (columns[0][place], columns[1][place]);
        let row = format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            sample.operation.spec().name,
            sample.request_size(),
            http.sent,
            grpc.sent,
            sample.answer.size(),
            http.received,
            grpc.received,
        );
        table.push_str(&row);
    }
    report.section(table);
    report.section(processor_time(&samples, port).await);
}

/// CPU of both ends for each operation, one call at a time. Nothing is signed: a signature costs the same on every binding.
async fn processor_time(samples: &[Sample], port: u16) -> String {
    let client = |protocol| Client::new(transport(protocol, port, Counters::new()));
    let clients = [client(Protocol::Http1), client(Protocol::Http2)];
    let mut table = String::from(
        "## CPU of a call\n\n\
         Both ends of one call together, with TLS and without signature, one at a time; medians of alternating rounds. The same calls as above.\n\n\
         | operation | shape of the reply | HTTP/1.1 | gRPC | gRPC / HTTP/1.1 |\n| --- | --- | --: | --: | --: |\n",
    );
    for sample in samples {
        let mut rounds = Vec::new();
        for round in 0..=ROUNDS {
            let mut costs = [Duration::ZERO; 2];
            for (client, cost) in clients.iter().zip(&mut costs) {
                let begun = process_cpu();
                for _ in 0..CALLS {
                    exchange(client, sample).await;
                }
                *cost = (process_cpu() - begun) / CALLS as u32;
            }
            // The first round warms up.
            if round > 0 {
                rounds.push(costs);
            }
        }
        let median = |value: &dyn Fn(&[Duration; 2]) -> f64| {
            Spread::of(rounds.iter().map(value).collect()).median
        };
        let micros = |place: usize| median(&|costs| costs[place].as_secs_f64() * 1e6);
        let row = format!(
            "| {} | {} | {:.0} µs | {:.0} µs | {:.2} |\n",
            sample.operation.spec().name,
            sample.answer.shape(),
            micros(0),
            micros(1),
            median(&|costs| costs[1].as_secs_f64() / costs[0].as_secs_f64()),
        );
        table.push_str(&row);
    }
    table
}

async fn exchange(client: &Client, sample: &Sample) {
    let reply = client.send(sample.call()).await.expect("it is answered");
    match reply {
        Reply::Message(_) => {}
        Reply::Events(mut events) => {
            while let Some(part) = events.parts.next().await {
                part.expect("it arrives");
            }
        }
        Reply::Blob(Blob { mut bytes, .. }) | Reply::Body(Body { mut bytes, .. }) => {
            while let Some(bytes) = bytes.next().await {
                bytes.expect("it arrives");
            }
        }
    }
}

fn transport(protocol: Protocol, port: u16, counters: Counters) -> Arc<dyn Transport> {
    let pool = pool(connector(true).with_counters(counters), protocol);
    let routes = Arc::new(FixedRoutes::new().with(destination(), route(port)));
    match protocol {
        Protocol::Http1 => Arc::new(HttpTransport::new(routes, pool)),
        _ => Arc::new(GrpcTransport::new(routes, pool)),
    }
}

/// Both bindings on one listener, answering without looking.
async fn serve() -> u16 {
    let samples = Arc::new(samples());
    let service = BoxCloneSyncService::new(service_fn(move |call: Call| {
        let samples = samples.clone();
        async move {
            let asked = call.request().operation();
            let known = samples.iter().find(|sample| *sample.operation == *asked);
            known
                .map(|sample| sample.answer.to_reply())
                .ok_or_else(|| FederationError::unrecognized().into())
        }
    }));
    let (chain, key) = certificate();
    let tls = ServerTls::from_pem(chain.as_bytes(), key.as_bytes()).expect("made as PEM");
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0), ListenerOptions::with_tls(tls))
        .await
        .expect("a port is free");
    let port = listener.local_addr().port();
    let operations = Operations::federation();
    let grpc = GrpcServer::new(
        operations.clone(),
        Codecs::federation(),
        service.clone(),
        GrpcServerOptions::default(),
    );
    let dispatch = Dispatch::new(HttpServer::new(operations, service).boxed())
        .with(is_grpc, grpc.into_service());
    tokio::spawn(async move { listener.serve(dispatch, std::future::pending()).await });
    port
}
