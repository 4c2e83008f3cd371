//! Keys are asked for once, not for ever, and never without bound.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use comity_core::{
    Client, Operations,
    auth::{KeyFault, KeyId, KeyRing, KeyRingOptions, KeySource, now_ms},
    transport::{MemoryMode, MemoryTransport},
};

use crate::homeserver::*;

fn ring(server: &Arc<Homeserver>, options: KeyRingOptions) -> KeyRing {
    let transport = MemoryTransport::new(
        Operations::federation(),
        server.router().layered(tower::layer::util::Identity::new()),
        MemoryMode::ThroughCodec,
    );
    KeyRing::new(Client::new(Arc::new(transport)), options)
}

fn id(text: &str) -> KeyId {
    text.parse().expect("a key ID")
}

#[tokio::test]
async fn fifty_waiters_ask_once() {
    let a = Homeserver::new("a.example", 1);
    let ring = ring(&a, KeyRingOptions::default());
    let waiters: Vec<_> = (0..50)
        .map(|_| {
            let ring = ring.clone();
            tokio::spawn(
                async move { ring.request_key(&name("a.example"), &id("ed25519:1")).await },
            )
        })
        .collect();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap().unwrap(), a.key.verify_key());
    }
    assert_eq!(a.key_requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_unknown_key_is_asked_for_again_only_after_a_while() {
    let a = Homeserver::new("a.example", 1);
    let clock = Arc::new(AtomicI64::new(now_ms()));
    let now = clock.clone();
    let ring = ring(
        &a,
        KeyRingOptions {
            now: Arc::new(move || now.load(Ordering::SeqCst)),
            ..Default::default()
        },
    );
    for _ in 0..10 {
        assert_eq!(
            ring.request_key(&a.name, &id("ed25519:new")).await,
            Err(KeyFault::Unknown)
        );
    }
    assert_eq!(a.key_requests.load(Ordering::SeqCst), 1);
    // A known key is good in the meantime.
    assert!(ring.request_key(&a.name, &id("ed25519:1")).await.is_ok());
    clock.fetch_add(60_000, Ordering::SeqCst);
    assert_eq!(
        ring.request_key(&a.name, &id("ed25519:new")).await,
        Err(KeyFault::Unknown)
    );
    assert_eq!(a.key_requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_document_counts_seven_days_from_its_fetch_at_most() {
    let day = 24 * 3600 * 1000;
    let a = Homeserver::valid_until("a.example", 1, now_ms() + 365 * day);
    let clock = Arc::new(AtomicI64::new(now_ms()));
    let now = clock.clone();
    let ring = ring(
        &a,
        KeyRingOptions {
            now: Arc::new(move || now.load(Ordering::SeqCst)),
            ..Default::default()
        },
    );
    assert!(ring.request_key(&a.name, &id("ed25519:1")).await.is_ok());
    clock.fetch_add(6 * day, Ordering::SeqCst);
    assert!(ring.request_key(&a.name, &id("ed25519:1")).await.is_ok());
    assert_eq!(a.key_requests.load(Ordering::SeqCst), 1);
    clock.fetch_add(2 * day, Ordering::SeqCst);
    assert!(ring.request_key(&a.name, &id("ed25519:1")).await.is_ok());
    assert_eq!(a.key_requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_document_of_another_server_is_refused() {
    let a = Homeserver::new("a.example", 1);
    let ring = ring(&a, KeyRingOptions::default());
    let fault = ring
        .request_key(&name("evil.example"), &id("ed25519:1"))
        .await
        .unwrap_err();
    assert!(matches!(fault, KeyFault::Unreachable(_)), "{fault:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_costs_a_bounded_time() {
    #[derive(Debug)]
    struct Silent;
    #[async_trait::async_trait]
    impl comity_core::transport::Transport for Silent {
        fn name(&self) -> &'static str {
            "silent"
        }
        fn capabilities(&self) -> comity_core::transport::Capabilities {
            comity_core::transport::Capabilities::NONE
        }
        async fn send(
            &self,
            _: comity_core::call::Call,
        ) -> Result<comity_core::call::Reply, comity_core::error::CallError> {
            std::future::pending().await
        }
    }
    let ring = KeyRing::new(Client::new(Arc::new(Silent)), KeyRingOptions::default());
    let begun = tokio::time::Instant::now();
    for _ in 0..5 {
        let fault = ring
            .request_key(&name("a.example"), &id("ed25519:1"))
            .await
            .unwrap_err();
        assert!(matches!(fault, KeyFault::Unreachable(_)));
    }
    // The first one waits; the others are told what is known.
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
}

/// A way to a server that can be cut.
#[derive(Debug)]
struct Switch {
    inner: MemoryTransport,
    down: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl comity_core::transport::Transport for Switch {
    fn name(&self) -> &'static str {
        "switch"
    }
    fn capabilities(&self) -> comity_core::transport::Capabilities {
        comity_core::transport::Capabilities::NONE
    }
    async fn send(
        &self,
        call: comity_core::call::Call,
    ) -> Result<comity_core::call::Reply, comity_core::error::CallError> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(comity_core::error::FederationError::internal("down").into()),
            false => self.inner.send(call).await,
        }
    }
}

/// A ring with a clock of its own, whose server can be cut off.
fn switched(server: &Arc<Homeserver>) -> (KeyRing, Arc<AtomicI64>, Arc<AtomicBool>) {
    let (clock, down) = (
        Arc::new(AtomicI64::new(now_ms())),
        Arc::new(AtomicBool::new(false)),
    );
    let inner = MemoryTransport::new(
        Operations::federation(),
        server.router().layered(tower::layer::util::Identity::new()),
        MemoryMode::ByValue,
    );
    let now = clock.clone();
    let options = KeyRingOptions {
        now: Arc::new(move || now.load(Ordering::SeqCst)),
        ..Default::default()
    };
    let switch = Switch {
        inner,
        down: down.clone(),
    };
    (
        KeyRing::new(Client::new(Arc::new(switch)), options),
        clock,
        down,
    )
}

fn wanted(ids: &[&str]) -> BTreeSet<KeyId> {
    ids.iter().map(|text| id(text)).collect()
}

#[tokio::test]
async fn a_fetch_that_fails_takes_no_known_key_away() {
    let a = Homeserver::new("a.example", 1);
    let (ring, clock, down) = switched(&a);
    assert!(ring.request_key(&a.name, &id("ed25519:1")).await.is_ok());
    down.store(true, Ordering::SeqCst);
    clock.fetch_add(60_000, Ordering::SeqCst);
    // Anyone can name a key that is not there, and cause a fetch.
    let fault = ring.request_key(&a.name, &id("ed25519:nonsense")).await;
    assert!(matches!(fault, Err(KeyFault::Unreachable(_))), "{fault:?}");
    assert!(ring.request_key(&a.name, &id("ed25519:1")).await.is_ok());
}

#[tokio::test]
async fn old_events_outlive_the_server_that_signed_them() {
    let a = Homeserver::new("a.example", 1);
    let (ring, clock, down) = switched(&a);
    let known = wanted(&["ed25519:1"]);
    let fetched = ring.event_keys(&a.name, &known).await.unwrap();
    down.store(true, Ordering::SeqCst);
    clock.fetch_add(30 * 24 * 3600 * 1000, Ordering::SeqCst);
    let later = ring.event_keys(&a.name, &known).await.unwrap();
    assert_eq!(later.keys.document(), fetched.keys.document());
    assert_eq!(later.valid_until(), fetched.valid_until());
    // For requests its time is over.
    assert!(ring.request_key(&a.name, &id("ed25519:1")).await.is_err());
}

#[tokio::test]
async fn an_event_by_a_key_that_is_not_known_yet_causes_one_fetch() {
    let a = Homeserver::new("a.example", 1);
    let (ring, clock, _) = switched(&a);
    for _ in 0..3 {
        ring.event_keys(&a.name, &wanted(&["ed25519:1"]))
            .await
            .unwrap();
    }
    assert_eq!(a.key_requests.load(Ordering::SeqCst), 1);
    clock.fetch_add(60_000, Ordering::SeqCst);
    for _ in 0..3 {
        let rotated = wanted(&["ed25519:1", "ed25519:rotated"]);
        ring.event_keys(&a.name, &rotated).await.unwrap();
    }
    assert_eq!(a.key_requests.load(Ordering::SeqCst), 2);
}
