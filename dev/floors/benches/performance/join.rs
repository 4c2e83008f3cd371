//! Memory of a client that reads a `send_join` reply as a stream.

use std::sync::Arc;

use bytes::Bytes;
use comity_core::{
    Client,
    api::{Calls, SendJoin},
    auth::Sign,
    call::Arrival,
    endpoint::Query,
    event::Pdu,
    json::Value,
    transport::FixedRoutes,
};
use comity_floors::{
    bodies::event,
    memory::{memory_kib, reset_peak},
};
use comity_http::HttpTransport;

use crate::{
    process::Role,
    report::{Need, Report},
    rounds::Spread,
    setting::{destination, origin, pool, route, signing_key},
};

pub(crate) fn measure(report: &mut Report) {
    let mut server = Role::start(&["ours", "tls", "0"]);
    let port = server.line();
    for state in [20_000_u64, 200_000] {
        // A process for each size, so that neither profits from what the other left behind.
        let mut client = Role::start(&["join", &port, &state.to_string()]);
        let (idle, peak, arrived) = (client.number(), client.number(), client.number());
        assert_eq!(arrived, state + state / 10, "every event arrives");
        report.row(
            format!("`send_join` of {state} events read as a stream: peak memory over idle"),
            " MiB",
            Spread::one(peak.saturating_sub(idle) as f64 / 1024.0),
            Need::AtMost(1.0),
            format!("{peak} KiB, idle {idle} KiB"),
        );
    }
}

/// The client's role.
pub(crate) async fn read(port: u16, state: u64) {
    let client = client(port);
    // Idle is: connected, keys and tables loaded, one small reply read.
    arrivals(&client, 10).await;
    reset_peak().expect("a process may look at itself");
    let idle = memory_kib("VmRSS:").expect("the system tells");
    let arrived = arrivals(&client, state).await;
    let peak = memory_kib("VmHWM:").expect("the system tells");
    println!("{idle}\n{peak}\n{arrived}");
}

/// A client of the server on this port that signs what it sends.
pub(crate) fn client(port: u16) -> Client {
    let routes = FixedRoutes::new().with(destination(), route(port));
    let transport = HttpTransport::new(Arc::new(routes), pool(true));
    Client::layered(Arc::new(transport), Sign::layer(origin(), signing_key()))
}

/// Joins a room of so many state events, and counts the events that arrive, one after the other.
pub(crate) async fn arrivals(client: &Client, state: u64) -> u64 {
    let text = Bytes::from(event(0, 0));
    let value = Value::parse(text, usize::MAX).expect("it is canonical");
    let request = SendJoin {
        room_id: format!("!{state}"),
        event_id: "$event".to_owned(),
        event: Pdu::judge(value).expect("it is an event"),
        omit_members: None,
        extra_query: Query::default(),
    };
    let reply = client.send_join(&destination(), request).await;
    let mut reply = reply.expect("the server answers");
    let mut arrived = 0;
    while let Some(arrival) = reply.next().await {
        match arrival.expect("the reply is whole") {
            Arrival::Item { .. } => arrived += 1,
            Arrival::Bad { bad, .. } => panic!("not an event: {bad:?}"),
        }
    }
    reply.finish().await.expect("its members are right");
    arrived
}
