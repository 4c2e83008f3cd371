//! Peers of which nothing is configured: found by their names, called by what they offer.

use std::time::{Duration, Instant};

use comity_core::{
    auth::{KeyDocument, now_ms},
    transport::{BINDINGS_MEMBER, Offer},
};
use tokio::time::sleep;

use crate::setting::{Authority, HS1, HS2, Outgoing, Settings, Side, json, peer};

const EVENT: &str = "/_matrix/federation/v1/event/%24x";

/// A server whose name is an address, which needs no DNS.
async fn server(authority: &Authority) -> (Side, String) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name = port.local_addr().unwrap().to_string();
    drop(port);
    let listen = format!("address = \"{name}\"\ncertificate = \"tls.crt\"\nkey = \"tls.key\"");
    let settings = Settings::default().without("listen").with("listen", listen);
    (Side::start(&name, 2, authority, settings).await, name)
}

async fn calls(one: &Side, to: &str) -> u16 {
    one.calls(to, "GET", EVENT, None).await.status
}

#[tokio::test]
async fn a_server_is_found_by_its_name_and_called_over_https() {
    let authority = Authority::new();
    let one = Side::start(HS1, 1, &authority, Settings::default()).await;
    let (two, name) = server(&authority).await;
    assert_eq!(calls(&one, &name).await, 200);
    let seen = two.homeserver.only();
    assert_eq!(seen.target, EVENT);
    let status = one.gateway.select().destinations();
    assert_eq!(status[0].destination.as_str(), name);
    assert_eq!(status[0].binding, Some("http/1"));
}

/// Has the homeserver's signed document say that it offers gRPC, at this place if there is one.
fn offers_grpc(two: &Side, at: Option<&str>) {
    two.homeserver.publishes_nothing();
    let offer = Offer {
        binding: "grpc/1".to_owned(),
        connect_to: at.map(|at| at.parse().unwrap()),
        priority: 10,
        session: false,
    };
    let document = KeyDocument::new(two.homeserver.name.clone(), now_ms() + 24 * 3600 * 1000)
        .with_member(BINDINGS_MEMBER, Offer::write_list(&[offer]));
    let document = document.sign(&[&two.homeserver.key]).unwrap();
    two.homeserver.answers(move |seen| {
        let keys = seen.target == "/_matrix/key/v2/server";
        let answer = if keys { document.clone() } else { "{}".into() };
        async move { json(200, answer) }
    });
}

#[tokio::test]
async fn what_its_signed_keys_offer_is_taken() {
    let authority = Authority::new();
    let one = Side::start(HS1, 1, &authority, Settings::default()).await;
    let (two, name) = server(&authority).await;
    offers_grpc(&two, None);
    for _ in 0..100 {
        // The first goes by HTTPS: no call waits for an offer.
        assert_eq!(calls(&one, &name).await, 200);
        if one.gateway.select().destinations()[0].binding == Some("grpc/1") {
            assert_eq!(calls(&one, &name).await, 200);
            let metrics = one.metrics().await;
            assert!(
                metrics.contains("operation=\"GetEvent\",binding=\"grpc/1\",outcome=\"ok\"}"),
                "{metrics}"
            );
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("the offer is not taken");
}

#[tokio::test]
async fn an_offer_that_leads_to_a_closed_port_costs_no_call() {
    let authority = Authority::new();
    let one = Side::start(HS1, 1, &authority, Settings::default()).await;
    let (two, name) = server(&authority).await;
    offers_grpc(&two, Some("127.0.0.1:9"));
    for _ in 0..100 {
        assert_eq!(calls(&one, &name).await, 200);
        let metrics = one.metrics().await;
        if metrics.contains("reason=\"connect\"} 1") {
            // Left alone from then on.
            assert_eq!(calls(&one, &name).await, 200);
            let status = &one.gateway.select().destinations()[0];
            assert_eq!(status.binding, Some("http/1"));
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("the offer is not tried");
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_not_called() {
    let authority = Authority::new();
    let settings = Settings::default()
        .without("trust")
        .with("trust", "ca = [\"ca.crt\"]");
    let one = Side::start(HS1, 1, &authority, settings).await;
    let (two, name) = server(&authority).await;
    let got = one.calls(&name, "GET", EVENT, None).await;
    assert_eq!(got.via().0, 502, "{got:?}");
    assert!(
        got.json()["error"].as_str().unwrap().contains("not global"),
        "{got:?}"
    );
    assert_eq!(two.homeserver.take_seen().len(), 0);
}

#[tokio::test]
async fn a_certificate_of_nobody_known_is_not_believed() {
    let authority = Authority::new();
    let one = Side::start(HS1, 1, &authority, Settings::default()).await;
    let (two, name) = server(&Authority::new()).await;
    assert_eq!(calls(&one, &name).await, 502);
    assert_eq!(two.homeserver.take_seen().len(), 0);
    // Unless it is a test, and says so.
    let danger = Settings::default().with(
        "trust",
        "danger_accept_any_certificate_for = [\"127.0.0.1\"]",
    );
    let trusting = Side::start(HS1, 1, &authority, danger).await;
    assert_eq!(calls(&trusting, &name).await, 200);
    assert_eq!(two.homeserver.only().target, EVENT);
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_said_so() {
    let authority = Authority::new();
    let one = Side::start(HS1, 1, &authority, Settings::default()).await;
    let call = Outgoing::new("127.0.0.1:9", "GET", "/_matrix/federation/v1/version");
    let got = one.send(call).await;
    assert_eq!(got.via(), (502, "M_UNKNOWN".to_owned(), HS1.to_owned()));
}

#[tokio::test]
async fn silent_dns_costs_less_than_a_homeserver_waits_and_nothing_of_a_peer_with_a_target() {
    let authority = Authority::new();
    // It takes every question, and answers none.
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let dns = format!("dns = [\"{}\"]", silent.local_addr().unwrap());
    let settings = Settings::default()
        .without("discovery")
        .with("discovery", dns);
    let one = Side::start(HS1, 1, &authority, settings).await;
    let two = Side::start(HS2, 2, &authority, Settings::default()).await;
    one.knows(&[(HS2, peer("https", &two))]);
    two.knows(&[(HS1, peer("https", &one))]);
    let begun = Instant::now();
    let join = "/_matrix/federation/v1/make_join/!r:quiet.example/@u:hs1.example";
    let lost = async {
        let got = one.calls("quiet.example", "GET", join, None).await;
        (got, begun.elapsed())
    };
    let known = async {
        assert_eq!(calls(&one, HS2).await, 200);
        begun.elapsed()
    };
    let ((got, took), other) = tokio::join!(lost, known);
    assert!(matches!(got.status, 502 | 504), "{got:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(other < Duration::from_secs(2), "{other:?}");
    // It is asked again soon, and not for every call.
    let begun = Instant::now();
    assert_eq!(calls(&one, "quiet.example").await, 502);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_name_as_target_is_looked_up() {
    let authority = Authority::new();
    let one = Side::start(HS1, 1, &authority, Settings::default()).await;
    let two = Side::start(HS2, 2, &authority, Settings::default()).await;
    let port = two.gateway.inbound_addr().unwrap().port();
    // Nobody answers for names here: then nothing is sent.
    one.knows(&[(HS2, format!("target = \"fed.example:{port}\""))]);
    let call = tokio::time::timeout(Duration::from_secs(25), one.calls(HS2, "GET", EVENT, None));
    assert_eq!(call.await.unwrap().status, 502);
    // What it delegates to has the certificate.
    let (chain, key) = authority.certificate("fed.hs2.example");
    two.try_certificate(&chain, &key).unwrap();
    let target = format!("target = \"127.0.0.1:{port}\"\nbinding = \"https\"");
    one.knows(&[(HS2, target.clone())]);
    assert_eq!(calls(&one, HS2).await, 502);
    one.knows(&[(
        HS2,
        format!("{target}\ndelegated = \"fed.hs2.example:443\""),
    )]);
    assert_eq!(calls(&one, HS2).await, 200);
}
