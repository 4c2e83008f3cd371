//! An attacker's web server: redirections, bodies and heads without end, and answers that do not come.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use comity_discovery::Discovery;
use comity_net::body;
use futures_util::stream;
use http::Response;
use tokio::net::TcpListener;

use crate::{
    setting::{World, resolve},
    web::redirect,
};

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
