//! How long the answers of DNS are kept, and how they are asked for.

use std::time::Duration;

use comity_core::error::TransportErrorKind;
use comity_discovery::{Discovery, DiscoveryOptions};
use futures_util::future::join_all;
use hickory_proto::rr::RecordType;

use crate::{
    dns::{Say, a, cname},
    setting::{World, eventually, resolve},
};

const A: RecordType = RecordType::A;

/// A network where `a.test` has this TTL.
async fn world_with(ttl: u32) -> World {
    let world = World::new(&[]).await;
    world.dns.host_for("a.test", &["192.0.2.1"], ttl);
    world
}

/// Asks for `a.test:1` and tells how often its addresses have been asked for by now.
async fn asked(world: &World, discovery: &Discovery) -> usize {
    let _ = resolve(discovery, "a.test:1").await;
    world.dns.asked("a.test", A)
}

#[tokio::test]
async fn an_answer_is_kept_for_its_ttl() {
    let world = world_with(60).await;
    let discovery = world.discovery();
    assert_eq!(asked(&world, &discovery).await, 1);
    world.clock.pass_secs(59);
    assert_eq!(asked(&world, &discovery).await, 1);
    world.clock.pass_secs(1);
    assert_eq!(asked(&world, &discovery).await, 2);
}

#[tokio::test]
async fn a_ttl_of_zero_is_asked_for_each_time() {
    for ttl in [0, u32::MAX, 1 << 31] {
        let world = world_with(ttl).await;
        let discovery = world.discovery();
        assert_eq!(asked(&world, &discovery).await, 1);
        assert_eq!(asked(&world, &discovery).await, 2, "{ttl}");
    }
}

#[tokio::test]
async fn the_longest_ttl_is_a_day() {
    let world = world_with(i32::MAX as u32).await;
    let discovery = world.discovery();
    asked(&world, &discovery).await;
    world.clock.pass_secs(24 * 3600 - 1);
    assert_eq!(asked(&world, &discovery).await, 1);
    world.clock.pass_secs(1);
    assert_eq!(asked(&world, &discovery).await, 2);
}

#[tokio::test]
async fn an_answer_behind_an_alias_is_kept_no_longer_than_the_alias() {
    let world = World::new(&[]).await;
    let whole = vec![cname("a.test", "b.test", 10), a("b.test", "192.0.2.1", 600)];
    world.dns.say("a.test", A, Say::Records(whole));
    world.dns.say("a.test", RecordType::AAAA, Say::NoData(600));
    let discovery = world.discovery();
    asked(&world, &discovery).await;
    world.clock.pass_secs(9);
    assert_eq!(asked(&world, &discovery).await, 1);
    world.clock.pass_secs(1);
    assert_eq!(asked(&world, &discovery).await, 2);
}

#[tokio::test]
async fn absence_is_kept_as_its_soa_record_says_but_an_hour_at_most() {
    for (say, kept) in [
        (Say::NoName(120), 120),
        (Say::NoData(120), 120),
        (Say::NoNameAtAll, 60),
        (Say::NoName(1_000_000), 3600),
        (Say::NoName(u32::MAX), 0),
    ] {
        let world = World::new(&[]).await;
        world.dns.say("a.test", A, say.clone());
        world.dns.say("a.test", RecordType::AAAA, say);
        let discovery = world.discovery();
        assert_eq!(asked(&world, &discovery).await, 1);
        if kept > 0 {
            world.clock.pass_secs(kept - 1);
            assert_eq!(asked(&world, &discovery).await, 1, "{kept}");
            world.clock.pass_secs(1);
        }
        assert_eq!(asked(&world, &discovery).await, 2, "{kept}");
    }
}

/// Seconds until the server is asked again, from an answer that was just kept.
async fn until_asked_again(world: &World, discovery: &Discovery) -> u64 {
    let before = world.dns.asked("a.test", A);
    for seconds in 0..100_000 {
        let _ = resolve(discovery, "a.test:1").await;
        if world.dns.asked("a.test", A) > before {
            return seconds;
        }
        world.clock.pass_secs(1);
    }
    panic!("it is never asked again");
}

#[tokio::test]
async fn a_failure_is_kept_for_longer_each_time() {
    let world = world_with(60).await;
    world.dns.say_to_all(Some(Say::ServFail));
    let discovery = world.discovery();
    assert!(resolve(&discovery, "a.test:1").await.is_err());
    let mut pauses = Vec::new();
    for _ in 0..8 {
        pauses.push(until_asked_again(&world, &discovery).await);
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
    // An answer ends that.
    world.dns.say_to_all(None);
    until_asked_again(&world, &discovery).await;
    assert!(resolve(&discovery, "a.test:1").await.is_ok());
    world.dns.say_to_all(Some(Say::ServFail));
    assert_eq!(until_asked_again(&world, &discovery).await, 60);
}

#[tokio::test]
async fn a_failure_is_kept_no_longer_than_set() {
    let world = world_with(60).await;
    world.dns.say_to_all(Some(Say::ServFail));
    let options = DiscoveryOptions {
        dns_max_error_age: Duration::from_secs(8),
        ..world.options()
    };
    let discovery = Discovery::new(world.connector(), options).unwrap();
    assert!(resolve(&discovery, "a.test:1").await.is_err());
    for pause in [5, 8, 8] {
        assert_eq!(until_asked_again(&world, &discovery).await, pause);
    }
}

#[tokio::test]
async fn an_old_answer_serves_for_a_day_while_no_server_answers() {
    let world = world_with(60).await;
    world
        .dns
        .srv("_matrix-fed._tcp.a.test", &[(1, 1, 7, "a.test")]);
    let discovery = Discovery::new(world.connector(), world.impatient()).unwrap();
    let first = resolve(&discovery, "a.test").await.unwrap();
    for say in [Say::ServFail, Say::Silence] {
        world.dns.say_to_all(Some(say));
        world.clock.pass_secs(3600);
        assert_eq!(resolve(&discovery, "a.test").await.unwrap(), first);
    }
    // Nobody is asked for the next half minute.
    let asked = world.dns.asked_in_all();
    world.clock.pass_secs(29);
    assert_eq!(resolve(&discovery, "a.test").await.unwrap(), first);
    assert_eq!(world.dns.asked_in_all(), asked);
    world.dns.say_to_all(Some(Say::ServFail));
    world.clock.pass_secs(24 * 3600);
    assert!(resolve(&discovery, "a.test").await.is_err());
    world.dns.say_to_all(None);
    world.clock.pass_secs(3600);
    assert_eq!(resolve(&discovery, "a.test").await.unwrap(), first);
}

#[tokio::test]
async fn that_there_is_no_service_is_an_old_answer_too() {
    let world = world_with(60).await;
    let discovery = world.discovery();
    let first = resolve(&discovery, "a.test").await.unwrap();
    world.clock.pass_secs(3600);
    world
        .dns
        .say("_matrix-fed._tcp.a.test", RecordType::SRV, Say::ServFail);
    world
        .dns
        .say("_matrix._tcp.a.test", RecordType::SRV, Say::ServFail);
    assert_eq!(resolve(&discovery, "a.test").await.unwrap(), first);
}

#[tokio::test]
async fn many_who_ask_at_once_are_answered_by_one_question() {
    let world = world_with(60).await;
    let late = Say::Late(
        Duration::from_millis(200),
        Box::new(Say::Records(vec![a("a.test", "192.0.2.1", 60)])),
    );
    world.dns.say("a.test", A, late);
    let discovery = world.discovery();
    // The first goes away; what it asked for goes on.
    let first = tokio::time::timeout(Duration::from_millis(50), resolve(&discovery, "a.test:1"));
    assert!(first.await.is_err());
    let all = join_all((0..100).map(|_| resolve(&discovery, "a.test:1"))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(world.dns.asked("a.test", A), 1);
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_any_more_is_answered_all_the_same() {
    let world = world_with(60).await;
    let late = Say::Late(
        Duration::from_millis(200),
        Box::new(Say::Records(vec![a("a.test", "192.0.2.1", 60)])),
    );
    world.dns.say("a.test", A, late);
    let discovery = world.discovery();
    let first = tokio::time::timeout(Duration::from_millis(50), resolve(&discovery, "a.test:1"));
    assert!(first.await.is_err());
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    world.dns.say_to_all(Some(Say::ServFail));
    assert!(resolve(&discovery, "a.test:1").await.is_ok());
    assert_eq!(world.dns.asked("a.test", A), 1);
}

#[tokio::test]
async fn there_is_a_limit_to_what_is_under_way_and_it_is_named() {
    let world = world_with(60).await;
    let options = DiscoveryOptions {
        max_lookups: 2,
        ..world.impatient()
    };
    let discovery = Discovery::new(world.connector(), options).unwrap();
    resolve(&discovery, "a.test:1").await.unwrap();
    world.dns.say_to_all(Some(Say::Silence));
    let slow = discovery.clone();
    let slow = tokio::spawn(async move { resolve(&slow, "slow.test:1").await });
    eventually("both families are asked for", || {
        world.dns.asked_in_all() >= 4
    })
    .await;
    let error = resolve(&discovery, "b.test:1").await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Busy);
    assert!(
        error.message().contains("max_lookups") && error.message().contains('2'),
        "{error}"
    );
    // What is known needs no question.
    assert!(resolve(&discovery, "a.test:1").await.is_ok());
    assert!(slow.await.unwrap().is_err());
    world.dns.say_to_all(None);
    assert_eq!(
        resolve(&discovery, "b.test:1").await.unwrap_err().kind(),
        TransportErrorKind::Resolve
    );
}

#[tokio::test]
async fn no_more_answers_are_kept_than_the_capacity() {
    let world = World::new(&[]).await;
    let options = DiscoveryOptions {
        dns_capacity: 10,
        ..world.options()
    };
    let discovery = Discovery::new(world.connector(), options).unwrap();
    let names: Vec<String> = (0..100).map(|n| format!("n{n}.test")).collect();
    for name in &names {
        world.dns.host(name, &["192.0.2.1"]);
    }
    for _ in 0..2 {
        for name in &names {
            resolve(&discovery, &format!("{name}:1")).await.unwrap();
        }
    }
    // 200 questions fill it twice; at most ten and what was not yet swept were still there the second time.
    assert!(
        world.dns.asked_in_all() > 300,
        "{}",
        world.dns.asked_in_all()
    );
}

#[tokio::test]
async fn no_more_documents_are_kept_than_the_capacity() {
    let names: Vec<String> = (0..30).map(|n| format!("n{n}.test")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::new(&hosts).await;
    let options = DiscoveryOptions {
        well_known_capacity: 5,
        ..world.options()
    };
    let discovery = Discovery::new(world.connector(), options).unwrap();
    for host in &hosts {
        world.dns.host(host, &["127.0.0.1"]);
        world.web.delegates(host, "192.0.2.1:1", &[]);
    }
    for _ in 0..2 {
        for host in &hosts {
            resolve(&discovery, host).await.unwrap();
        }
    }
    let asked = world.web.arrived().len();
    assert!((50..=60).contains(&asked), "{asked}");
}

#[tokio::test]
async fn what_was_learned_before_the_clock_was_set_back_is_asked_for_again() {
    let world = world_with(3600).await;
    let discovery = world.discovery();
    asked(&world, &discovery).await;
    world.clock.set_back(Duration::from_secs(1_000_000));
    assert_eq!(asked(&world, &discovery).await, 2);
    assert_eq!(asked(&world, &discovery).await, 2);
    world.clock.pass_secs(3600);
    assert_eq!(asked(&world, &discovery).await, 3);
}
