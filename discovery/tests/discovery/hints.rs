//! Bindings that a `.well-known` document hints at.

use comity_core::transport::{BINDINGS_MEMBER, Offers};

use crate::setting::{START, World, name};

/// A network where `a.test` has this document.
async fn world_with(hint: &str, headers: &[(&'static str, &str)]) -> World {
    let world = World::new(&["a.test"]).await;
    world.dns.host("a.test", &["127.0.0.1"]);
    let text = format!(r#"{{"m.server":"d.test:443","{BINDINGS_MEMBER}":{hint}}}"#);
    world.web.document("a.test", &text, headers);
    world
}

#[tokio::test]
async fn a_hint_is_offered_for_as_long_as_its_document_counts_but_a_day_at_most() {
    let hint =
        r#"[{"binding":"b/1","priority":9},{"binding":"grpc/1","target":"g.test:1","priority":1}]"#;
    for (age, seconds) in [("max-age=3600", 3600), ("max-age=172800", 86_400)] {
        let world = world_with(hint, &[("cache-control", age)]).await;
        let discovery = world.discovery();
        assert_eq!(discovery.source(), "hint");
        let offered = discovery.offered(&name("a.test")).await.unwrap();
        let bindings: Vec<_> = offered
            .offers
            .iter()
            .map(|offer| offer.binding.as_str())
            .collect();
        assert_eq!(bindings, ["grpc/1", "b/1"]);
        assert_eq!(offered.until, START + seconds * 1000);
    }
}

#[tokio::test]
async fn a_document_without_a_hint_offers_nothing_and_no_document_says_nothing() {
    let world = world_with("[]", &[]).await;
    let offered = world.discovery().offered(&name("a.test")).await.unwrap();
    assert!(offered.offers.is_empty());
    world.web.status("a.test", 404);
    assert_eq!(world.discovery().offered(&name("a.test")).await, None);
}

#[tokio::test]
async fn a_hint_that_is_too_large_or_not_understood_is_none_and_the_rest_holds() {
    let many = vec![r#"{"binding":"grpc/1"}"#; 500].join(",");
    for hint in [&format!("[{many}]"), "7", "{\"binding\":\"grpc/1\"}"] {
        let world = world_with(hint, &[]).await;
        let discovery = world.discovery();
        let offered = discovery.offered(&name("a.test")).await.unwrap();
        assert!(offered.offers.is_empty(), "{hint}");
        world.dns.host("d.test", &["192.0.2.1"]);
        let route = crate::setting::resolve(&discovery, "a.test").await.unwrap();
        assert_eq!(route.host, "d.test:443");
    }
}

#[tokio::test]
async fn addresses_and_explicit_ports_have_no_hint_and_nobody_is_asked() {
    let world = world_with(r#"[{"binding":"grpc/1"}]"#, &[]).await;
    let discovery = world.discovery();
    for server in ["a.test:8448", "127.0.0.1", "[::1]", "[::1]:443", "a.test:0"] {
        assert_eq!(discovery.offered(&name(server)).await, None, "{server}");
    }
    assert!(world.web.arrived().is_empty());
    assert_eq!(world.dns.asked_in_all(), 0);
}
