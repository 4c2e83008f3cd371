//! Who is asked for keys and when: the server itself, notaries, nobody; how long that takes, and how much it may cost.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use comity_core::auth::{
    FetchOrder, KeyDocument, KeyRing, KeyRingOptions, KeySource, KeyStore, KeyStoreError,
    SigningKey, StoredKeys, TrustedNotary,
};

use crate::{homeserver::name, key_setting::*, network::*};

#[tokio::test]
async fn a_notary_is_asked_when_the_server_cannot_be() {
    let s = Setting::new();
    s.relay(&[&s.document(HOUR)]);
    let ring = s.ring(|_| ());
    assert!(key_1(&ring).await.is_ok());
    // The server could be asked, so nobody else was.
    assert_eq!(s.network.calls("n.example"), 0);

    s.network.refuse("a.example");
    let ring = s.ring(|_| ());
    assert!(key_1(&ring).await.is_ok());
    let asked = s.notary.asked.lock().unwrap();
    let wanted = asked[0].server_keys.read().unwrap();
    let criteria = wanted["a.example"]["ed25519:1"];
    assert_eq!(criteria.minimum_valid_until_ts, Some(s.clock.now()));
}

#[tokio::test]
async fn the_notary_is_asked_first_if_that_is_wanted() {
    let s = Setting::new();
    s.relay(&[&s.document(HOUR)]);
    let ring = s.ring(|options| options.order = FetchOrder::NotariesFirst);
    assert!(key_1(&ring).await.is_ok());
    assert_eq!(s.network.calls("a.example"), 0);
    // It does not know this key, so the server itself is asked.
    s.clock.pass(60_000);
    let other = signing_key("2", 2);
    s.origin
        .say(document("a.example", &other, s.clock.now() + DAY));
    let a = name("a.example");
    assert!(ring.request_key(&a, &id("ed25519:2")).await.is_ok());
    assert_eq!(s.network.calls("a.example"), 1);
}

#[tokio::test]
async fn only_the_given_keys_of_a_notary_are_trusted_if_some_are() {
    let s = Setting::new();
    s.network.refuse("a.example");
    s.relay(&[&s.document(HOUR)]);
    let with = |key: &SigningKey| {
        let notary =
            TrustedNotary::new(name("n.example")).with_key(id("ed25519:n"), key.verify_key());
        s.ring(|_| ()).with_notaries(vec![notary])
    };
    assert!(key_1(&with(&s.notary_key)).await.is_ok());
    assert!(key_1(&with(&signing_key("n", 77))).await.is_err());
    // Its own document was of no interest.
    assert_eq!(s.network.calls("n.example"), 2);
}

#[tokio::test]
async fn a_notary_whose_own_keys_have_expired_is_not_believed() {
    let s = Setting::new();
    s.network.refuse("a.example");
    s.relay(&[&s.document(HOUR)]);
    s.notary
        .say(document("n.example", &s.notary_key, s.clock.now() - 1));
    let fault = key_1(&s.ring(|_| ())).await.unwrap_err();
    assert!(fault.to_string().contains("its own keys"), "{fault}");
}

#[tokio::test]
async fn a_notary_does_not_vouch_for_itself_or_for_another_notary() {
    let s = Setting::new();
    let other = Scripted::saying(Bytes::from_static(b"{}"));
    let own = document("n.example", &s.notary_key, s.clock.now() + DAY);
    other.relay(vec![own]);
    s.network.add("o.example", other);
    s.network.refuse("n.example");
    let ring = s.ring(|_| ()).with_notaries(vec![
        TrustedNotary::new(name("n.example")),
        TrustedNotary::new(name("o.example")),
    ]);
    let n = name("n.example");
    assert!(ring.request_key(&n, &id("ed25519:n")).await.is_err());
    assert_eq!(s.network.calls("o.example"), 0);
}

#[tokio::test]
async fn failures_back_off_and_are_asked_about_again() {
    let s = Setting::new();
    s.network.refuse("a.example");
    let ring = KeyRing::new(s.network.client(), options(&s.clock));
    let begun = s.clock.now();
    let mut asked_at = Vec::new();
    while s.clock.now() < begun + DAY / 4 {
        let before = s.network.calls("a.example");
        assert!(key_1(&ring).await.is_err());
        if s.network.calls("a.example") > before {
            asked_at.push((s.clock.now() - begun) / 1000);
        }
        s.clock.pass(1000);
    }
    assert_eq!(asked_at[..8], [0, 10, 30, 70, 150, 310, 630, 1230]);
    let longest = asked_at.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert_eq!(longest, Some(600), "never longer than ten minutes");
    // It is back: one fetch, and the failures are forgotten.
    s.network.mend("a.example");
    s.clock.pass(600_000);
    assert!(key_1(&ring).await.is_ok());
}

#[tokio::test]
async fn made_up_names_displace_no_known_key() {
    let s = Setting::new();
    let ring = KeyRing::new(
        s.network.client(),
        KeyRingOptions {
            memory: 20_000,
            failures: 100,
            ..options(&s.clock)
        },
    );
    key_1(&ring).await.unwrap();
    for n in 0..1_000 {
        let made_up = name(&format!("x{n}.example"));
        assert!(ring.request_key(&made_up, &id("ed25519:1")).await.is_err());
    }
    key_1(&ring).await.unwrap();
    assert_eq!(s.network.calls("a.example"), 1);
}

#[tokio::test]
async fn documents_take_no_more_memory_than_set() {
    let s = Setting::new();
    let ring = KeyRing::new(
        s.network.client(),
        KeyRingOptions {
            memory: 20_000,
            ..options(&s.clock)
        },
    );
    for n in 0..100 {
        let server = format!("x{n}.example");
        let until = s.clock.now() + DAY;
        let said = Scripted::saying(document(&server, &s.key, until));
        s.network.add(&server, said);
        let key = ring.request_key(&name(&server), &id("ed25519:1")).await;
        key.unwrap();
    }
    // moka makes room now and then, and at the latest when it is asked about itself after a while.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let asked = s.network.all_calls();
    for n in 0..100 {
        let server = name(&format!("x{n}.example"));
        ring.request_key(&server, &id("ed25519:1")).await.unwrap();
    }
    let again = s.network.all_calls() - asked;
    assert!(again >= 80, "{again} of a hundred were forgotten");
}

#[tokio::test]
async fn a_document_is_renewed_before_it_runs_out_without_anyone_waiting() {
    let s = Setting::new();
    let ring = s.ring(|_| ());
    key_1(&ring).await.unwrap();
    s.clock.pass(11 * HOUR);
    key_1(&ring).await.unwrap();
    assert_eq!(s.network.calls("a.example"), 1);
    s.clock.pass(2 * HOUR);
    s.origin.say(s.document(DAY));
    s.network.slow("a.example", Duration::from_millis(100));
    let begun = std::time::Instant::now();
    for _ in 0..10 {
        key_1(&ring).await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_millis(100), "nobody waits");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(s.network.calls("a.example"), 2);
    // The first one would have run out by now.
    s.network.refuse("a.example");
    s.clock.pass(20 * HOUR);
    assert!(key_1(&ring).await.is_ok());
}

#[tokio::test]
async fn a_waiter_that_goes_away_does_not_stop_the_fetch() {
    let s = Setting::new();
    s.network.slow("a.example", Duration::from_millis(200));
    let ring = s.ring(|_| ());
    let first = {
        let ring = ring.clone();
        tokio::spawn(async move { key_1(&ring).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = {
        let ring = ring.clone();
        tokio::spawn(async move { key_1(&ring).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    first.abort();
    assert!(second.await.unwrap().is_ok());
    assert_eq!(s.network.calls("a.example"), 1);
    // Also if nobody is left.
    let b = Scripted::saying(document("b.example", &s.key, s.clock.now() + DAY));
    s.network.add("b.example", b);
    s.network.slow("b.example", Duration::from_millis(50));
    let b = name("b.example");
    let key = id("ed25519:1");
    let given_up = ring.request_key(&b, &key);
    let given_up = tokio::time::timeout(Duration::from_millis(10), given_up).await;
    assert!(given_up.is_err());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(ring.request_key(&b, &id("ed25519:1")).await.is_ok());
    assert_eq!(s.network.calls("b.example"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_leaves_time_for_the_notary() {
    let s = Setting::new();
    s.network.silence("a.example");
    s.relay(&[&s.document(HOUR)]);
    let begun = tokio::time::Instant::now();
    assert!(key_1(&s.ring(|_| ())).await.is_ok());
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    // All of them silent: no longer than set.
    s.network.silence("n.example");
    let begun = tokio::time::Instant::now();
    assert!(key_1(&s.ring(|_| ())).await.is_err());
    assert!(begun.elapsed() <= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_notary_that_answered_does_not_wait_long_for_another_that_is_silent() {
    let s = Setting::new();
    s.network.refuse("a.example");
    s.network.silence("o.example");
    s.relay(&[&s.document(HOUR)]);
    let other = TrustedNotary::new(name("o.example"))
        .with_key(id("ed25519:o"), signing_key("o", 8).verify_key());
    let ring = s
        .ring(|_| ())
        .with_notaries(vec![TrustedNotary::new(name("n.example")), other]);
    let begun = tokio::time::Instant::now();
    key_1(&ring).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn many_silent_servers_do_not_stand_in_each_others_way_for_long_nor_without_bound() {
    let s = Setting::new();
    let ring = KeyRing::new(
        s.network.client(),
        KeyRingOptions {
            waiting: 100,
            ..options(&s.clock)
        },
    );
    let begun = tokio::time::Instant::now();
    let waiters: Vec<_> = (0..300)
        .map(|n| {
            let server = format!("x{n}.example");
            s.network.silence(&server);
            let ring = ring.clone();
            tokio::spawn(async move { ring.request_key(&name(&server), &id("ed25519:1")).await })
        })
        .collect();
    let mut too_many = 0;
    for waiter in waiters {
        let fault = waiter.await.unwrap().unwrap_err().to_string();
        too_many += usize::from(fault.contains("keys of 100 servers are being fetched"));
    }
    assert_eq!(too_many, 200);
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    // They have all ended.
    assert!(key_1(&ring).await.is_ok());
}

#[tokio::test]
async fn requests_for_keys_carry_no_credential() {
    let s = Setting::new();
    s.network.refuse("a.example");
    s.relay(&[&s.document(HOUR)]);
    key_1(&s.ring(|_| ())).await.unwrap();
    assert!(s.network.all_calls() >= 3);
    assert!(s.network.signed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn made_up_names_keep_no_known_document_from_being_renewed() {
    let s = Setting::new();
    let ring = KeyRing::new(
        s.network.client(),
        KeyRingOptions {
            fetches: 4,
            waiting: 20,
            ..options(&s.clock)
        },
    );
    key_1(&ring).await.unwrap();
    s.clock.pass(2 * DAY);
    s.origin.say(s.document(DAY));
    let strangers: Vec<_> = (0..20)
        .map(|n| {
            let server = format!("x{n}.example");
            s.network.silence(&server);
            let ring = ring.clone();
            tokio::spawn(async move { ring.request_key(&name(&server), &id("ed25519:1")).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = tokio::time::Instant::now();
    key_1(&ring).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for stranger in strangers {
        assert!(stranger.await.unwrap().is_err());
    }
}

/// A store that has one document.
#[derive(Debug)]
struct Holds(StoredKeys);

#[async_trait::async_trait]
impl KeyStore for Holds {
    async fn load(
        &self,
        server: &comity_core::ServerName,
    ) -> Result<Option<StoredKeys>, KeyStoreError> {
        Ok((server.as_str() == "a.example").then(|| self.0.clone()))
    }

    async fn save(&self, _: &comity_core::ServerName, _: StoredKeys) -> Result<(), KeyStoreError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn made_up_names_after_a_restart_shut_out_nobody_whom_the_store_knows() {
    let s = Setting::new();
    let store = Holds(StoredKeys {
        document: s.document(DAY),
        fetched_at: s.clock.now(),
        direct: true,
    });
    let limits = KeyRingOptions {
        waiting: 5,
        ..options(&s.clock)
    };
    let ring = KeyRing::new(s.network.client(), limits).with_store(Arc::new(store));
    for n in 0..5 {
        let server = format!("x{n}.example");
        s.network.silence(&server);
        let ring = ring.clone();
        tokio::spawn(async move { ring.request_key(&name(&server), &id("ed25519:1")).await });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stranger = name("x9.example");
    assert!(ring.request_key(&stranger, &id("ed25519:1")).await.is_err());
    key_1(&ring).await.unwrap();
    assert_eq!(s.network.calls("a.example"), 0);
}

/// A disk that does not answer.
#[derive(Debug)]
struct Stalled;

#[async_trait::async_trait]
impl KeyStore for Stalled {
    async fn load(&self, _: &comity_core::ServerName) -> Result<Option<StoredKeys>, KeyStoreError> {
        std::future::pending().await
    }

    async fn save(&self, _: &comity_core::ServerName, _: StoredKeys) -> Result<(), KeyStoreError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stalls_costs_a_bounded_time() {
    let s = Setting::new();
    let ring = s.ring(|_| ()).with_store(Arc::new(Stalled));
    let begun = tokio::time::Instant::now();
    key_1(&ring).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_millis(2500));
    key_1(&ring).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_millis(2500));
    assert_eq!(s.network.calls("a.example"), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_joins_a_fetch_for_another_key_is_asked_for_his_own() {
    let s = Setting::new();
    s.relay(&[&s.document(HOUR)]);
    let ring = s.ring(|options| options.order = FetchOrder::NotariesFirst);
    key_1(&ring).await.unwrap();
    // The server has a second key, of which the notary has not heard; somebody's use renews the first.
    let (a, second) = (name("a.example"), signing_key("2", 2));
    let both = KeyDocument::new(a.clone(), s.clock.now() + DAY).sign(&[&s.key, &second]);
    s.origin.say(both.unwrap());
    s.clock.pass(HOUR / 2 + 1);
    s.relay(&[&s.document(HOUR)]);
    s.network.slow("n.example", Duration::from_millis(100));
    key_1(&ring).await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(s.network.calls("a.example"), 0);
    let waiters = (0..50).map(|_| {
        let (ring, a) = (ring.clone(), a.clone());
        tokio::spawn(async move { ring.request_key(&a, &id("ed25519:2")).await })
    });
    for waiter in waiters.collect::<Vec<_>>() {
        assert_eq!(waiter.await.unwrap().unwrap(), second.verify_key());
    }
    assert_eq!(s.network.calls("a.example"), 1);
}

#[tokio::test(start_paused = true)]
async fn made_up_keys_that_join_a_fetch_make_one_more_at_most() {
    let s = Setting::new();
    s.relay(&[&s.document(HOUR)]);
    s.network.refuse("a.example");
    s.network.slow("n.example", Duration::from_millis(100));
    let ring = s.ring(|options| options.order = FetchOrder::NotariesFirst);
    let a = name("a.example");
    let mut waiters = Vec::new();
    for n in 0..100 {
        let (ring, a) = (ring.clone(), a.clone());
        let key = id(&format!("ed25519:x{n}"));
        waiters.push(tokio::spawn(
            async move { ring.request_key(&a, &key).await },
        ));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for waiter in waiters {
        assert!(waiter.await.unwrap().is_err());
    }
    assert_eq!(s.network.calls("a.example"), 2);
}
