//! The same call twice at a time is made once; what only looks the same is made twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{sync::Notify, time::sleep};

use crate::setting::{HS2, Outgoing, Pair, json};

const EVENT: &str = "/_matrix/federation/v1/event/%24x";
const CLAIM: &str = "/_matrix/federation/v1/user/keys/claim";
const CLAIMS: &str = r#"{"one_time_keys":{"@a:hs2.example":{"D":"signed_curve25519"}}}"#;

/// Lets calls wait at the homeserver until they are told to go on.
struct Gate {
    open: Arc<Notify>,
    arrived: Arc<AtomicUsize>,
}

fn gate(pair: &Pair) -> Gate {
    let (open, arrived) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (open_too, arrived_too) = (open.clone(), arrived.clone());
    pair.two.homeserver.answers(move |_| {
        let (open, arrived) = (open_too.clone(), arrived_too.clone());
        async move {
            let wait = open.notified();
            let number = arrived.fetch_add(1, Ordering::SeqCst);
            wait.await;
            json(200, format!("{{\"number\":{number}}}"))
        }
    });
    Gate { open, arrived }
}

impl Gate {
    async fn arrived(&self, count: usize) {
        for _ in 0..500 {
            if self.arrived.load(Ordering::SeqCst) >= count {
                // Whatever else would come has come by then.
                sleep(Duration::from_millis(100)).await;
                assert_eq!(self.arrived.load(Ordering::SeqCst), count);
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{count} calls did not arrive");
    }
}

#[tokio::test]
async fn a_call_in_flight_is_shared() {
    let pair = Pair::start("grpc").await;
    let gate = gate(&pair);
    let calls = join_all((0..20).map(|_| pair.one.calls(HS2, "GET", EVENT, None)));
    let check = async {
        gate.arrived(1).await;
        gate.open.notify_waiters();
    };
    let (answers, ()) = tokio::join!(calls, check);
    for got in answers {
        assert_eq!((got.status, &got.body[..]), (200, &b"{\"number\":0}"[..]));
    }
    // Each by the binding that the one went by.
    let metrics = pair.one.metrics().await;
    let counted = r#"direction="outbound",operation="GetEvent",binding="grpc/1",outcome="ok"} 20"#;
    assert!(metrics.contains(counted), "{metrics}");
    // Nothing is kept: the next one is made.
    let next = pair.one.calls(HS2, "GET", EVENT, None);
    let check = async {
        gate.arrived(2).await;
        gate.open.notify_waiters();
    };
    let (got, ()) = tokio::join!(next, check);
    assert_eq!(got.body, "{\"number\":1}");
}

#[tokio::test]
async fn claims_are_never_shared() {
    let pair = Pair::start("grpc").await;
    let gate = gate(&pair);
    let calls = join_all((0..3).map(|_| pair.one.calls(HS2, "POST", CLAIM, Some(CLAIMS))));
    let check = async {
        gate.arrived(3).await;
        gate.open.notify_waiters();
    };
    let (answers, ()) = tokio::join!(calls, check);
    let mut numbers: Vec<_> = answers
        .iter()
        .map(|got| got.json()["number"].as_u64())
        .collect();
    numbers.sort();
    assert_eq!(numbers, [Some(0), Some(1), Some(2)]);
}

#[tokio::test]
async fn other_bodies_targets_and_credentials_are_other_calls() {
    let pair = Pair::start("grpc").await;
    let gate = gate(&pair);
    let send = "/_matrix/federation/v1/send/1";
    let body =
        |n: u32| format!("{{\"origin\":\"hs1.example\",\"origin_server_ts\":{n},\"pdus\":[]}}");
    let (one, two) = (body(1), body(2));
    let calls = async {
        // Twice the same credential makes one call's proof no other's.
        let signed = pair.one.homeserver.sign(HS2, "GET", EVENT, None);
        let twice = Outgoing::new(HS2, "GET", EVENT)
            .signed(&signed)
            .signed(&signed);
        tokio::join!(
            pair.one.calls(HS2, "PUT", send, Some(&one)),
            pair.one.calls(HS2, "PUT", send, Some(&two)),
            pair.one.calls(HS2, "GET", EVENT, None),
            pair.one
                .calls(HS2, "GET", "/_matrix/federation/v1/event/%24X", None),
            pair.one
                .calls(HS2, "GET", "/_matrix/federation/v1/event/%24x?", None),
            pair.one.send(twice),
        )
    };
    let check = async {
        // A transaction waits for the one before it.
        gate.arrived(5).await;
        gate.open.notify_waiters();
        gate.arrived(6).await;
        gate.open.notify_waiters();
    };
    tokio::join!(calls, check);
}

#[tokio::test]
async fn a_call_with_effects_goes_on_when_its_caller_has_gone() {
    let pair = Pair::start("https").await;
    let gate = gate(&pair);
    let send = "/_matrix/federation/v1/send/1";
    let body = r#"{"origin":"hs1.example","origin_server_ts":1,"pdus":[]}"#;
    let gone = tokio::time::timeout(
        Duration::from_millis(300),
        pair.one.calls(HS2, "PUT", send, Some(body)),
    );
    assert!(gone.await.is_err());
    // The homeserver is still at it: whoever asks again waits for that.
    let again = pair.one.calls(HS2, "PUT", send, Some(body));
    let check = async {
        gate.arrived(1).await;
        gate.open.notify_waiters();
    };
    let (got, ()) = tokio::join!(again, check);
    assert_eq!(got.body, "{\"number\":0}");
}

#[tokio::test]
async fn claims_and_what_no_row_knows_end_although_their_caller_has_gone() {
    let pair = Pair::start("https").await;
    let (open, ended) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (open_too, ended_too) = (open.clone(), ended.clone());
    pair.two.homeserver.answers(move |_| {
        let (open, ended) = (open_too.clone(), ended_too.clone());
        async move {
            // Dropped here, if the gateway lets its call go.
            open.notified().await;
            ended.fetch_add(1, Ordering::SeqCst);
            json(200, r#"{"one_time_keys":{}}"#)
        }
    });
    let other = "/_matrix/federation/unstable/org.example/do";
    for target in [CLAIM, other] {
        let call = pair.one.calls(HS2, "POST", target, Some(CLAIMS));
        let gone = tokio::time::timeout(Duration::from_millis(300), call);
        assert!(gone.await.is_err());
    }
    sleep(Duration::from_millis(200)).await;
    open.notify_waiters();
    for _ in 0..100 {
        if ended.load(Ordering::SeqCst) == 2 {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{} of 2 came to their end", ended.load(Ordering::SeqCst));
}

#[tokio::test]
async fn an_answer_that_is_an_error_is_shared_too() {
    let pair = Pair::start("grpc").await;
    pair.two.homeserver.answers(|_| async {
        sleep(Duration::from_millis(200)).await;
        let mut busy = json(
            429,
            r#"{"errcode":"M_LIMIT_EXCEEDED","error":"slow","retry_after_ms":90000}"#,
        );
        busy.headers_mut()
            .insert("retry-after", "90".parse().unwrap());
        busy
    });
    let begun = std::time::Instant::now();
    let calls = join_all((0..5).map(|_| pair.one.calls(HS2, "GET", EVENT, None)));
    for got in calls.await {
        // Passed on at once, as it is: whether to wait is for the homeserver to decide.
        assert_eq!(got.status, 429);
        assert_eq!(got.headers["retry-after"], "90");
        assert_eq!(got.json()["retry_after_ms"], 90000);
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(pair.two.homeserver.take_seen().len(), 1);
}
