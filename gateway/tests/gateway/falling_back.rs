//! With gRPC broken in the middle, federation goes on over HTTPS: nothing is lost, nothing doubled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Notify, time::sleep};

use crate::{
    breaking::{Breaker, Fault},
    setting::{HS1, HS2, Pair, json},
};

const SEND: &str = "/_matrix/federation/v1/send/1";
const BODY: &str = r#"{"origin":"hs1.example","origin_server_ts":1,"pdus":[]}"#;
const CLAIM: &str = "/_matrix/federation/v1/user/keys/claim";
const CLAIMS: &str = r#"{"one_time_keys":{"@a:hs2.example":{"D":"signed_curve25519"}}}"#;

async fn broken() -> (Pair, Breaker) {
    let pair = Pair::start("grpc").await;
    let inbound = pair.two.gateway.inbound_addr().unwrap();
    let breaker = Breaker::before(inbound, &pair.authority).await;
    pair.one.knows(&[(HS2, breaker.peer())]);
    (pair, breaker)
}

/// Each in its own time: Synapse waits 60 s for a transaction and 10 s for claimed keys.
async fn goes_on(fault: Fault, within: Duration) {
    let (pair, breaker) = broken().await;
    breaker.set(fault);
    for (method, target, content) in [("POST", CLAIM, CLAIMS), ("PUT", SEND, BODY)] {
        let begun = Instant::now();
        let got = pair.one.calls(HS2, method, target, Some(content)).await;
        assert_eq!(got.status, 200, "{fault:?} {target} {got:?}");
        assert!(begun.elapsed() < within, "{fault:?} {:?}", begun.elapsed());
        let seen = pair.two.homeserver.only();
        assert_eq!(
            (&*seen.target, &seen.body[..]),
            (target, content.as_bytes())
        );
    }
}

#[tokio::test]
async fn after_a_reset() {
    goes_on(Fault::Reset, Duration::from_secs(3)).await;
}

#[tokio::test]
async fn after_a_tls_error() {
    goes_on(Fault::NoTls, Duration::from_secs(3)).await;
}

#[tokio::test]
async fn after_unimplemented() {
    goes_on(Fault::Unimplemented, Duration::from_secs(3)).await;
}

#[tokio::test]
async fn after_silence_from_the_start() {
    goes_on(Fault::SilentFromTheStart, Duration::from_secs(6)).await;
}

/// A call in the hands of the homeserver when the connection ends.
struct InHand {
    pair: Pair,
    breaker: Breaker,
    arrived: Arc<AtomicUsize>,
    go_on: Arc<Notify>,
}

impl InHand {
    async fn new() -> Self {
        let (pair, breaker) = broken().await;
        let (arrived, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (arrived_too, go_on_too) = (arrived.clone(), go_on.clone());
        pair.two.homeserver.answers(move |_| {
            let (arrived, go_on) = (arrived_too.clone(), go_on_too.clone());
            async move {
                let wait = go_on.notified();
                arrived.fetch_add(1, Ordering::SeqCst);
                wait.await;
                json(200, r#"{"pdus":{}}"#)
            }
        });
        Self {
            pair,
            breaker,
            arrived,
            go_on,
        }
    }

    async fn arrives(&self) {
        while self.arrived.load(Ordering::SeqCst) == 0 {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn a_transaction_in_hand_is_asked_for_again_and_not_doubled() {
    let it = InHand::new().await;
    let call = it.pair.one.calls(HS2, "PUT", SEND, Some(BODY));
    let meanwhile = async {
        it.arrives().await;
        it.breaker.cut();
        sleep(Duration::from_millis(500)).await;
        it.go_on.notify_waiters();
    };
    let (got, ()) = tokio::join!(call, meanwhile);
    assert_eq!(got.status, 200, "{got:?}");
    // The second asked for it while the first was under way, and got the same answer.
    assert_eq!(it.arrived.load(Ordering::SeqCst), 1);
    assert_eq!(it.pair.two.gateway.metrics().totals().coalesced, 1);
}

#[tokio::test]
async fn a_claim_in_hand_is_not_repeated() {
    let it = InHand::new().await;
    let call = it.pair.one.calls(HS2, "POST", CLAIM, Some(CLAIMS));
    let meanwhile = async {
        it.arrives().await;
        it.breaker.cut();
        sleep(Duration::from_millis(500)).await;
        it.go_on.notify_waiters();
    };
    let (got, ()) = tokio::join!(call, meanwhile);
    assert_eq!(got.via(), (502, "M_UNKNOWN".to_owned(), HS1.to_owned()));
    sleep(Duration::from_millis(300)).await;
    assert_eq!(it.arrived.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_transaction_into_a_black_hole_goes_on_in_time() {
    let it = InHand::new().await;
    let call = it.pair.one.calls(HS2, "PUT", SEND, Some(BODY));
    let begun = Instant::now();
    let meanwhile = async {
        it.arrives().await;
        it.breaker.freeze();
        // The answer is ready, and does not come through.
        it.go_on.notify_waiters();
    };
    let more = async {
        // A ping found that the connection is dead: the call comes by another way.
        while it.arrived.load(Ordering::SeqCst) < 2 {
            sleep(Duration::from_millis(50)).await;
        }
        it.go_on.notify_waiters();
    };
    let (got, (), ()) = tokio::join!(call, meanwhile, more);
    assert_eq!(got.status, 200, "{got:?}");
    let took = begun.elapsed();
    assert!(
        took > Duration::from_secs(9) && took < Duration::from_secs(25),
        "{took:?}"
    );
}

#[tokio::test]
async fn what_is_required_fails_rather_than_fall_back() {
    let (pair, breaker) = broken().await;
    breaker.set(Fault::NoTls);
    pair.one
        .knows(&[(HS2, format!("{}\nrequired = true", breaker.peer()))]);
    let got = pair.one.calls(HS2, "PUT", SEND, Some(BODY)).await;
    assert_eq!(got.via(), (502, "M_UNKNOWN".to_owned(), HS1.to_owned()));
    assert_eq!(pair.two.homeserver.take_seen().len(), 0);
    breaker.set(Fault::None);
}
