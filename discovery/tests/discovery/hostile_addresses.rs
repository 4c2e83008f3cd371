//! An attacker, who owns a name, its DNS server and its web server, and would have us reach addresses inside our own network.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use comity_core::error::{Delivery, TransportErrorKind};
use comity_discovery::Discovery;
use comity_net::{AddressGuard, Connector, Pool, PoolOptions, body};
use http::Request;
use tokio::net::TcpListener;

use crate::{
    setting::{World, resolve},
    web::redirect,
};

/// A listener of this host's own network, which nobody is to reach.
struct Inside {
    address: SocketAddr,
    reached: Arc<AtomicUsize>,
}

impl Inside {
    /// At 127.0.0.2, and at this port.
    async fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let reached = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&reached);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { address, reached }
    }

    async fn was_not_reached(&self) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(self.reached.load(Ordering::SeqCst), 0);
    }
}

/// A network where 127.0.0.1 stands for the world outside, and 127.0.0.2 is inside.
struct Siege {
    world: World,
    inside: Inside,
    discovery: Discovery,
    connector: Connector,
}

impl Siege {
    async fn start() -> Self {
        let world = World::new(&["evil.test", "other.test"]).await;
        world.dns.host("evil.test", &["127.0.0.1"]);
        world.dns.host("inside.test", &["127.0.0.2"]);
        let inside = Inside::start(world.web.address.port()).await;
        let guard = AddressGuard::default().allow("127.0.0.1/32").unwrap();
        let connector = Connector::new(world.authority.client()).with_guard(guard);
        let discovery = Discovery::new(connector.clone(), world.options()).unwrap();
        Self {
            world,
            inside,
            discovery,
            connector,
        }
    }

    /// Sends a request to where the name leads; it has to be refused by the guard.
    async fn is_refused(&self, server: &str) {
        let route = resolve(&self.discovery, server).await.unwrap();
        let pool = Pool::new(self.connector.clone(), PoolOptions::default());
        let request = Request::get("/").body(body::empty()).unwrap();
        let error = pool.send(&route, request).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.delivery()),
            (TransportErrorKind::Refused, Delivery::NotSent),
            "{server}"
        );
        self.inside.was_not_reached().await;
    }
}

#[tokio::test]
async fn addresses_inside_are_refused_whatever_leads_there() {
    let port = {
        let siege = Siege::start().await;
        for server in [
            "127.0.0.2",
            "10.0.0.1:443",
            "169.254.169.254:80",
            "[::1]",
            "[::ffff:127.0.0.2]",
            "[fe80::1]",
            "inside.test:8448",
            "inside.test",
        ] {
            siege.is_refused(server).await;
        }
        siege.inside.address.port()
    };
    for to in [
        "127.0.0.2",
        "127.0.0.2:443",
        "10.1.2.3",
        "192.168.0.1:8448",
        "[fd00::1]:1",
        "inside.test",
        &format!("inside.test:{port}"),
    ] {
        let siege = Siege::start().await;
        siege.world.web.delegates("evil.test", to, &[]);
        siege.is_refused("evil.test").await;
    }
    let siege = Siege::start().await;
    siege
        .world
        .dns
        .srv("_matrix-fed._tcp.evil.test", &[(1, 1, port, "inside.test")]);
    siege.is_refused("evil.test").await;
}

#[tokio::test]
async fn the_name_of_an_address_inside_is_not_asked_for_a_document() {
    let siege = Siege::start().await;
    siege.is_refused("inside.test").await;
    let explained = siege
        .discovery
        .explain(&"inside.test".parse().unwrap())
        .await;
    assert!(
        explained.steps[0]
            .fault
            .as_ref()
            .unwrap()
            .contains("not global"),
        "{explained:?}"
    );
}

#[tokio::test]
async fn redirections_to_addresses_inside_are_not_followed() {
    let siege = Siege::start().await;
    let port = siege.inside.address.port();
    for location in [
        "https://127.0.0.2/x".to_owned(),
        format!("https://127.0.0.2:{port}/x"),
        format!("https://[::ffff:127.0.0.2]:{port}/x"),
        format!("https://inside.test:{port}/x"),
        "//inside.test".to_owned(),
        "https://[::1]:22/".to_owned(),
        format!("http://127.0.0.1:{port}/x"),
        "file:///etc/passwd".to_owned(),
    ] {
        let discovery = Discovery::new(siege.connector.clone(), siege.world.options()).unwrap();
        siege
            .world
            .web
            .well_known("evil.test", move || redirect(302, &location));
        let route = resolve(&discovery, "evil.test").await.unwrap();
        assert_eq!(route.host, "evil.test");
    }
    siege.inside.was_not_reached().await;
}

#[tokio::test]
async fn a_name_that_is_bound_anew_between_look_up_and_connection_gains_nothing() {
    let siege = Siege::start().await;
    siege.world.dns.host_for("evil.test", &["127.0.0.1"], 0);
    let explained = siege.discovery.explain(&"evil.test".parse().unwrap()).await;
    assert!(explained.route.unwrap().addresses[0].permitted);
    siege.world.dns.host_for("evil.test", &["127.0.0.2"], 0);
    siege.is_refused("evil.test").await;
    // A refused address beside a good one: the good one alone is connected to.
    let port = siege.world.web.address.port();
    siege
        .world
        .dns
        .host_for("evil.test", &["127.0.0.2", "127.0.0.1"], 0);
    let route = resolve(&siege.discovery, &format!("evil.test:{port}"))
        .await
        .unwrap();
    assert_eq!(route.addresses.len(), 2);
    let pool = Pool::new(siege.connector.clone(), PoolOptions::default());
    let request = Request::get("/").body(body::empty()).unwrap();
    assert_eq!(pool.send(&route, request).await.unwrap().status(), 404);
    siege.inside.was_not_reached().await;
}
