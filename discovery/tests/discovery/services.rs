//! SRV records and addresses: order, absence, faults, aliases.

use std::time::Duration;

use comity_core::error::TransportErrorKind;
use comity_discovery::{Discovery, DiscoveryError, DiscoveryOptions, Dns};
use comity_net::{Pool, PoolOptions, body};
use hickory_proto::rr::RecordType;
use http::Request;

use crate::{
    dns::{Say, a, cname},
    setting::{World, resolve, route},
    web::Web,
};

const FED: &str = "_matrix-fed._tcp.a.test";
const OLD: &str = "_matrix._tcp.a.test";

/// A network where `a.test` has addresses, but no document.
async fn bare() -> World {
    let world = World::new(&["a.test"]).await;
    world.dns.host("a.test", &["127.0.0.1"]);
    world
}

fn ports(route: &comity_core::transport::Route) -> Vec<u16> {
    route
        .addresses
        .iter()
        .map(|address| address.port())
        .collect()
}

#[tokio::test]
async fn targets_are_tried_by_priority_and_each_with_its_addresses_by_turns() {
    let world = bare().await;
    world
        .dns
        .host("one.test", &["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
    world.dns.host("two.test", &["2001:db8::2", "192.0.2.3"]);
    world.dns.srv(
        FED,
        &[
            (20, 60000, 2, "Two.test"),
            (10, 0, 1, "one.test"),
            (30, 1, 3, "one.test"),
        ],
    );
    let found = resolve(&world.discovery(), "a.test").await.unwrap();
    let addresses = [
        "[2001:db8::1]:1",
        "192.0.2.1:1",
        "192.0.2.2:1",
        "[2001:db8::2]:2",
        "192.0.2.3:2",
        "[2001:db8::1]:3",
        "192.0.2.1:3",
        "192.0.2.2:3",
    ];
    assert_eq!(found, route("a.test", "a.test", &addresses));
}

#[tokio::test]
async fn a_target_of_many_addresses_leaves_room_for_the_next() {
    let world = bare().await;
    let many: Vec<String> = (1..=16).map(|n| format!("192.0.2.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    world.dns.host("many.test", &many);
    world.dns.host("next.test", &["198.51.100.1"]);
    world
        .dns
        .srv(FED, &[(1, 0, 1, "many.test"), (2, 0, 2, "next.test")]);
    let found = resolve(&world.discovery(), "a.test").await.unwrap();
    let expected: Vec<u16> = [1; 4].into_iter().chain([2]).chain([1; 12]).collect();
    assert_eq!(ports(&found), expected);
}

#[tokio::test]
async fn weights_decide_once_for_the_life_of_an_answer() {
    let world = bare().await;
    world.dns.host("t.test", &["192.0.2.1"]);
    world
        .dns
        .srv(FED, &[(1, 50, 1, "t.test"), (1, 50, 2, "t.test")]);
    let mut firsts = [0; 2];
    for _ in 0..40 {
        let discovery = world.discovery();
        let first = ports(&resolve(&discovery, "a.test").await.unwrap());
        assert_eq!(ports(&resolve(&discovery, "a.test").await.unwrap()), first);
        firsts[usize::from(first[0] - 1)] += 1;
    }
    // Either is first with a chance of a half; that one never is has a chance of 2^-39.
    assert!(firsts.iter().all(|times| *times > 0), "{firsts:?}");
}

#[tokio::test]
async fn a_target_that_is_down_is_passed_over() {
    let world = bare().await;
    let peer = Web::start(&world.authority).await;
    peer.page("a.test", "/", || http::Response::new(body::full("here")));
    // Nobody listens there.
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = dead.local_addr().unwrap().port();
    drop(dead);
    world.dns.host("t.test", &["127.0.0.1"]);
    world.dns.srv(
        FED,
        &[
            (1, 0, port, "t.test"),
            (2, 0, peer.address.port(), "t.test"),
        ],
    );
    let route = resolve(&world.discovery(), "a.test").await.unwrap();
    assert_eq!(route.addresses.len(), 2);
    let pool = Pool::new(world.connector(), PoolOptions::default());
    let request = Request::get("/").body(body::empty()).unwrap();
    assert_eq!(pool.send(&route, request).await.unwrap().status(), 200);
    assert_eq!(peer.arrived()[0].sni.as_deref(), Some("a.test"));
}

#[tokio::test]
async fn a_service_declared_absent_is_no_reason_to_look_elsewhere() {
    let world = bare().await;
    world.dns.srv(FED, &[(0, 0, 0, ".")]);
    world.dns.srv(OLD, &[(1, 1, 1, "a.test")]);
    let error = resolve(&world.discovery(), "a.test").await.unwrap_err();
    assert!(error.message().contains("is not offered"), "{error}");
    assert_eq!(world.dns.asked(OLD, RecordType::SRV), 0);
    // Beside others it says nothing.
    world.dns.host("t.test", &["192.0.2.1"]);
    world.dns.srv(FED, &[(0, 0, 0, "."), (1, 0, 7, "t.test")]);
    let found = resolve(&world.discovery(), "a.test").await.unwrap();
    assert_eq!(ports(&found), [7]);
}

#[tokio::test]
async fn both_kinds_of_absence_lead_to_the_next_step() {
    for absence in [Say::NoData(60), Say::NoName(60), Say::NoNameAtAll] {
        let world = bare().await;
        world.dns.say(FED, RecordType::SRV, absence.clone());
        world.dns.say(OLD, RecordType::SRV, absence);
        let found = resolve(&world.discovery(), "a.test").await.unwrap();
        assert_eq!(ports(&found), [8448]);
    }
}

#[tokio::test]
async fn no_answer_about_a_service_is_an_error() {
    for (service, say) in [
        (FED, Say::ServFail),
        (OLD, Say::ServFail),
        (FED, Say::Silence),
        (
            OLD,
            Say::Late(Duration::from_secs(3), Box::new(Say::NoData(1))),
        ),
    ] {
        let world = bare().await;
        world.dns.say(service, RecordType::SRV, say);
        let discovery = Discovery::new(world.connector(), world.impatient()).unwrap();
        let error = resolve(&discovery, "a.test").await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Resolve);
        assert!(error.message().contains(service), "{error}");
    }
}

#[tokio::test]
async fn targets_without_addresses_are_left_out_and_if_all_are_it_is_an_error() {
    let world = bare().await;
    world.dns.host("there.test", &["192.0.2.1"]);
    world.dns.say("failing.test", RecordType::A, Say::ServFail);
    world
        .dns
        .say("failing.test", RecordType::AAAA, Say::ServFail);
    let missing = [(1, 0, 1, "none.test"), (2, 0, 2, "failing.test")];
    world
        .dns
        .srv(FED, &[missing[0], missing[1], (3, 0, 3, "there.test")]);
    assert_eq!(
        ports(&resolve(&world.discovery(), "a.test").await.unwrap()),
        [3]
    );
    world.dns.srv(FED, &missing);
    let error = resolve(&world.discovery(), "a.test").await.unwrap_err();
    assert!(
        error.message().contains("none.test has no address"),
        "{error}"
    );
}

#[tokio::test]
async fn one_family_is_enough_if_the_other_is_not_answered() {
    let world = bare().await;
    for (works, fails) in [
        (RecordType::A, RecordType::AAAA),
        (RecordType::AAAA, RecordType::A),
    ] {
        world.dns.host("b.test", &["192.0.2.1", "2001:db8::1"]);
        world.dns.say("b.test", fails, Say::ServFail);
        let found = resolve(&world.discovery(), "b.test:1").await.unwrap();
        assert_eq!(found.addresses.len(), 1);
        assert_eq!(found.addresses[0].is_ipv4(), works == RecordType::A);
    }
    world.dns.say("b.test", RecordType::A, Say::NoData(1));
    world.dns.say("b.test", RecordType::AAAA, Say::ServFail);
    let error = resolve(&world.discovery(), "b.test:1").await.unwrap_err();
    assert!(error.message().contains("could be learned"), "{error}");
}

#[tokio::test]
async fn aliases_are_followed_of_names_services_and_targets() {
    let world = World::new(&["a.test"]).await;
    // Each hop asked for by itself.
    world.dns.alias("a.test", "b.test");
    world.dns.alias("b.test", "c.test");
    world.dns.host("c.test", &["127.0.0.1"]);
    world.dns.alias(FED, "_matrix-fed._tcp.b.test");
    world
        .dns
        .srv("_matrix-fed._tcp.b.test", &[(1, 1, 5, "t.test")]);
    // RFC 2782 forbids it, and live servers do it.
    world.dns.alias("t.test", "c.test");
    let found = resolve(&world.discovery(), "a.test").await.unwrap();
    assert_eq!(found, route("a.test", "a.test", &["127.0.0.1:5"]));
    // All in one answer, in any order, as a recursive server sends it.
    let whole = vec![
        a("z.test", "192.0.2.1", 300),
        cname("y.test", "z.test", 300),
        cname("x.test", "y.test", 300),
        a("unrelated.test", "192.0.2.2", 300),
    ];
    world.dns.say("x.test", RecordType::A, Say::Records(whole));
    let found = resolve(&world.discovery(), "x.test:1").await.unwrap();
    assert_eq!(found, route("x.test:1", "x.test", &["192.0.2.1:1"]));
    assert_eq!(world.dns.asked("z.test", RecordType::A), 0);
}

#[tokio::test]
async fn a_service_whose_own_name_is_an_alias_is_found_in_one_answer() {
    let world = bare().await;
    world.dns.host("t.test", &["192.0.2.1"]);
    let srv = "_matrix-fed._tcp.b.test";
    let record = hickory_proto::rr::Record::from_rdata(
        crate::dns::fqdn(srv),
        300,
        hickory_proto::rr::RData::SRV(hickory_proto::rr::rdata::SRV::new(
            1,
            1,
            6,
            crate::dns::fqdn("t.test"),
        )),
    );
    let whole = vec![cname(FED, srv, 300), record];
    world.dns.say(FED, RecordType::SRV, Say::Records(whole));
    let found = resolve(&world.discovery(), "a.test").await.unwrap();
    assert_eq!(ports(&found), [6]);
}

#[tokio::test]
async fn names_of_onion_services_are_not_asked_about() {
    let world = World::new(&[]).await;
    assert!(resolve(&world.discovery(), "abcdef.onion").await.is_err());
    assert_eq!(world.dns.asked_in_all(), 0);
}

#[tokio::test]
async fn without_a_server_to_ask_there_is_no_discovery() {
    let world = World::new(&[]).await;
    let options = DiscoveryOptions {
        dns: Dns::Servers(Vec::new()),
        ..world.options()
    };
    let outcome = Discovery::new(world.connector(), options);
    assert!(matches!(outcome, Err(DiscoveryError::NoNameServer)));
}

#[tokio::test]
async fn of_two_servers_one_may_be_silent() {
    let world = bare().await;
    let silent = tokio::net::UdpSocket::bind("127.0.0.2:0").await.unwrap();
    for servers in [
        vec![silent.local_addr().unwrap(), world.dns.address],
        vec![world.dns.address, silent.local_addr().unwrap()],
    ] {
        let options = DiscoveryOptions {
            dns: Dns::Servers(servers),
            ..world.options()
        };
        let discovery = Discovery::new(world.connector(), options).unwrap();
        assert!(resolve(&discovery, "a.test").await.is_ok());
    }
}
