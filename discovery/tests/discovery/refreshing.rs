//! How long `.well-known` documents are kept, and when they are asked for again.

use std::time::Duration;

use comity_discovery::Discovery;
use futures_util::future::join_all;

use crate::setting::{World, eventually, resolve};

/// A network where `a.test` delegates to `192.0.2.1`, with these headers.
async fn world_with(headers: &[(&'static str, &str)]) -> (World, Discovery) {
    let world = World::new(&["a.test"]).await;
    world.dns.host_for("a.test", &["127.0.0.1"], 604_800);
    world.web.delegates("a.test", "192.0.2.1", headers);
    let discovery = world.discovery();
    (world, discovery)
}

/// The `Host` that is resolved to.
async fn host(discovery: &Discovery) -> String {
    resolve(discovery, "a.test").await.unwrap().host
}

/// Whether the server is asked again after this long, by one call.
async fn asked_after(seconds: u64, headers: &[(&'static str, &str)]) -> bool {
    let (world, discovery) = world_with(headers).await;
    host(&discovery).await;
    assert_eq!(world.web.asked("a.test"), 1);
    world.clock.pass_secs(seconds);
    host(&discovery).await;
    // A refresh in the background needs a moment to be seen, and its absence too.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.web.asked("a.test") > 1
}

const HOUR: u64 = 3600;

#[tokio::test]
async fn without_headers_a_document_is_kept_for_a_day_give_or_take_a_tenth() {
    // The least: nine tenths of a day, of which the last fifth is for the refresh.
    assert!(!asked_after(17 * HOUR, &[]).await);
    assert!(asked_after(27 * HOUR, &[]).await);
}

#[tokio::test]
async fn headers_say_how_long_within_bounds() {
    let max_age = |text| vec![("cache-control", text)];
    // By the sender's clock.
    let expires = vec![
        ("expires", "Tue, 02 Jan 2024 10:00:00 GMT"),
        ("date", "Tue, 02 Jan 2024 00:00:00 GMT"),
    ];
    for (headers, kept, gone) in [
        (max_age("max-age=36000"), 28_700, 28_800),
        (max_age("max-age=1"), 239, 240),
        (max_age("no-store"), 239, 240),
        (max_age("max-age=99999999999"), 38 * HOUR, 39 * HOUR),
        (expires, 28_700, 28_800),
        (vec![("expires", "0")], 239, 240),
    ] {
        assert!(!asked_after(kept, &headers).await, "{headers:?}");
        assert!(asked_after(gone, &headers).await, "{headers:?}");
    }
}

#[tokio::test]
async fn in_its_last_fifth_a_document_serves_while_it_is_refreshed() {
    let (world, discovery) = world_with(&[("cache-control", "max-age=36000")]).await;
    assert_eq!(host(&discovery).await, "192.0.2.1");
    world.web.delegates("a.test", "192.0.2.2", &[]);
    world.web.pause(Duration::from_millis(300));
    world.clock.pass_secs(29_000);
    // Nobody waits, and one request goes out for all.
    for _ in 0..20 {
        assert_eq!(host(&discovery).await, "192.0.2.1");
    }
    eventually("it is refreshed", || world.web.asked("a.test") == 2).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(host(&discovery).await, "192.0.2.2");
    assert_eq!(world.web.asked("a.test"), 2);
}

#[tokio::test]
async fn a_refresh_that_fails_for_the_moment_takes_nothing_away_before_the_end() {
    let (world, discovery) = world_with(&[("cache-control", "max-age=36000")]).await;
    host(&discovery).await;
    world.web.status("a.test", 503);
    world.clock.pass_secs(29_000);
    assert_eq!(host(&discovery).await, "192.0.2.1");
    eventually("it is tried three times", || world.web.asked("a.test") == 4).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Then not for two minutes.
    world.clock.pass_secs(100);
    assert_eq!(host(&discovery).await, "192.0.2.1");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(world.web.asked("a.test"), 4);
    world.clock.pass_secs(40);
    assert_eq!(host(&discovery).await, "192.0.2.1");
    eventually("it is tried again", || world.web.asked("a.test") == 7).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    // At its end it is gone.
    world.clock.pass_secs(7_000);
    assert_eq!(host(&discovery).await, "a.test");
}

#[tokio::test]
async fn a_document_that_was_withdrawn_is_believed_to_be() {
    let (world, discovery) = world_with(&[("cache-control", "max-age=36000")]).await;
    host(&discovery).await;
    world.web.status("a.test", 404);
    world.clock.pass_secs(29_000);
    host(&discovery).await;
    eventually("it is asked for", || world.web.asked("a.test") == 2).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(host(&discovery).await, "a.test");
    assert_eq!(world.web.asked("a.test"), 2);
}

#[tokio::test]
async fn a_server_that_had_a_document_is_asked_three_times_and_soon_again() {
    let (world, discovery) = world_with(&[("cache-control", "max-age=600")]).await;
    host(&discovery).await;
    world.clock.pass_secs(601);
    world.web.status("a.test", 500);
    assert_eq!(host(&discovery).await, "a.test");
    assert_eq!(world.web.asked("a.test"), 4);
    world.clock.pass_secs(100);
    assert_eq!(host(&discovery).await, "a.test");
    assert_eq!(world.web.asked("a.test"), 4);
    world.web.delegates("a.test", "192.0.2.3", &[]);
    world.clock.pass_secs(40);
    assert_eq!(host(&discovery).await, "192.0.2.3");
}

#[tokio::test]
async fn a_document_that_is_not_there_is_asked_for_ever_less_often_and_hourly_at_least() {
    let (world, discovery) = world_with(&[]).await;
    world.web.status("a.test", 404);
    assert_eq!(host(&discovery).await, "a.test");
    let mut pauses = Vec::new();
    let mut minutes = 0;
    while pauses.len() < 7 {
        let before = world.web.asked("a.test");
        world.clock.pass_secs(60);
        minutes += 1;
        host(&discovery).await;
        if world.web.asked("a.test") > before {
            pauses.push(minutes);
            minutes = 0;
        }
    }
    // 5, 10, 20, 40 and 60 min, each give or take a tenth and up to a minute of this test's own.
    for (pause, (least, most)) in pauses.iter().zip([
        (4, 6),
        (9, 12),
        (18, 23),
        (36, 45),
        (54, 60),
        (54, 60),
        (54, 60),
    ]) {
        assert!((least..=most).contains(pause), "{pauses:?}");
    }
}

#[tokio::test]
async fn many_who_ask_at_once_cause_one_request_which_outlives_who_began_it() {
    let (world, discovery) = world_with(&[]).await;
    world.web.pause(Duration::from_millis(300));
    let first = tokio::time::timeout(Duration::from_millis(100), resolve(&discovery, "a.test"));
    assert!(first.await.is_err());
    // The case of a name does not make it another host.
    let names = ["a.test", "A.test", "a.TEST"];
    let all = join_all((0..99).map(|n| resolve(&discovery, names[n % 3]))).await;
    assert!(
        all.iter()
            .all(|one| one.as_ref().unwrap().host == "192.0.2.1")
    );
    assert_eq!(world.web.arrived().len(), 1);
}

#[tokio::test]
async fn a_document_from_before_the_clock_was_set_back_is_asked_for_again() {
    let (world, discovery) = world_with(&[("cache-control", "max-age=36000")]).await;
    host(&discovery).await;
    world.clock.set_back(Duration::from_secs(1_000_000));
    world.web.delegates("a.test", "192.0.2.2", &[]);
    assert_eq!(host(&discovery).await, "192.0.2.2");
}
