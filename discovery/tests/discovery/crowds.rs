//! Many names at once, and too many.

use std::time::Duration;

use comity_core::error::TransportErrorKind;
use comity_discovery::{Discovery, DiscoveryOptions};
use futures_util::future::join_all;

use crate::{
    dns::Say,
    setting::{World, eventually, resolve},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_servers_are_found_at_once() {
    let world = World::new(&["127.0.0.1"]).await;
    let names: Vec<String> = (0..1000).map(|n| format!("n{n}.test")).collect();
    for (n, name) in names.iter().enumerate() {
        // Nobody listens there, so that none has a document.
        world.dns.host(name, &["127.0.0.9"]);
        world
            .dns
            .host(&format!("t{n}.test"), &["192.0.2.1", "2001:db8::1"]);
        let target = format!("t{n}.test");
        world
            .dns
            .srv(&format!("_matrix-fed._tcp.{name}"), &[(1, 1, 7, &target)]);
    }
    let discovery = world.discovery();
    let all = join_all(names.iter().map(|name| resolve(&discovery, name))).await;
    for (name, route) in names.iter().zip(all) {
        let route = route.unwrap();
        assert_eq!((&route.host, route.addresses.len()), (name, 2));
    }
    // Two questions for the document, one for the service, two for its target.
    let asked = world.dns.asked_in_all();
    assert!(asked >= 5000, "{asked}");
    join_all(names.iter().map(|name| resolve(&discovery, name))).await;
    assert_eq!(world.dns.asked_in_all(), asked);
}

#[tokio::test]
async fn what_waits_has_its_turn() {
    let world = World::new(&[]).await;
    let names: Vec<String> = (0..20).map(|n| format!("n{n}.test")).collect();
    for name in &names {
        world.dns.host(name, &["192.0.2.1"]);
    }
    let options = DiscoveryOptions {
        dns_at_once: 1,
        ..world.options()
    };
    let discovery = Discovery::new(world.connector(), options).unwrap();
    let asks = names.iter().map(|name| format!("{name}:1"));
    let asks = asks.map(|name| async { resolve(&discovery, &{ name }).await });
    assert!(join_all(asks).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_document_that_could_not_be_asked_for_is_not_taken_for_absent() {
    let world = World::new(&["a.test"]).await;
    world.dns.host("a.test", &["127.0.0.1"]);
    world.web.delegates("a.test", "192.0.2.1", &[]);
    let options = DiscoveryOptions {
        dns_at_once: 2,
        ..world.impatient()
    };
    let discovery = Discovery::new(world.connector(), options).unwrap();
    // All turns are taken by a name whose server is silent.
    world
        .dns
        .say("slow.test", hickory_proto::rr::RecordType::A, Say::Silence);
    world.dns.say(
        "slow.test",
        hickory_proto::rr::RecordType::AAAA,
        Say::Silence,
    );
    let others = discovery.clone();
    let slow = tokio::spawn(async move { resolve(&others, "slow.test:1").await });
    eventually("it is asked for", || world.dns.asked_in_all() >= 2).await;
    // Its own patience is no longer than theirs, which began before.
    let first = resolve(&discovery, "a.test").await;
    slow.await.unwrap().unwrap_err();
    match first {
        Ok(route) => assert_eq!(route.host, "192.0.2.1"),
        Err(error) => assert_eq!(error.kind(), TransportErrorKind::Busy),
    }
    let route = resolve(&discovery, "a.test").await.unwrap();
    assert_eq!(route.host, "192.0.2.1");
}

#[tokio::test]
async fn too_many_documents_at_once_are_a_reason_to_wait_and_not_to_go_elsewhere() {
    let world = World::new(&["a.test", "b.test"]).await;
    for name in ["a.test", "b.test"] {
        world.dns.host(name, &["127.0.0.1"]);
        world.web.delegates(name, "192.0.2.1", &[]);
    }
    let options = DiscoveryOptions {
        max_lookups: 2,
        ..world.options()
    };
    let discovery = Discovery::new(world.connector(), options).unwrap();
    world.web.pause(Duration::from_millis(500));
    let slow = discovery.clone();
    let slow = tokio::spawn(async move { resolve(&slow, "a.test").await });
    eventually("it is asked for", || world.web.asked("a.test") == 1).await;
    world.dns.host("c.test", &["127.0.0.1"]);
    world.dns.say_to_all(Some(Say::Late(
        Duration::from_millis(300),
        Box::new(Say::NoData(60)),
    )));
    let other = discovery.clone();
    let other = tokio::spawn(async move { resolve(&other, "c.test:1").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    // Both questions that there may be are c.test's.
    let error = resolve(&discovery, "b.test").await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Busy, "{error}");
    other.await.unwrap().unwrap_err();
    world.dns.say_to_all(None);
    assert_eq!(slow.await.unwrap().unwrap().host, "192.0.2.1");
    assert_eq!(
        resolve(&discovery, "b.test").await.unwrap().host,
        "192.0.2.1"
    );
}
