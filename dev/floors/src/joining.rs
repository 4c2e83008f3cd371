//! A client that reads a `send_join` reply as a stream.

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
use comity_http::HttpTransport;
use comity_net::Protocol;

use crate::{
    bodies::event,
    setting::{connector, destination, origin, pool, route, signing_key},
};

/// A client of the server on this port that signs what it sends.
pub fn client(port: u16) -> Client {
    let routes = FixedRoutes::new().with(destination(), route(port));
    let transport = HttpTransport::new(Arc::new(routes), pool(connector(true), Protocol::Http1));
    Client::layered(Arc::new(transport), Sign::layer(origin(), signing_key()))
}

/// Joins a room of so many state events, and counts the events that arrive, one after the other.
pub async fn arrivals(client: &Client, state: u64) -> u64 {
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
