//! Looking up what a destination offers: when, and who waits for it.

use std::{sync::Arc, time::Duration};

use comity_core::transport::{Policies, Policy, SelectOptions, Transport};
use tokio::time::Instant;

use super::{
    GRPC, Two,
    wires::{Source, offer, settle, version},
};

/// Options whose clock is the runtime's.
fn paused() -> SelectOptions {
    let start = Instant::now();
    SelectOptions {
        now: Arc::new(move || i64::try_from(start.elapsed().as_millis()).unwrap()),
        ..SelectOptions::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_once_does_not_wait_for_the_others() {
    let options = paused();
    let day = 24 * 3_600_000;
    let signed = Source::until("signed", vec![offer(GRPC, None)], 2 * day);
    let hint = Source::until("hint", Vec::new(), day);
    let said = signed.says.lock().unwrap().take();
    let two = Two::new(vec![signed.clone(), hint.clone()], options);
    two.learn().await;
    *signed.says.lock().unwrap() = said;
    // The first time in vain costs two minutes at most.
    tokio::time::sleep(Duration::from_secs(121)).await;
    two.learn().await;
    two.select.send(version()).await.unwrap();
    assert_eq!(two.grpc.count(), 1);
    assert_eq!((signed.asked(), hint.asked()), (2, 1));
}

fn required(of: &str) -> Policies {
    let policy = Policy {
        required: true,
        ..Policy::default()
    };
    Policies {
        peers: [(of.parse().unwrap(), policy)].into(),
        ..Policies::default()
    }
}

/// The choice with every turn to look something up taken, for `takes`.
async fn with_no_turn_left(takes: Duration) -> Two {
    let source = Source::new("signed", vec![offer(GRPC, None)]);
    *source.takes.lock().unwrap() = takes;
    let two = Two::new(vec![source.clone()], SelectOptions::default());
    for number in 0..64 {
        let mut call = version();
        call.context_mut().destination = Some(format!("n{number}.example").parse().unwrap());
        two.select.send(call).await.unwrap();
    }
    two.select.set_policies(required("b.example"));
    settle().await;
    two
}

#[tokio::test(start_paused = true)]
async fn a_call_that_needs_the_offers_waits_for_a_turn_to_look_them_up() {
    let takes = Duration::from_secs(14);
    let two = with_no_turn_left(takes).await;
    let begun = Instant::now();
    let calls = (0..3).map(|_| two.select.send(version()));
    for reply in futures_util::future::join_all(calls).await {
        reply.unwrap();
    }
    assert_eq!(begun.elapsed(), 2 * takes);
    assert_eq!(two.grpc.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_had_no_turn_in_time_is_told_so() {
    let two = with_no_turn_left(Duration::from_secs(14)).await;
    let begun = Instant::now();
    let mut call = version();
    call.context_mut()
        .limit_deadline(begun + Duration::from_secs(5));
    let error = two.select.send(call).await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    let message = error.to_string();
    assert!(
        message.contains("64") && message.contains("look_ups"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_required_server_is_found_again_within_a_minute_of_its_return() {
    let source = Source::new("signed", vec![offer(GRPC, None)]);
    // Another source that answers changes nothing.
    let hint = Source::new("hint", Vec::new());
    let said = source.says.lock().unwrap().take();
    let two = Two::new(vec![source.clone(), hint], SelectOptions::default());
    two.select.set_policies(required("b.example"));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4 * 3600) {
        two.select.send(version()).await.unwrap_err();
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    assert!(source.asked() <= 4 * 60 + 1, "{}", source.asked());
    *source.says.lock().unwrap() = said;
    let back = Instant::now();
    while two.select.send(version()).await.is_err() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(
        back.elapsed() <= Duration::from_secs(60),
        "{:?}",
        back.elapsed()
    );
}
