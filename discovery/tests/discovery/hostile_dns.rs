//! An attacker's DNS server: aliases in a circle, records by the thousand, answers to another question, garbage.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use comity_core::error::TransportErrorKind;
use comity_discovery::{Discovery, DiscoveryOptions, Dns};
use hickory_proto::rr::RecordType;

use crate::{
    dns::{Say, a, cname},
    setting::{World, resolve},
};

#[tokio::test]
async fn aliases_end() {
    let world = World::new(&[]).await;
    world.dns.alias("self.test", "self.test");
    world.dns.alias("ping.test", "pong.test");
    world.dns.alias("pong.test", "PING.test");
    for name in ["self.test", "ping.test"] {
        let error = resolve(&world.discovery(), &format!("{name}:1"))
            .await
            .unwrap_err();
        assert!(error.message().contains("alias of itself"), "{error}");
    }
    for hop in 0..1000 {
        world
            .dns
            .alias(&format!("h{hop}.test"), &format!("h{}.test", hop + 1));
    }
    let asked = world.dns.asked_in_all();
    let error = resolve(&world.discovery(), "h0.test:1").await.unwrap_err();
    assert!(error.message().contains("aliases in a row"), "{error}");
    assert!(world.dns.asked_in_all() - asked <= 20);
    // Eight are borne.
    world.dns.host("h1000.test", &["192.0.2.1"]);
    assert!(resolve(&world.discovery(), "h992.test:1").await.is_ok());
    assert!(resolve(&world.discovery(), "h991.test:1").await.is_err());
    // The same in one answer.
    let chain: Vec<_> = (0..500)
        .map(|hop| cname(&format!("x{hop}.test"), &format!("x{}.test", hop + 1), 60))
        .collect();
    world.dns.say("x0.test", RecordType::A, Say::Records(chain));
    world.dns.say("x0.test", RecordType::AAAA, Say::NoData(60));
    assert!(resolve(&world.discovery(), "x0.test:1").await.is_err());
    world
        .dns
        .alias("_matrix-fed._tcp.self.test", "_matrix-fed._tcp.self.test");
    assert!(resolve(&world.discovery(), "self.test").await.is_err());
}

#[tokio::test]
async fn a_thousand_records_are_looked_at_in_part() {
    let world = World::new(&[]).await;
    let many = (0..1000).map(|n| a("evil.test", &format!("192.0.{}.{}", n / 250, n % 250), 60));
    world
        .dns
        .say("evil.test", RecordType::A, Say::Records(many.collect()));
    let found = resolve(&world.discovery(), "evil.test:1").await.unwrap();
    assert_eq!(found.addresses.len(), 16);
    let names: Vec<String> = (0..1000).map(|n| format!("t{n}.test")).collect();
    let targets: Vec<_> = names.iter().map(|name| (1, 1, 1, name.as_str())).collect();
    world.dns.srv("_matrix-fed._tcp.evil.test", &targets);
    for name in &names {
        world.dns.host(name, &["192.0.2.1", "2001:db8::1"]);
    }
    let asked = world.dns.asked_in_all();
    let found = resolve(&world.discovery(), "evil.test").await.unwrap();
    // The same two addresses for each of eight targets.
    assert_eq!(found.addresses.len(), 2);
    assert!(world.dns.asked_in_all() - asked < 40);
}

#[tokio::test]
async fn answers_about_another_name_are_not_taken() {
    let world = World::new(&[]).await;
    let stray = vec![a("victim.test", "192.0.2.66", 60)];
    world
        .dns
        .say("evil.test", RecordType::A, Say::Records(stray));
    world
        .dns
        .say("evil.test", RecordType::AAAA, Say::NoData(60));
    assert!(resolve(&world.discovery(), "evil.test:1").await.is_err());
    assert!(resolve(&world.discovery(), "victim.test:1").await.is_err());
}

#[tokio::test]
async fn garbage_for_an_answer_is_no_answer() {
    let world = World::new(&[]).await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let options = DiscoveryOptions {
        dns: Dns::Servers(vec![socket.local_addr().unwrap()]),
        ..world.impatient()
    };
    let discovery = Discovery::new(world.connector(), options).unwrap();
    let garbled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&garbled);
    tokio::spawn(async move {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            let question = &question[..length];
            let mut answer = question.to_vec();
            // By turns: the question itself, half of it, an answer that promises a thousand records, another's answer, nothing but bytes.
            match counter.fetch_add(1, Ordering::SeqCst) % 5 {
                0 => {}
                1 => answer.truncate(length / 2),
                2 => answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0x03, 0xe8]),
                3 => {
                    answer[0] ^= 0xff;
                    answer[2] |= 0x80;
                }
                _ => answer = vec![0xff; 512],
            }
            let _ = socket.send_to(&answer, from).await;
        }
    });
    for server in ["a.test:1", "b.test:1", "c.test", "d.test"] {
        let error = resolve(&discovery, server).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Resolve, "{server}");
    }
    assert!(garbled.load(Ordering::SeqCst) >= 5);
}
