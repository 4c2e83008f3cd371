//! Which keys events make a server ask for, and how many at most.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use comity_core::{
    ServerName,
    auth::{FetchedKeys, KeyFault, KeyId, KeySource, VerifyKey, now_ms},
    event::{KeyLimits, fetch_event_keys, needed_keys},
};

use crate::setting::{house, message, version};

/// Answers for every server with one server's document, or with nothing for ever.
#[derive(Debug, Default)]
struct Source {
    answer: Option<FetchedKeys>,
    asked: AtomicUsize,
}

#[async_trait]
impl KeySource for Source {
    async fn request_key(&self, _: &ServerName, _: &KeyId) -> Result<VerifyKey, KeyFault> {
        Err(KeyFault::Unknown)
    }

    async fn event_keys(
        &self,
        _: &ServerName,
        _: &BTreeSet<KeyId>,
    ) -> Result<FetchedKeys, KeyFault> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match &self.answer {
            Some(answer) => Ok(answer.clone()),
            None => std::future::pending().await,
        }
    }
}

fn servers(count: usize) -> BTreeMap<ServerName, BTreeSet<KeyId>> {
    (0..count)
        .map(|number| {
            (
                format!("s{number}.example").parse().unwrap(),
                BTreeSet::new(),
            )
        })
        .collect()
}

#[test]
fn the_signers_of_events_are_needed_with_the_keys_that_signed() {
    let version = version("12");
    let (one, two) = (house("one.example"), house("two.example"));
    let events = [
        one.event(&*version, &message("one.example", "a")).1,
        one.event(&*version, &message("one.example", "b")).1,
        // Signed by another than its sender's server.
        one.event(&*version, &message("two.example", "c")).1,
    ];
    let needed = needed_keys(&*version, &events);
    let key: KeyId = "ed25519:1".parse().unwrap();
    assert_eq!(
        needed,
        BTreeMap::from([
            (one.name, BTreeSet::from([key])),
            (two.name, BTreeSet::new())
        ])
    );
}

#[tokio::test]
async fn no_more_servers_are_asked_than_the_limit() {
    let one = house("s0.example");
    let source = Source {
        answer: Some(FetchedKeys {
            keys: one.document(),
            at: now_ms(),
        }),
        ..Source::default()
    };
    let limits = KeyLimits {
        servers: 3,
        ..KeyLimits::default()
    };
    let set = fetch_event_keys(&source, servers(10), limits).await;
    assert_eq!(source.asked.load(Ordering::SeqCst), 3);
    assert_eq!(set.passed_over(), 7);
    // A document of another server is nobody's.
    assert!(set.contains(&one.name));
    assert_eq!(set.faults().count(), 2);
    for (_, why) in set.faults() {
        assert_eq!(why, "the document is of s0.example");
    }
}

#[tokio::test(start_paused = true)]
async fn servers_that_do_not_answer_cost_one_bounded_time_together() {
    let begun = tokio::time::Instant::now();
    let limits = KeyLimits {
        time: Duration::from_secs(5),
        at_once: 4,
        ..KeyLimits::default()
    };
    let source = Source::default();
    let set = fetch_event_keys(&source, servers(100), limits).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(source.asked.load(Ordering::SeqCst), 4);
    assert_eq!(set.faults().count(), 100);
}
