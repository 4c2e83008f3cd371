//! Which binding is chosen, by whose word.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use comity_core::{
    error::{Delivery, TransportErrorKind as Kind},
    transport::{FallbackReason, Offers, Policies, Policy, Select, SelectOptions, Transport, Why},
};
use tokio::time::Instant;

use super::{
    GRPC, HTTP, Two, prefer,
    wires::{Act, Source, Wire, offer, send, settle, to, version},
};

#[tokio::test]
async fn without_policy_or_offer_calls_go_by_the_baseline() {
    let two = Two::new(Vec::new(), SelectOptions::default());
    two.select.send(version()).await.unwrap();
    assert_eq!(two.counts(), (1, 0));
    let status = two.status().await;
    assert_eq!((status.binding, status.why), (Some(HTTP), Why::Baseline));
}

#[tokio::test]
async fn an_offer_is_taken_with_its_target_for_that_binding_alone() {
    let two = Two::offering(Some("192.0.2.1:8448")).await;
    two.grpc.next(Act::Fail(Kind::Connect, Delivery::NotSent));
    two.select.send(version()).await.unwrap();
    assert_eq!(two.counts(), (2, 1));
    let connect_to = two.grpc.seen()[0].connect_to.clone();
    assert_eq!(connect_to.as_deref(), Some("192.0.2.1:8448"));
    assert!(two.http.seen().iter().all(|seen| seen.connect_to.is_none()));
}

#[tokio::test]
async fn a_policys_target_is_for_every_binding() {
    let two = Two::offering(Some("192.0.2.1:8448")).await;
    two.select.set_policies(Policies {
        peers: [(
            to(),
            Policy {
                connect_to: Some("192.0.2.9:1".parse().unwrap()),
                ..Policy::default()
            },
        )]
        .into(),
        ..Policies::default()
    });
    two.grpc.next(Act::Fail(Kind::Connect, Delivery::NotSent));
    two.select.send(version()).await.unwrap();
    for wire in [&two.http, &two.grpc] {
        let seen = wire.seen();
        let connect_to = &seen.last().unwrap().connect_to;
        assert_eq!(connect_to.as_deref(), Some("192.0.2.9:1"));
    }
}

#[tokio::test]
async fn the_policy_stands_above_the_offer_and_the_switch_above_both() {
    let two = Two::offering(None).await;
    two.select.set_policies(prefer(HTTP, false));
    two.select.send(version()).await.unwrap();
    assert_eq!(two.counts(), (2, 0));
    for mut policies in [Policies::default(), prefer(GRPC, false)] {
        policies.disabled = [GRPC.to_owned()].into();
        two.select.set_policies(policies);
        two.select.send(version()).await.unwrap();
        assert_eq!(two.grpc.count(), 0);
    }
    assert_eq!(two.status().await.why, Why::Unavailable);
    two.select.set_policies(Policies::default());
    two.select.send(version()).await.unwrap();
    assert_eq!(two.grpc.count(), 1);
    assert_eq!(two.status().await.why, Why::Offered("signed"));
}

#[tokio::test]
async fn a_hint_adds_and_neither_replaces_nor_removes() {
    // The hint names another place for what is signed, moves the baseline, and adds a binding.
    let signed = Source::new("signed", vec![offer(GRPC, Some("192.0.2.1:1"))]);
    let hint = Source::new(
        "hint",
        vec![
            offer(HTTP, Some("203.0.113.6:6")),
            offer(GRPC, Some("203.0.113.6:6")),
            offer("quic/1", Some("203.0.113.7:7")),
        ],
    );
    let (http, grpc) = (Wire::new(HTTP, Act::Reply), Wire::new(GRPC, Act::Reply));
    let quic = Wire::new("quic/1", Act::Reply);
    let sources: Vec<Arc<dyn Offers>> = vec![signed.clone(), hint.clone()];
    let others: Vec<Arc<dyn Transport>> = vec![grpc.clone(), quic.clone()];
    let select = Select::new(http.clone(), others, sources, SelectOptions::default());
    select.send(version()).await.unwrap();
    settle().await;
    select.send(version()).await.unwrap();
    assert_eq!(
        grpc.seen()[0].connect_to.as_deref(),
        Some("192.0.2.1:1"),
        "the signed place counts"
    );
    // The signed one fails: what the hint adds is next, and the baseline is where it was.
    grpc.always(Act::Fail(Kind::Connect, Delivery::NotSent));
    select.send(version()).await.unwrap();
    assert_eq!((http.count(), grpc.count(), quic.count()), (2, 2, 0));
    quic.always(Act::Fail(Kind::Tls, Delivery::NotSent));
    select.send(version()).await.unwrap();
    assert_eq!(quic.seen()[0].connect_to.as_deref(), Some("203.0.113.7:7"));
    assert!(http.seen().iter().all(|seen| seen.connect_to.is_none()));
    assert_eq!(http.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_signed_set_outlives_a_source_that_falls_silent_until_it_expires() {
    let start = Instant::now();
    let options = SelectOptions {
        now: Arc::new(move || i64::try_from(start.elapsed().as_millis()).unwrap()),
        ..SelectOptions::default()
    };
    let hour = 3_600_000;
    let signed = Source::until("signed", vec![offer(GRPC, None)], hour);
    let hint = Source::until("hint", Vec::new(), i64::MAX);
    let two = Two::new(vec![signed.clone(), hint.clone()], options);
    two.learn().await;
    *signed.says.lock().unwrap() = None;
    for (minute, by_grpc) in [(1, true), (46, true), (47, true), (59, true), (61, false)] {
        tokio::time::sleep_until(start + Duration::from_secs(minute * 60)).await;
        let before = two.grpc.count();
        two.select.send(version()).await.unwrap();
        settle().await;
        assert_eq!(two.grpc.count() > before, by_grpc, "minute {minute}");
    }
    assert!(signed.asked() >= 2);
}

#[tokio::test(start_paused = true)]
async fn no_call_waits_for_a_source_and_one_look_up_serves_all() {
    let source = Source::new("signed", vec![offer(GRPC, None)]);
    *source.takes.lock().unwrap() = Duration::from_secs(3600);
    let two = Two::new(vec![source.clone()], SelectOptions::default());
    let begun = Instant::now();
    let calls = (0..100).map(|_| two.select.send(version()));
    for result in futures_util::future::join_all(calls).await {
        result.unwrap();
    }
    settle().await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!((two.counts(), source.asked()), ((100, 0), 1));
    // The look-up ends by its clock, and is not begun again at once.
    tokio::time::sleep(Duration::from_secs(16)).await;
    two.select.send(version()).await.unwrap();
    settle().await;
    assert_eq!(source.asked(), 1);
    *source.takes.lock().unwrap() = Duration::ZERO;
    tokio::time::sleep(Duration::from_secs(120)).await;
    two.select.send(version()).await.unwrap();
    settle().await;
    two.select.send(version()).await.unwrap();
    assert_eq!((source.asked(), two.grpc.count()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn look_ups_are_bounded_in_number() {
    let source = Source::new("signed", Vec::new());
    *source.takes.lock().unwrap() = Duration::from_secs(3600);
    let options = SelectOptions {
        look_ups: 3,
        ..SelectOptions::default()
    };
    let two = Two::new(vec![source.clone()], options);
    for number in 0..10 {
        let mut call = version();
        call.context_mut().destination = Some(format!("s{number}.example").parse().unwrap());
        two.select.send(call).await.unwrap();
    }
    settle().await;
    assert_eq!(source.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_lives_for_no_time_is_asked_for_once_a_minute() {
    let source = Source::until("hint", vec![offer(GRPC, None)], 0);
    let two = Two::new(vec![source.clone()], SelectOptions::default());
    for _ in 0..1000 {
        two.select.send(version()).await.unwrap();
        settle().await;
    }
    assert_eq!((source.asked(), two.grpc.count()), (1, 0));
    tokio::time::sleep(Duration::from_secs(61)).await;
    two.select.send(version()).await.unwrap();
    settle().await;
    assert_eq!(source.asked(), 2);
}

/// A source of an author who makes mistakes.
#[derive(Debug, Default)]
struct Panics(std::sync::atomic::AtomicUsize);

#[async_trait::async_trait]
impl Offers for Panics {
    fn source(&self) -> &'static str {
        "hint"
    }
    async fn offered(
        &self,
        _: &comity_core::ServerName,
    ) -> Option<comity_core::transport::Offered> {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("a bug")
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_harms_no_call_and_is_asked_again_later() {
    let source = Arc::new(Panics::default());
    let two = Two::new(vec![source.clone()], SelectOptions::default());
    for asked in 1..4 {
        two.select.send(version()).await.unwrap();
        settle().await;
        assert_eq!(source.0.load(Ordering::SeqCst), asked);
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_call_that_is_forbidden_the_baseline_waits_for_the_look_up() {
    let source = Source::new("signed", vec![offer(GRPC, None)]);
    *source.takes.lock().unwrap() = Duration::from_secs(2);
    let two = Two::new(vec![source.clone()], SelectOptions::default());
    two.select.set_policies(Policies {
        default: Policy {
            required: true,
            ..Policy::default()
        },
        ..Policies::default()
    });
    two.select.send(version()).await.unwrap();
    assert_eq!(two.counts(), (0, 1));
    // No longer than to its deadline.
    *source.takes.lock().unwrap() = Duration::from_secs(3600);
    let begun = Instant::now();
    let mut call = version();
    call.context_mut().destination = Some("d.example".parse().unwrap());
    call.context_mut()
        .limit_deadline(begun + Duration::from_secs(1));
    two.select.send(call).await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    *source.takes.lock().unwrap() = Duration::from_secs(2);
    // Where nothing is offered it fails, and waits once.
    source.says.lock().unwrap().take();
    let mut call = version();
    call.context_mut().destination = Some("c.example".parse().unwrap());
    let error = two.select.send(call).await.unwrap_err();
    assert_eq!(error.delivery(), Some(Delivery::NotSent));
    assert_eq!(two.counts(), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_fails_is_left_alone_from_a_minute_to_an_hour() {
    let two = Two::preferring();
    two.grpc.always(Act::Fail(Kind::Connect, Delivery::NotSent));
    let mut waits = Vec::new();
    for tries in 1..=10 {
        two.select.send(version()).await.unwrap();
        assert_eq!(two.grpc.count(), tries);
        let status = two.status().await;
        assert_eq!((status.binding, status.why), (Some(HTTP), Why::BackingOff));
        // Meanwhile nothing is dialled.
        two.select.send(version()).await.unwrap();
        assert_eq!(two.grpc.count(), tries);
        let wait = status.bindings[1].backing_off.unwrap();
        waits.push(wait);
        tokio::time::sleep(wait).await;
    }
    assert!((60.0..=84.0).contains(&waits[0].as_secs_f64()), "{waits:?}");
    assert!(waits[3] > waits[0] * 4, "{waits:?}");
    assert!(*waits.iter().max().unwrap() <= Duration::from_secs(3600));
    assert!(waits[9] > Duration::from_secs(2500), "{waits:?}");
    // It works again: all is forgotten.
    two.grpc.always(Act::Reply);
    two.select.send(version()).await.unwrap();
    let status = two.status().await;
    assert_eq!(status.binding, Some(GRPC));
    assert_eq!(status.bindings[1].failures, 0);
    assert_eq!(status.bindings[1].fallbacks[&FallbackReason::Connect], 10);
    assert_eq!(
        status.bindings[1].fallbacks[&FallbackReason::BackingOff],
        10
    );
    // The baseline is no worse for it.
    assert_eq!(status.bindings[0].errors, 0);
}

#[tokio::test(start_paused = true)]
async fn after_the_wait_one_call_finds_out_for_all() {
    let two = Two::preferring();
    two.grpc.next(Act::Fail(Kind::Connect, Delivery::NotSent));
    two.grpc
        .always(Act::After(Duration::from_secs(1), Box::new(Act::Reply)));
    two.select.send(version()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let calls = (0..50).map(|_| two.select.send(version()));
    for result in futures_util::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!(two.counts(), (50, 2));
    two.select.send(version()).await.unwrap();
    assert_eq!(two.counts(), (50, 3));
}

#[tokio::test(start_paused = true)]
async fn who_finds_out_is_answered_and_others_follow_before_the_reply_has_ended() {
    let two = Two::preferring();
    two.grpc.next(Act::Fail(Kind::Connect, Delivery::NotSent));
    two.select.send(version()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let streaming = two.select.send(super::wires::media()).await.unwrap();
    two.select.send(version()).await.unwrap();
    assert_eq!(two.counts(), (1, 3));
    drop(streaming);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_lets_the_next_call_find_out() {
    let two = Two::preferring();
    two.grpc.next(Act::Fail(Kind::Connect, Delivery::NotSent));
    two.grpc.next(Act::Hang);
    two.select.send(version()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let probe = two.select.send(version());
    assert!(
        tokio::time::timeout(Duration::from_secs(1), probe)
            .await
            .is_err()
    );
    two.select.send(version()).await.unwrap();
    assert_eq!(two.counts(), (1, 3));
    assert_eq!(two.status().await.bindings[1].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_together_are_one_failure() {
    let two = Two::preferring();
    two.grpc.always(Act::After(
        Duration::from_secs(1),
        Box::new(Act::Fail(Kind::Connect, Delivery::NotSent)),
    ));
    let calls = (0..50).map(|_| two.select.send(version()));
    futures_util::future::join_all(calls).await;
    let status = two.status().await;
    assert_eq!(status.bindings[1].failures, 1);
    assert!(status.bindings[1].backing_off.unwrap() <= Duration::from_secs(84));
}

#[tokio::test]
async fn another_place_is_another_chance() {
    let two = Two::preferring();
    two.grpc.always(Act::Fail(Kind::Connect, Delivery::NotSent));
    two.select.send(version()).await.unwrap();
    two.select.send(version()).await.unwrap();
    assert_eq!(two.grpc.count(), 1);
    let mut policies = prefer(GRPC, false);
    policies.default.connect_to = Some("192.0.2.1:1".parse().unwrap());
    two.select.set_policies(policies);
    two.grpc.always(Act::Reply);
    two.select.send(version()).await.unwrap();
    assert_eq!(two.grpc.count(), 2);
    assert_eq!(two.status().await.binding, Some(GRPC));
}

#[tokio::test]
async fn a_binding_that_cannot_carry_one_call_may_carry_another() {
    let unsupported = Act::Fail(Kind::Unsupported, Delivery::NotSent);
    // It never worked: it is not spoken there.
    let two = Two::preferring();
    two.grpc.always(unsupported.clone());
    two.select.send(version()).await.unwrap();
    assert_eq!(two.status().await.binding, Some(HTTP));
    // It did: the call is odd. Three in a row say more.
    let two = Two::preferring();
    two.select.send(version()).await.unwrap();
    for tries in 0..3 {
        assert_eq!(two.status().await.binding, Some(GRPC), "{tries}");
        two.grpc.next(unsupported.clone());
        two.select.send(version()).await.unwrap();
    }
    assert_eq!(two.status().await.binding, Some(HTTP));
}

#[tokio::test]
async fn a_disabled_baseline_is_not_used_either() {
    let two = Two::preferring();
    two.select.set_policies(Policies {
        disabled: [HTTP.to_owned()].into(),
        ..prefer(GRPC, false)
    });
    two.grpc.always(Act::Fail(Kind::Connect, Delivery::NotSent));
    two.select.send(send()).await.unwrap_err();
    two.select.send(send()).await.unwrap_err();
    assert_eq!(two.counts(), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn where_the_policy_names_a_binding_and_no_place_the_offer_says_where() {
    let source = Source::new("signed", vec![offer(GRPC, Some("192.0.2.1:1"))]);
    *source.takes.lock().unwrap() = Duration::from_secs(1);
    for required in [false, true] {
        let two = Two::new(vec![source.clone()], SelectOptions::default());
        two.select.set_policies(prefer(GRPC, required));
        two.select.send(version()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        two.select.send(version()).await.unwrap();
        let seen = two.grpc.seen();
        let places: Vec<_> = seen.iter().map(|seen| seen.connect_to.as_deref()).collect();
        // A call that may go by the baseline does not wait to learn it.
        let first = required.then_some("192.0.2.1:1");
        assert_eq!(places, [first, Some("192.0.2.1:1")]);
    }
    // With a place of the operator's own, nobody is asked.
    let asked = source.asked();
    let two = Two::new(vec![source.clone()], SelectOptions::default());
    let mut policies = prefer(GRPC, true);
    policies.default.connect_to = Some("192.0.2.9:9".parse().unwrap());
    two.select.set_policies(policies);
    two.select.send(version()).await.unwrap();
    settle().await;
    assert_eq!(source.asked(), asked);
    assert_eq!(
        two.grpc.seen()[0].connect_to.as_deref(),
        Some("192.0.2.9:9")
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_offered_and_has_never_answered_is_tried_by_one_call_first() {
    let two = Two::offering(Some("192.0.2.1:1")).await;
    let connect = Duration::from_secs(3);
    two.grpc.always(Act::After(
        connect,
        Box::new(Act::Fail(Kind::Connect, Delivery::NotSent)),
    ));
    // A stale target costs one failed dial and a fallback, whatever the load.
    let begun = Instant::now();
    let calls = (0..50).map(|_| async {
        two.select.send(version()).await.unwrap();
        begun.elapsed()
    });
    let times = futures_util::future::join_all(calls).await;
    assert_eq!(two.counts(), (51, 1));
    assert_eq!(times.iter().filter(|time| **time < connect).count(), 49);
    let fallbacks = two.status().await.bindings[1].fallbacks.clone();
    assert_eq!(fallbacks[&FallbackReason::Unproven], 49);
    // Once it has answered, all go by it, and do not wait for that reply's end.
    let two = Two::offering(None).await;
    let streaming = two.select.send(super::wires::media()).await.unwrap();
    let calls = (0..50).map(|_| two.select.send(version()));
    futures_util::future::join_all(calls).await;
    assert_eq!(two.counts(), (1, 51));
    drop(streaming);
}
