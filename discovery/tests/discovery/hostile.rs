//! Answers of an attacker, who owns a name, its DNS server and its web server.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use comity_core::error::{Delivery, TransportErrorKind};
use comity_discovery::{Discovery, DiscoveryOptions, Dns};
use comity_net::{AddressGuard, Connector, Pool, PoolOptions, body};
use futures_util::stream;
use hickory_proto::rr::RecordType;
use http::{Request, Response};
use tokio::net::TcpListener;

use crate::{
    dns::{Say, a, cname},
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

#[tokio::test]
async fn redirections_end() {
    let world = World::new(&["evil.test"]).await;
    world.dns.host("evil.test", &["127.0.0.1"]);
    // For ever, to another place each time.
    let hop = Arc::new(AtomicUsize::new(0));
    for page in 0..20 {
        let hop = Arc::clone(&hop);
        world.web.page("evil.test", &format!("/{page}"), move || {
            let next = hop.fetch_add(1, Ordering::SeqCst) + 1;
            redirect(301, &format!("/{next}"))
        });
    }
    world.web.well_known("evil.test", || redirect(301, "/0"));
    assert_eq!(
        resolve(&world.discovery(), "evil.test").await.unwrap().host,
        "evil.test"
    );
    assert_eq!(world.web.arrived().len(), 6);
    // In a circle; to itself.
    world.web.page("evil.test", "/0", || {
        redirect(307, "/.well-known/matrix/server")
    });
    assert_eq!(
        resolve(&world.discovery(), "evil.test").await.unwrap().host,
        "evil.test"
    );
    assert_eq!(world.web.arrived().len(), 8);
    world.web.well_known("evil.test", || redirect(308, "#here"));
    assert_eq!(
        resolve(&world.discovery(), "evil.test").await.unwrap().host,
        "evil.test"
    );
    assert_eq!(world.web.arrived().len(), 9);
    // Nowhere.
    for location in ["", "\u{7f}", "https://evil.test:99999/", "::"] {
        world.web.well_known("evil.test", move || {
            let head = Response::builder().status(302);
            let location = http::HeaderValue::from_bytes(location.as_bytes());
            let head = match location {
                Ok(location) => head.header("location", location),
                Err(_) => head,
            };
            head.body(body::empty()).unwrap()
        });
        assert_eq!(
            resolve(&world.discovery(), "evil.test").await.unwrap().host,
            "evil.test"
        );
    }
}

/// A body of up to a GiB, in pieces, and how much of it was taken.
fn endless(pause: Duration, piece: usize) -> (Arc<AtomicU64>, impl Fn() -> comity_net::Body) {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let body = move || {
        let counter = Arc::clone(&counter);
        body::from_stream(stream::unfold(0_u64, move |at| {
            let counter = Arc::clone(&counter);
            async move {
                if at >= 1 << 30 {
                    return None;
                }
                tokio::time::sleep(pause).await;
                counter.fetch_add(piece as u64, Ordering::SeqCst);
                let bytes = Bytes::from(vec![b' '; piece]);
                Some((Ok::<_, std::io::Error>(bytes), at + piece as u64))
            }
        }))
    };
    (sent, body)
}

#[tokio::test]
async fn a_body_without_end_is_left_at_the_limit() {
    let world = World::new(&["evil.test"]).await;
    world.dns.host("evil.test", &["127.0.0.1"]);
    let (sent, body) = endless(Duration::ZERO, 16 << 10);
    world
        .web
        .well_known("evil.test", move || Response::new(body()));
    let began = Instant::now();
    assert_eq!(
        resolve(&world.discovery(), "evil.test").await.unwrap().host,
        "evil.test"
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    // What lies in buffers of sockets on the way is not ours.
    assert!(sent.load(Ordering::SeqCst) < 32 << 20, "{sent:?}");
    // Announced, it is not begun.
    let (sent, body) = endless(Duration::from_millis(20), 1 << 10);
    world.web.well_known("evil.test", move || {
        let head = Response::builder().header("content-length", (1_u64 << 30).to_string());
        head.body(body()).unwrap()
    });
    assert_eq!(
        resolve(&world.discovery(), "evil.test").await.unwrap().host,
        "evil.test"
    );
    assert!(sent.load(Ordering::SeqCst) < 64 << 10, "{sent:?}");
}

#[tokio::test]
async fn fifty_kib_are_read_and_one_byte_more_is_not() {
    let world = World::new(&["evil.test"]).await;
    world.dns.host("evil.test", &["127.0.0.1"]);
    for (size, host) in [(50 << 10, "192.0.2.1"), ((50 << 10) + 1, "evil.test")] {
        let text = format!("{:<size$}", r#"{"m.server":"192.0.2.1"}"#);
        world.web.document("evil.test", &text, &[]);
        assert_eq!(
            resolve(&world.discovery(), "evil.test").await.unwrap().host,
            host
        );
        let text = Bytes::from(text);
        world.web.well_known("evil.test", move || {
            let pieces: Vec<_> = text.chunks(1000).map(Bytes::copy_from_slice).collect();
            let pieces = stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
            Response::new(body::from_stream(pieces))
        });
        assert_eq!(
            resolve(&world.discovery(), "evil.test").await.unwrap().host,
            host
        );
    }
}

#[tokio::test]
async fn who_drips_or_says_nothing_is_not_waited_for() {
    let world = World::new(&["evil.test"]).await;
    world.dns.host("evil.test", &["127.0.0.1"]);
    let (_, body) = endless(Duration::from_millis(100), 1);
    world
        .web
        .well_known("evil.test", move || Response::new(body()));
    let began = Instant::now();
    let discovery = || Discovery::new(world.connector(), world.impatient()).unwrap();
    let explained = discovery().explain(&"evil.test".parse().unwrap()).await;
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1_400), "{took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let fault = explained.steps[0].fault.as_ref().unwrap();
    assert!(fault.contains("well_known_timeout"), "{fault}");
    assert_eq!(explained.route.unwrap().host, "evil.test");
    // The head, slowly.
    world.web.pause(Duration::from_secs(60));
    let began = Instant::now();
    assert_eq!(
        resolve(&discovery(), "evil.test").await.unwrap().host,
        "evil.test"
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    // TCP alone.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = world.impatient();
    options.well_known_port = silent.local_addr().unwrap().port();
    let discovery = Discovery::new(world.connector(), options).unwrap();
    let began = Instant::now();
    assert_eq!(
        resolve(&discovery, "evil.test").await.unwrap().host,
        "evil.test"
    );
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn heads_of_any_size_and_encoded_bodies_are_no_document() {
    let world = World::new(&["evil.test"]).await;
    world.dns.host("evil.test", &["127.0.0.1"]);
    world.web.well_known("evil.test", || {
        let mut head = Response::builder();
        for at in 0..90 {
            head = head.header(format!("x-{at}"), "x".repeat(1 << 10));
        }
        head.body(body::full(r#"{"m.server":"192.0.2.1"}"#))
            .unwrap()
    });
    assert_eq!(
        resolve(&world.discovery(), "evil.test").await.unwrap().host,
        "evil.test"
    );
    world.web.well_known("evil.test", || {
        let head = Response::builder().header("content-encoding", "gzip");
        head.body(body::full(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0][..]))
            .unwrap()
    });
    assert_eq!(
        resolve(&world.discovery(), "evil.test").await.unwrap().host,
        "evil.test"
    );
    // As deep as fifty KiB can be.
    world.web.document("evil.test", &"[".repeat(50 << 10), &[]);
    assert_eq!(
        resolve(&world.discovery(), "evil.test").await.unwrap().host,
        "evil.test"
    );
}

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
