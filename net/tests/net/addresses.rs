//! Several addresses of one route.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use comity_core::error::TransportErrorKind;
use comity_net::{AddressGuard, Connector, ListenerOptions, Protocol};
use tokio::net::TcpListener;

use crate::setting::{Authority, Peer, Serving, echo, route};

/// An address where nobody listens.
async fn dead() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn a_peer_that_accepts_and_is_silent_does_not_keep_the_next_address_waiting() {
    let authority = Authority::new();
    let silent = Peer::tcp(|tcp, _| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(tcp);
    })
    .await;
    let serving = Serving::start(ListenerOptions::with_tls(authority.server()), echo()).await;
    let connector = authority
        .connector()
        .with_attempt_delay(Duration::from_millis(50));
    let mut route = route(dead().await);
    route.addresses.extend([silent.address, serving.address]);
    let began = Instant::now();
    let connected = connector.connect(&route, Protocol::Http2).await.unwrap();
    assert_eq!(connected.info.peer().socket_addr(), Some(serving.address));
    // Four delays, as its TCP connection came about.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(200), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(silent.accepted(), 1);
}

#[tokio::test]
async fn each_address_is_judged_by_the_guard_and_the_most_telling_failure_is_told() {
    let authority = Authority::new();
    let (ours, theirs) = (Authority::new(), authority);
    let guard = AddressGuard::default().allow("127.0.0.1/32").unwrap();
    let connector = Connector::new(ours.client()).with_guard(guard);
    let serving = Serving::start(ListenerOptions::with_tls(theirs.server()), echo()).await;
    let mut route = route("127.0.0.2:1".parse().unwrap());
    let kind = async |route: &comity_core::transport::Route| {
        let outcome = connector.connect(route, Protocol::Http1).await;
        outcome.map(|_| ()).unwrap_err().kind()
    };
    assert_eq!(kind(&route).await, TransportErrorKind::Refused);
    route.addresses.push(dead().await);
    assert_eq!(kind(&route).await, TransportErrorKind::Connect);
    route.addresses.insert(0, serving.address);
    assert_eq!(kind(&route).await, TransportErrorKind::Tls);
    route.addresses.clear();
    assert_eq!(kind(&route).await, TransportErrorKind::Resolve);
}

#[tokio::test]
async fn no_more_than_sixteen_addresses_are_tried() {
    let authority = Authority::new();
    let serving = Serving::start(ListenerOptions::with_tls(authority.server()), echo()).await;
    let mut route = route(dead().await);
    route.addresses = vec![route.addresses[0]; 15];
    route.addresses.push(serving.address);
    let connector = authority.connector();
    assert!(connector.connect(&route, Protocol::Http1).await.is_ok());
    route.addresses.insert(0, route.addresses[0]);
    let error = connector
        .connect(&route, Protocol::Http1)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect);
}
