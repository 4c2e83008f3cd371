//! What is told of each step.

use hickory_proto::rr::RecordType;

use crate::{
    dns::Say,
    setting::{World, name},
    web::redirect,
};

#[tokio::test]
async fn every_step_is_told_with_what_was_found_and_for_how_long() {
    let world = World::new(&["a.test", "w.test"]).await;
    world.dns.host("a.test", &["127.0.0.1"]);
    world.dns.host("w.test", &["127.0.0.1"]);
    world
        .web
        .well_known("a.test", || redirect(302, "https://w.test/m"));
    world.web.page("w.test", "/m", || {
        let text = r#"{"m.server":"d.test","dev.comity.bindings":[{"binding":"grpc/1","target":"g.test:9"}]}"#;
        let head = http::Response::builder().header("cache-control", "max-age=7200");
        head.body(comity_net::body::full(text)).unwrap()
    });
    world.dns.srv("_matrix._tcp.d.test", &[(1, 2, 3, "t.test")]);
    world.dns.alias("t.test", "u.test");
    world.dns.host("u.test", &["192.0.2.1", "127.0.0.3"]);
    let explained = world.discovery().explain(&name("a.test")).await;
    let port = world.web.address.port();
    let told = serde_json::to_value(&explained).unwrap();
    let expected = serde_json::json!({
        "server_name": "a.test",
        "steps": [
            {
                "number": "3", "asked": "GET https://a.test/.well-known/matrix/server",
                "found": ["redirected to https://w.test/m", "m.server = d.test"], "seconds": 7200, "fault": null
            },
            {
                "number": "3.3", "asked": "SRV _matrix-fed._tcp.d.test",
                "found": [], "seconds": 300, "fault": "there is no such name"
            },
            {
                "number": "3.4", "asked": "SRV _matrix._tcp.d.test",
                "found": ["t.test:3 (priority 1, weight 2)"], "seconds": 300, "fault": null
            },
            {
                "number": "3.4", "asked": "AAAA t.test",
                "found": ["an alias of u.test"], "seconds": 300, "fault": "the name has no such record"
            },
            {
                "number": "3.4", "asked": "A t.test",
                "found": ["an alias of u.test", "192.0.2.1:3", "127.0.0.3:3"], "seconds": 300, "fault": null
            },
        ],
        "route": {
            "host": "d.test", "certificate_name": "d.test", "sni": true,
            "addresses": [
                { "address": "192.0.2.1:3", "permitted": false },
                { "address": "127.0.0.3:3", "permitted": true },
            ]
        },
        "error": null,
        "hint": [{ "binding": "grpc/1", "target": "g.test:9", "priority": 0 }],
        "faults": [
            "_matrix._tcp.d.test is deprecated since v1.8 of the specification; _matrix-fed._tcp takes its place",
            "t.test, the target of an SRV record, is an alias of u.test, which RFC 2782 forbids",
            "192.0.2.1 is not global: it is connected to only if its range is allowed",
        ]
    });
    assert_eq!(told, expected, "{port} {told:#}");
}

#[tokio::test]
async fn a_way_that_leads_nowhere_is_told_up_to_there() {
    let world = World::new(&["a.test"]).await;
    world.dns.host("a.test", &["127.0.0.1"]);
    world.web.document("a.test", "<html>", &[]);
    world
        .dns
        .say("_matrix-fed._tcp.a.test", RecordType::SRV, Say::ServFail);
    let explained = world.discovery().explain(&name("a.test")).await;
    let numbers: Vec<_> = explained.steps.iter().map(|step| step.number).collect();
    assert_eq!(numbers, ["3", "4"]);
    assert!(explained.route.is_none());
    assert!(explained.error.unwrap().contains("_matrix-fed._tcp.a.test"));
    assert!(
        explained.faults[0].contains("it is no JSON object"),
        "{:?}",
        explained.faults
    );
}

#[tokio::test]
async fn names_that_say_all_by_themselves_have_one_step() {
    let world = World::new(&[]).await;
    let explained = world.discovery().explain(&name("127.0.0.1:1")).await;
    assert_eq!(explained.steps[0].number, "1");
    let route = explained.route.unwrap();
    assert!(!route.sni && route.addresses[0].permitted);
    assert!(explained.faults.is_empty());
    let explained = world.discovery().explain(&name("a.test:1")).await;
    let numbers: Vec<_> = explained.steps.iter().map(|step| step.number).collect();
    assert_eq!(numbers, ["2", "2"]);
    let explained = world.discovery().explain(&name("a.test:0")).await;
    assert!(explained.steps.is_empty() && explained.error.is_some());
}
