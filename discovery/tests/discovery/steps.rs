//! The six steps: where is connected to, with which `Host`, and for which name the certificate has to be.

use comity_core::{
    error::{Delivery, TransportErrorKind},
    transport::{ConnectTo, Resolve},
};
use hickory_proto::rr::RecordType;

use crate::{
    dns::Say,
    setting::{World, name, resolve, route},
    web::redirect,
};

/// The error's message; it is always one of resolving, and nothing was sent.
async fn refused(world: &World, server: &str) -> String {
    let error = resolve(&world.discovery(), server).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (TransportErrorKind::Resolve, Delivery::NotSent)
    );
    error.message().to_owned()
}

#[tokio::test]
async fn step_1_an_ip_literal_is_connected_to_and_nothing_is_asked() {
    let world = World::new(&[]).await;
    let discovery = world.discovery();
    for (server, expected) in [
        (
            "192.0.2.1",
            route("192.0.2.1", "192.0.2.1", &["192.0.2.1:8448"]),
        ),
        (
            "192.0.2.1:443",
            route("192.0.2.1:443", "192.0.2.1", &["192.0.2.1:443"]),
        ),
        (
            "[2001:DB8::1]",
            route("[2001:DB8::1]", "2001:db8::1", &["[2001:db8::1]:8448"]),
        ),
        (
            "[2001:db8::1]:1",
            route("[2001:db8::1]:1", "2001:db8::1", &["[2001:db8::1]:1"]),
        ),
    ] {
        assert_eq!(resolve(&discovery, server).await.unwrap(), expected);
    }
    assert_eq!(world.dns.asked_in_all(), 0);
    assert!(world.web.arrived().is_empty());
}

#[tokio::test]
async fn in_which_letters_the_first_asker_writes_a_name_changes_nothing_for_the_next() {
    let world = World::new(&["a.test"]).await;
    world.dns.host("a.test", &["127.0.0.1"]);
    world.web.delegates("a.test", "d.test:1", &[]);
    world.dns.host("d.test", &["192.0.2.7"]);
    let discovery = world.discovery();
    for server in ["A.Test", "a.test"] {
        let found = resolve(&discovery, server).await.unwrap();
        assert_eq!(found, route("d.test:1", "d.test", &["192.0.2.7:1"]));
    }
}

#[tokio::test]
async fn step_2_an_explicit_port_asks_for_addresses_alone() {
    let world = World::new(&["a.test"]).await;
    world.dns.host("a.test", &["192.0.2.1", "2001:db8::1"]);
    world
        .dns
        .srv("_matrix-fed._tcp.a.test", &[(1, 1, 1, "wrong.test")]);
    world.web.delegates("a.test", "wrong.test", &[]);
    let expected = route(
        "A.test:08000",
        "a.test",
        &["[2001:db8::1]:8000", "192.0.2.1:8000"],
    );
    assert_eq!(
        resolve(&world.discovery(), "A.test:08000").await.unwrap(),
        expected
    );
    assert_eq!(world.dns.asked_in_all(), 2);
    assert!(world.web.arrived().is_empty());
}

/// A network where `a.test` delegates to this.
async fn delegating(to: &str) -> World {
    let world = World::new(&["a.test"]).await;
    world.dns.host("a.test", &["127.0.0.1"]);
    world.web.delegates("a.test", to, &[]);
    world
}

#[tokio::test]
async fn step_3_1_delegation_to_an_ip_literal() {
    for (to, expected) in [
        (
            "192.0.2.7",
            route("192.0.2.7", "192.0.2.7", &["192.0.2.7:8448"]),
        ),
        (
            "[2001:db8::7]:443",
            route("[2001:db8::7]:443", "2001:db8::7", &["[2001:db8::7]:443"]),
        ),
    ] {
        let world = delegating(to).await;
        assert_eq!(
            resolve(&world.discovery(), "a.test").await.unwrap(),
            expected
        );
    }
}

#[tokio::test]
async fn step_3_2_delegation_to_a_name_with_a_port() {
    let world = delegating("D.test:443").await;
    world.dns.host("d.test", &["192.0.2.7"]);
    world
        .dns
        .srv("_matrix-fed._tcp.d.test", &[(1, 1, 1, "wrong.test")]);
    let expected = route("D.test:443", "d.test", &["192.0.2.7:443"]);
    assert_eq!(
        resolve(&world.discovery(), "a.test").await.unwrap(),
        expected
    );
}

#[tokio::test]
async fn step_3_3_delegation_to_a_service() {
    let world = delegating("D.test").await;
    world.dns.host("target.test", &["192.0.2.7"]);
    world
        .dns
        .srv("_matrix-fed._tcp.d.test", &[(1, 1, 1234, "target.test")]);
    world
        .dns
        .srv("_matrix._tcp.d.test", &[(1, 1, 1, "wrong.test")]);
    let expected = route("D.test", "d.test", &["192.0.2.7:1234"]);
    assert_eq!(
        resolve(&world.discovery(), "a.test").await.unwrap(),
        expected
    );
    assert_eq!(world.dns.asked("_matrix._tcp.d.test", RecordType::SRV), 0);
}

#[tokio::test]
async fn step_3_4_delegation_to_a_service_of_the_old_name() {
    let world = delegating("d.test").await;
    world.dns.host("target.test", &["192.0.2.7"]);
    world
        .dns
        .srv("_matrix._tcp.d.test", &[(1, 1, 1234, "target.test")]);
    let expected = route("d.test", "d.test", &["192.0.2.7:1234"]);
    assert_eq!(
        resolve(&world.discovery(), "a.test").await.unwrap(),
        expected
    );
}

#[tokio::test]
async fn step_3_5_delegation_to_a_bare_name() {
    let world = delegating("d.test").await;
    world.dns.host("d.test", &["192.0.2.7"]);
    let expected = route("d.test", "d.test", &["192.0.2.7:8448"]);
    assert_eq!(
        resolve(&world.discovery(), "a.test").await.unwrap(),
        expected
    );
}

#[tokio::test]
async fn delegation_has_one_level() {
    let world = World::new(&["a.test", "d.test"]).await;
    world.dns.host("a.test", &["127.0.0.1"]);
    world.dns.host("d.test", &["127.0.0.1"]);
    world.web.delegates("a.test", "d.test", &[]);
    world.web.delegates("d.test", "e.test:1", &[]);
    let expected = route("d.test", "d.test", &["127.0.0.1:8448"]);
    assert_eq!(
        resolve(&world.discovery(), "a.test").await.unwrap(),
        expected
    );
    assert_eq!(world.web.asked("d.test"), 0);
}

#[tokio::test]
async fn steps_4_5_and_6_without_a_document() {
    let world = World::new(&["a.test"]).await;
    world.dns.host("a.test", &["127.0.0.1", "::1"]);
    world.dns.host("target.test", &["192.0.2.7"]);
    let expected = route("A.test", "a.test", &["[::1]:8448", "127.0.0.1:8448"]);
    assert_eq!(
        resolve(&world.discovery(), "A.test").await.unwrap(),
        expected
    );
    world
        .dns
        .srv("_matrix._tcp.a.test", &[(1, 1, 5, "target.test")]);
    let expected = route("a.test", "a.test", &["192.0.2.7:5"]);
    assert_eq!(
        resolve(&world.discovery(), "a.test").await.unwrap(),
        expected
    );
    world
        .dns
        .srv("_matrix-fed._tcp.a.test", &[(1, 1, 4, "target.test")]);
    let expected = route("a.test", "a.test", &["192.0.2.7:4"]);
    assert_eq!(
        resolve(&world.discovery(), "a.test").await.unwrap(),
        expected
    );
}

#[tokio::test]
async fn the_document_is_asked_for_in_lower_case_however_the_name_is_written() {
    let world = World::new(&["a.test"]).await;
    world.dns.host("a.test", &["127.0.0.1"]);
    world.web.delegates("a.test", "d.test:1", &[]);
    world.dns.host("d.test", &["192.0.2.7"]);
    let route = resolve(&world.discovery(), "A.Test").await.unwrap();
    assert_eq!(route.host, "d.test:1");
    let arrived = &world.web.arrived()[0];
    assert_eq!(arrived.host, "a.test");
    assert_eq!(arrived.target, "/.well-known/matrix/server");
    assert_eq!(arrived.sni.as_deref(), Some("a.test"));
}

#[tokio::test]
async fn connecting_elsewhere_changes_addresses_and_nothing_else() {
    let world = delegating("D.test").await;
    world.dns.host("else.test", &["192.0.2.9", "2001:db8::9"]);
    // Neither needs to exist: nobody connects there.
    world
        .dns
        .say("_matrix-fed._tcp.d.test", RecordType::SRV, Say::ServFail);
    let discovery = world.discovery();
    for (to, addresses) in [
        ("Else.test:1", &["[2001:db8::9]:1", "192.0.2.9:1"][..]),
        ("192.0.2.8:2", &["192.0.2.8:2"][..]),
    ] {
        let found = discovery
            .resolve_at(&name("a.test"), &to.parse().unwrap())
            .await;
        assert_eq!(found.unwrap(), route("D.test", "d.test", addresses));
    }
    let found = discovery
        .resolve_at(&name("b.test:7"), &"192.0.2.8:2".parse().unwrap())
        .await;
    assert_eq!(
        found.unwrap(),
        route("b.test:7", "b.test", &["192.0.2.8:2"])
    );
    let missing = discovery
        .resolve_at(&name("b.test:7"), &"none.test:2".parse().unwrap())
        .await;
    assert!(missing.unwrap_err().message().contains("none.test"));
}

#[tokio::test]
async fn who_is_said_to_be_there_is_not_asked_about() {
    let world = delegating("D.test").await;
    let discovery = world.discovery();
    for server in ["a.test", "Fed.test:443"] {
        let to: ConnectTo = "192.0.2.8:2".parse().unwrap();
        let to = to.as_server(name(server));
        let found = discovery.resolve_at(&name("a.test"), &to).await;
        let host = server.split(':').next().unwrap().to_lowercase();
        assert_eq!(found.unwrap(), route(server, &host, &["192.0.2.8:2"]));
    }
    assert_eq!(world.dns.asked_in_all(), 0);
    assert_eq!(world.web.arrived().len(), 0);
}

#[tokio::test]
async fn names_that_cannot_be_connected_to_are_refused() {
    let world = World::new(&[]).await;
    for server in ["a.test:0", "a.test:65536", "[:::]", "1.2.3.4:0"] {
        assert!(refused(&world, server).await.contains(server));
    }
    assert_eq!(world.dns.asked_in_all(), 0);
    // Names by the grammar that DNS cannot hold.
    let label = "a".repeat(64);
    for server in ["a..b", &format!("{label}.test"), &"a.".repeat(127)] {
        let message = refused(&world, server).await;
        assert!(message.contains("no such name"), "{message}");
    }
    assert!(
        refused(&world, "none.test")
            .await
            .contains("none.test has no address")
    );
}

#[tokio::test]
async fn a_document_that_does_not_serve_is_no_error() {
    let world = World::new(&["a.test"]).await;
    world.dns.host("a.test", &["127.0.0.1"]);
    let expected = route("a.test", "a.test", &["127.0.0.1:8448"]);
    for status in [201, 204, 304, 400, 403, 404, 418, 429, 500, 503] {
        world.web.status("a.test", status);
        assert_eq!(
            resolve(&world.discovery(), "a.test").await.unwrap(),
            expected,
            "{status}"
        );
    }
    for text in [
        "",
        "nonsense",
        "{}",
        r#"{"m.server":"not a name"}"#,
        r#"{"m.server":"d.test:0"}"#,
    ] {
        world.web.document("a.test", text, &[]);
        assert_eq!(
            resolve(&world.discovery(), "a.test").await.unwrap(),
            expected,
            "{text}"
        );
    }
    // A certificate for another name; nobody there; no address.
    world.dns.host("b.test", &["127.0.0.1"]);
    world.web.delegates("b.test", "wrong.test:1", &[]);
    let found = resolve(&world.discovery(), "b.test").await.unwrap();
    assert_eq!(found, route("b.test", "b.test", &["127.0.0.1:8448"]));
    assert_eq!(world.web.asked("b.test"), 0);
    world.dns.host("c.test", &["127.0.0.99"]);
    let found = resolve(&world.discovery(), "c.test").await.unwrap();
    assert_eq!(found, route("c.test", "c.test", &["127.0.0.99:8448"]));
    world
        .dns
        .srv("_matrix-fed._tcp.e.test", &[(1, 1, 1, "c.test")]);
    let found = resolve(&world.discovery(), "e.test").await.unwrap();
    assert_eq!(found, route("e.test", "e.test", &["127.0.0.99:1"]));
}

#[tokio::test]
async fn a_document_is_read_whatever_its_content_type() {
    let world = delegating("192.0.2.7").await;
    for kind in ["text/html", "application/octet-stream", "garbage"] {
        world
            .web
            .delegates("a.test", "192.0.2.7", &[("content-type", kind)]);
        let found = resolve(&world.discovery(), "a.test").await.unwrap();
        assert_eq!(found.host, "192.0.2.7", "{kind}");
    }
}

#[tokio::test]
async fn redirections_are_followed() {
    let world = World::new(&["a.test", "b.test", "127.0.0.1"]).await;
    world.dns.host("a.test", &["127.0.0.1"]);
    world.dns.host("b.test", &["127.0.0.1"]);
    let port = world.web.address.port();
    let ip = format!("127.0.0.1:{port}");
    world.web.document(&ip, r#"{"m.server":"192.0.2.7"}"#, &[]);
    let to_ip = format!("https://{ip}/.well-known/matrix/server");
    world
        .web
        .page("b.test", "/y?z", move || redirect(308, &to_ip));
    world.web.page("b.test", "/x", || redirect(307, "y?z"));
    world
        .web
        .page("a.test", "/1", || redirect(303, "//b.test/x"));
    world.web.page("a.test", "/2", || redirect(302, "/1"));
    world
        .web
        .well_known("a.test", || redirect(301, "https://a.test/2"));
    let found = resolve(&world.discovery(), "a.test").await.unwrap();
    assert_eq!(found.host, "192.0.2.7");
    let arrived = world.web.arrived();
    assert_eq!(arrived.len(), 6);
    // The name that each hop was verified for; none for an address.
    let sni: Vec<_> = arrived.iter().map(|one| one.sni.as_deref()).collect();
    let (a, b) = (Some("a.test"), Some("b.test"));
    assert_eq!(sni, [a, a, a, b, b, None]);
}
