//! Start, reload under load, drain.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::setting::{HS2, Pair, Settings, Stranger, json, peer};

const EVENT: &str = "/_matrix/federation/v1/event/%24x";
const SEND: &str = "/_matrix/federation/v1/send/";
const BODY: &str = r#"{"origin":"hs1.example","origin_server_ts":1,"pdus":[]}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_change_under_load_and_no_call_is_lost_or_doubled() {
    let pair = Arc::new(Pair::start("grpc").await);
    pair.two.homeserver.answers(|_| async {
        sleep(Duration::from_millis(5)).await;
        json(200, r#"{"pdus":{}}"#)
    });
    let done = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..4)
        .map(|caller| {
            let (pair, done, sent) = (pair.clone(), done.clone(), sent.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    let target = format!("{SEND}{caller}-{number}");
                    let got = pair.one.calls(HS2, "PUT", &target, Some(BODY)).await;
                    assert_eq!(got.status, 200, "{got:?}");
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for binding in ["https", "grpc", "auto", "grpc", "https", "grpc"] {
        sleep(Duration::from_millis(150)).await;
        pair.one.knows(&[(HS2, peer(binding, &pair.two))]);
        // The certificate of the peer changes as well.
        pair.two.renews(
            &pair.authority,
            &[(crate::setting::HS1, peer("grpc", &pair.one))],
        );
    }
    done.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let mut targets: Vec<_> = pair
        .two
        .homeserver
        .take_seen()
        .into_iter()
        .map(|seen| seen.target)
        .collect();
    assert_eq!(targets.len(), sent.load(Ordering::Relaxed));
    targets.sort();
    targets.dedup();
    assert_eq!(targets.len(), sent.load(Ordering::Relaxed));
    assert!(targets.len() > 20, "{}", targets.len());
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_the_next_who_connects() {
    let pair = Pair::start("grpc").await;
    let other = crate::setting::Authority::new();
    let stranger = Stranger::to(&pair.two, &other);
    let target = "/_matrix/federation/v1/version";
    assert!(stranger.try_http(target).await.is_err());
    pair.two.renews(&other, &[]);
    assert_eq!(stranger.try_http(target).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_changes_nothing() {
    let pair = Pair::start("grpc").await;
    let (chain, _) = pair.authority.certificate(HS2);
    let (_, key) = pair.authority.certificate(HS2);
    assert!(pair.two.try_certificate(&chain, &key).is_err());
    assert!(pair.two.try_certificate("", "").is_err());
    assert_eq!(pair.one.calls(HS2, "GET", EVENT, None).await.status, 200);
}

#[tokio::test]
async fn what_cannot_change_is_named() {
    let pair = Pair::start("grpc").await;
    let wait = pair
        .one
        .reloads_with(Settings::default().with("limits", "calls = 5").with(
            "trust",
            "danger_accept_any_certificate_for = [\"x.example\"]",
        ));
    assert_eq!(wait, ["trust", "limits"]);
}

#[tokio::test]
async fn the_kill_switch_turns_without_a_restart() {
    let pair = Pair::start("grpc").await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    let proof = pair.one.homeserver.sign(HS2, "GET", EVENT, None);
    assert!(stranger.invoke("GET", EVENT, &[&proof]).await.is_ok());
    let off = Settings::default().with("bindings", "grpc = false");
    assert_eq!(pair.two.reloads_with(off), [""; 0]);
    assert!(stranger.invoke("GET", EVENT, &[&proof]).await.is_err());
    assert_eq!(pair.one.calls(HS2, "GET", EVENT, None).await.status, 200);
    pair.two.reloads_with(Settings::default());
    assert!(stranger.invoke("GET", EVENT, &[&proof]).await.is_ok());
}

#[tokio::test]
async fn draining_lets_calls_in_flight_finish_and_takes_no_more() {
    let pair = Pair::start("grpc").await;
    let arrived = Arc::new(tokio::sync::Notify::new());
    let arrived_too = arrived.clone();
    pair.two.homeserver.answers(move |_| {
        arrived_too.notify_one();
        async {
            sleep(Duration::from_millis(700)).await;
            json(200, r#"{"origin":"x","origin_server_ts":1,"pdus":[]}"#)
        }
    });
    let Pair { one, two, .. } = pair;
    let address = two.gateway.inbound_addr().unwrap();
    let (homeserver, gateway) = (two.homeserver, two.gateway);
    let call = one.calls(HS2, "GET", EVENT, None);
    let drain = async {
        arrived.notified().await;
        let begun = Instant::now();
        let drained = gateway.drain().await;
        assert_eq!(drained.cut, 0);
        assert!(begun.elapsed() > Duration::from_millis(400));
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    };
    let (got, ()) = tokio::join!(call, drain);
    assert_eq!(got.status, 200, "{got:?}");
    drop(homeserver);
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut() {
    let one = Settings::default();
    let two = Settings::default()
        .without("limits")
        .with("limits", "drain_seconds = 1");
    let pair = Pair::with("grpc", one, two).await;
    let arrived = Arc::new(tokio::sync::Notify::new());
    let arrived_too = arrived.clone();
    pair.two.homeserver.answers(move |_| {
        arrived_too.notify_one();
        std::future::pending()
    });
    let Pair { one, two, .. } = pair;
    let gateway = two.gateway;
    let call = one.calls(HS2, "GET", EVENT, None);
    let drain = async {
        arrived.notified().await;
        let drained = gateway.drain().await;
        assert_eq!(drained.cut, 1);
    };
    let (got, ()) = tokio::join!(call, drain);
    // The binding failed, and so did the other.
    assert_eq!(got.status, 502, "{got:?}");
}
