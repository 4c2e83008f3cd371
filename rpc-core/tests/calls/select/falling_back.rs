//! When a call goes by another binding, and when it does not.

use std::time::Duration;

use comity_core::{
    auth::Sign,
    call::{Call, Reply},
    error::{CallError, Delivery, FederationError, TransportErrorKind as Kind},
    layers::{Clocks, Flow, Side},
    transport::{FallbackReason, Policies, SelectOptions, Transport, TransportService},
};
use futures_util::StreamExt;
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt};

use super::{
    GRPC, HTTP, Two, prefer,
    wires::{Act, claim, media, send, version},
};
use crate::homeserver::{key, name};

fn calls() -> [(Call, bool); 3] {
    [(claim(), false), (version(), true), (send(), true)]
}

fn delivery(error: &CallError) -> Option<Delivery> {
    error.delivery()
}

#[tokio::test]
async fn what_was_not_processed_falls_back_whatever_it_is() {
    for given in [Delivery::NotSent, Delivery::Rejected] {
        for (call, _) in calls() {
            let two = Two::preferring();
            two.grpc.always(Act::Fail(Kind::Closed, given));
            two.select.send(call).await.unwrap();
            assert_eq!(two.counts(), (1, 1), "{given}");
        }
    }
}

#[tokio::test]
async fn what_may_have_been_processed_falls_back_if_a_repetition_is_the_same_call() {
    for (call, repeatable) in calls() {
        let two = Two::preferring();
        two.grpc
            .always(Act::Fail(Kind::Closed, Delivery::MaybeProcessed));
        let name = call.spec().name;
        let result = two.select.send(call).await;
        assert_eq!(result.is_ok(), repeatable, "{name}");
        assert_eq!(two.counts(), (usize::from(repeatable), 1), "{name}");
        if let Err(error) = result {
            assert_eq!(delivery(&error), Some(Delivery::MaybeProcessed));
        }
    }
}

#[tokio::test]
async fn an_answer_is_final() {
    for status in [400, 401, 403, 404, 429, 500, 502, 504] {
        for (call, _) in calls() {
            let two = Two::preferring();
            two.grpc
                .always(Act::Answer(FederationError::new(status, "M_X", "no")));
            let error = two.select.send(call).await.unwrap_err();
            assert!(matches!(error, CallError::Federation(error) if error.http_status() == status));
            assert_eq!(two.counts(), (0, 1));
            // It says that the binding works.
            assert_eq!(two.status().await.binding, Some(GRPC));
        }
    }
}

#[tokio::test]
async fn nothing_falls_back_once_the_head_has_come() {
    let two = Two::preferring();
    two.grpc.always(Act::BreakOff);
    let Reply::Blob(blob) = two.select.send(media()).await.unwrap() else {
        panic!()
    };
    let parts: Vec<_> = blob.bytes.collect().await;
    assert!(parts[0].is_ok() && parts[1].is_err());
    assert_eq!(two.counts(), (0, 1));
    // But a binding that breaks replies off does not work, so the caller's own next try goes elsewhere.
    two.select.send(media()).await.unwrap();
    assert_eq!(two.counts(), (1, 1));
}

#[tokio::test]
async fn the_second_binding_gets_the_same_bytes_and_credentials() {
    let two = Two::preferring();
    two.grpc
        .always(Act::Fail(Kind::Closed, Delivery::MaybeProcessed));
    let signed = ServiceBuilder::new()
        .layer(Sign::layer(name("a.example"), key(1)))
        .service(TransportService::new(std::sync::Arc::new(
            two.select.clone(),
        )));
    signed.oneshot(send()).await.unwrap();
    let (http, grpc) = (&two.http.seen()[0], &two.grpc.seen()[0]);
    assert!(grpc.form.is_some());
    assert_eq!(http.form, grpc.form);
    assert_eq!(http.credentials.len(), 1);
    assert_eq!(http.credentials, grpc.credentials);
}

#[tokio::test]
async fn two_bindings_at_most_and_the_error_is_no_more_certain_than_both() {
    let two = Two::preferring();
    two.grpc
        .always(Act::Fail(Kind::Closed, Delivery::MaybeProcessed));
    two.http.always(Act::Fail(Kind::Connect, Delivery::NotSent));
    let error = two.select.send(send()).await.unwrap_err();
    assert_eq!(two.counts(), (1, 1));
    assert_eq!(delivery(&error), Some(Delivery::MaybeProcessed));
    let message = error.to_string();
    assert!(message.contains(GRPC), "{message}");

    let two = Two::preferring();
    two.grpc.always(Act::Fail(Kind::Connect, Delivery::NotSent));
    two.http
        .always(Act::Fail(Kind::Closed, Delivery::MaybeProcessed));
    let error = two.select.send(claim()).await.unwrap_err();
    assert_eq!(delivery(&error), Some(Delivery::MaybeProcessed));
    assert_eq!(two.counts(), (1, 1));
}

#[tokio::test]
async fn what_the_caller_gave_up_or_a_limit_ended_stays_where_it_was() {
    for kind in [Kind::Cancelled, Kind::LimitExceeded] {
        let two = Two::preferring();
        two.grpc.always(Act::Fail(kind, Delivery::MaybeProcessed));
        two.select.send(version()).await.unwrap_err();
        assert_eq!(two.counts(), (0, 1));
        // Nor does it say anything of the binding.
        assert_eq!(two.status().await.binding, Some(GRPC));
    }
}

#[tokio::test]
async fn a_required_binding_fails_closed() {
    let two = Two::preferring();
    two.select.set_policies(prefer(GRPC, true));
    two.grpc.always(Act::Fail(Kind::Connect, Delivery::NotSent));
    for _ in 0..3 {
        let error = two.select.send(version()).await.unwrap_err();
        assert_eq!(delivery(&error), Some(Delivery::NotSent));
    }
    // It is tried each time: there is nothing else.
    assert_eq!(two.counts(), (0, 3));
    for policies in [
        Policies {
            disabled: [GRPC.to_owned()].into(),
            ..prefer(GRPC, true)
        },
        prefer("quic/1", true),
    ] {
        two.select.set_policies(policies);
        let error = two.select.send(version()).await.unwrap_err();
        let CallError::Transport(error) = error else {
            panic!()
        };
        assert_eq!(
            (error.kind(), error.delivery()),
            (Kind::Refused, Delivery::NotSent)
        );
        assert_eq!(two.counts(), (0, 3));
    }
}

#[tokio::test]
async fn a_policy_that_comes_to_require_the_binding_stops_the_fallback() {
    let two = Two::preferring();
    two.grpc.always(Act::After(
        Duration::from_millis(50),
        Box::new(Act::Fail(Kind::Connect, Delivery::NotSent)),
    ));
    let select = two.select.clone();
    let sent = tokio::spawn(async move { select.send(version()).await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    two.select.set_policies(prefer(GRPC, true));
    sent.await.unwrap().unwrap_err();
    assert_eq!(two.counts(), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_hung_attempt_leaves_time_for_the_other() {
    for (deadline, first) in [(60, 40), (20, 10), (10, 5)] {
        let two = Two::preferring();
        two.grpc.always(Act::Hang);
        let begun = Instant::now();
        let mut call = send();
        call.context_mut()
            .limit_deadline(begun + Duration::from_secs(deadline));
        two.select.send(call).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(first));
        // One deadline, on both.
        assert_eq!(two.http.seen()[0].deadline, two.grpc.seen()[0].deadline);
        let status = two.status().await;
        assert_eq!(status.bindings[1].fallbacks[&FallbackReason::NoReply], 1);
        // The other binding had an answer, so this one is to blame.
        assert_eq!(status.binding, Some(HTTP));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hung_attempt_is_bounded_by_the_clock_for_the_head_as_well() {
    let two = Two::preferring();
    two.grpc.always(Act::Hang);
    let begun = Instant::now();
    let stack = ServiceBuilder::new()
        .layer(Clocks::scaled(Side::Client, 0.1))
        .service(TransportService::new(std::sync::Arc::new(
            two.select.clone(),
        )));
    // 6 s for the head of a transaction's reply.
    stack.oneshot(send()).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    // And by the operation's own, where no layer says one.
    let begun = Instant::now();
    let two = Two::preferring();
    two.grpc.always(Act::Hang);
    two.select.send(send()).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(40));
}

#[tokio::test(start_paused = true)]
async fn without_a_reserve_no_attempt_is_given_up() {
    let options = SelectOptions {
        reserve: Duration::ZERO,
        ..SelectOptions::default()
    };
    let two = Two::new(Vec::new(), options);
    two.select.set_policies(prefer(GRPC, false));
    // Longer than the operation's own clock: whose time it is, is for others to say.
    two.grpc
        .always(Act::After(Duration::from_secs(70), Box::new(Act::Reply)));
    let mut call = send();
    call.context_mut()
        .limit_deadline(Instant::now() + Duration::from_secs(75));
    two.select.send(call).await.unwrap();
    assert_eq!(two.counts(), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_slow_on_both_bindings_is_slow_and_no_binding_to_blame() {
    let two = Two::preferring();
    two.grpc.always(Act::Hang);
    two.http.always(Act::Hang);
    let mut call = version();
    call.context_mut()
        .limit_deadline(Instant::now() + Duration::from_secs(10));
    let stack = ServiceBuilder::new()
        .layer(Clocks::layer(Side::Client))
        .service(TransportService::new(std::sync::Arc::new(
            two.select.clone(),
        )));
    stack.oneshot(call).await.unwrap_err();
    assert_eq!(two.counts(), (1, 1));
    assert_eq!(two.status().await.binding, Some(GRPC));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_must_not_be_repeated_has_all_the_time() {
    let two = Two::preferring();
    two.grpc
        .always(Act::After(Duration::from_secs(50), Box::new(Act::Reply)));
    let mut call = claim();
    call.context_mut()
        .limit_deadline(Instant::now() + Duration::from_secs(60));
    two.select.send(call).await.unwrap();
    assert_eq!(two.counts(), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_comes_too_late_says_nothing_of_the_binding() {
    for delivery in [Delivery::NotSent, Delivery::MaybeProcessed] {
        let two = Two::preferring();
        two.grpc.always(Act::Fail(Kind::Timeout, delivery));
        let mut call = version();
        call.context_mut().limit_deadline(Instant::now());
        two.select.send(call).await.unwrap_err();
        assert_eq!(two.status().await.binding, Some(GRPC));
    }
    // Where there was time, connecting took too long.
    let two = Two::preferring();
    two.grpc.always(Act::Fail(Kind::Timeout, Delivery::NotSent));
    two.select.send(version()).await.unwrap();
    assert_eq!(two.status().await.binding, Some(HTTP));
}

#[tokio::test(start_paused = true)]
async fn after_the_deadline_nothing_is_sent() {
    let two = Two::preferring();
    two.grpc.always(Act::After(
        Duration::from_secs(10),
        Box::new(Act::Fail(Kind::Connect, Delivery::NotSent)),
    ));
    let mut call = claim();
    call.context_mut()
        .limit_deadline(Instant::now() + Duration::from_secs(10));
    two.select.send(call).await.unwrap_err();
    assert_eq!(two.counts(), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn one_transaction_is_in_flight_whatever_the_binding() {
    let two = Two::preferring();
    // The first hangs on gRPC and ends on HTTP; the second comes meanwhile.
    two.grpc.next(Act::Hang);
    two.http
        .always(Act::After(Duration::from_secs(5), Box::new(Act::Reply)));
    let stack = ServiceBuilder::new()
        .layer(Flow::layer(Duration::from_secs(300)))
        .service(TransportService::new(std::sync::Arc::new(
            two.select.clone(),
        )));
    let first = tokio::spawn(stack.clone().oneshot(send()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = tokio::spawn(stack.clone().oneshot(send()));
    // At 40 s the first goes over to HTTP.
    tokio::time::sleep(Duration::from_secs(41)).await;
    assert_eq!(two.counts(), (1, 1));
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(two.counts(), (2, 1));
}
