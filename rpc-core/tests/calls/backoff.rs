//! A destination that fails is left alone, and no other.

use std::time::Duration;

use comity_core::{
    ServerName,
    api::GetVersion,
    auth::{Sign, Verify, XMatrixAuthenticator},
    call::{Call, Operation, Reply},
    error::{CallError, Delivery, FederationError, TransportErrorKind as Kind},
    layers::{Backoff, BackoffOptions, Clocks, Side},
    transport::{MemoryMode, MemoryTransport, Transport, TransportService},
};
use futures_util::StreamExt;
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::{
    homeserver::{Homeserver, name},
    select::wires::{Act, Wire, call, claim, media, send, to, version},
};

struct Guarded {
    wire: std::sync::Arc<Wire>,
    backoff: Backoff,
}

impl Guarded {
    fn new(options: BackoffOptions) -> Self {
        Self {
            wire: Wire::new("http/1", Act::Reply),
            backoff: Backoff::new(options),
        }
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        let transport = TransportService::new(self.wire.clone());
        self.backoff.layer().layer(transport).oneshot(call).await
    }

    /// A call that comes to `act`; then how long the destination is left alone.
    async fn after(&self, call: Call, act: Act) -> Option<Duration> {
        self.wire.next(act);
        if let Ok(Reply::Blob(mut blob)) = self.send(call).await {
            while blob.bytes.next().await.is_some() {}
        }
        self.backoff.left_alone(&to())
    }
}

fn guarded() -> Guarded {
    Guarded::new(BackoffOptions::default())
}

fn answer(status: u16) -> Act {
    Act::Answer(FederationError::new(status, "M_X", "no"))
}

const TEN_MINUTES: Duration = Duration::from_secs(600);

#[tokio::test(start_paused = true)]
async fn what_counts_and_what_does_not() {
    for status in [500, 502, 503, 504, 599, 401, 429] {
        let left = guarded().after(version(), answer(status)).await;
        assert_eq!(left, Some(TEN_MINUTES), "{status}");
    }
    for status in [400, 403, 404, 405, 413, 300] {
        let left = guarded().after(version(), answer(status)).await;
        assert_eq!(left, None, "{status}");
        // A transaction has no right to fail.
        let left = guarded().after(send(), answer(status)).await;
        assert_eq!(left, Some(TEN_MINUTES), "{status}");
    }
    for kind in [
        Kind::Resolve,
        Kind::Connect,
        Kind::Tls,
        Kind::Closed,
        Kind::Protocol,
        Kind::Timeout,
        Kind::Carrier,
    ] {
        for delivery in [Delivery::NotSent, Delivery::MaybeProcessed] {
            let left = guarded().after(version(), Act::Fail(kind, delivery)).await;
            assert_eq!(left, Some(TEN_MINUTES), "{kind}");
        }
    }
    for kind in [
        Kind::Cancelled,
        Kind::LimitExceeded,
        Kind::Busy,
        Kind::Unsupported,
        Kind::Refused,
    ] {
        let act = Act::Fail(kind, Delivery::NotSent);
        assert_eq!(guarded().after(version(), act).await, None, "{kind}");
    }
    assert_eq!(
        guarded().after(media(), Act::BreakOff).await,
        Some(TEN_MINUTES)
    );
    let flagged = Guarded::new(BackoffOptions {
        not_found: ["GetVersion"].into(),
        ..BackoffOptions::default()
    });
    assert_eq!(
        flagged.after(version(), answer(404)).await,
        Some(TEN_MINUTES)
    );
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_left_alone_gets_nothing_and_others_do() {
    let guarded = guarded();
    guarded.after(version(), answer(500)).await;
    let error = guarded.send(claim()).await.unwrap_err();
    let CallError::Transport(error) = error else {
        panic!("{error}")
    };
    assert_eq!(
        (error.kind(), error.delivery()),
        (Kind::Refused, Delivery::NotSent)
    );
    assert!(error.message().contains("b.example"), "{error}");
    assert_eq!(guarded.wire.count(), 1);
    let mut elsewhere = version();
    elsewhere.context_mut().destination = Some(name("c.example"));
    guarded.send(elsewhere).await.unwrap();
    // A user waits for these.
    let rooms = comity_core::api::GetPublicRooms::default();
    guarded.send(call(rooms)).await.unwrap();
    assert_eq!(guarded.wire.count(), 3);
    // A reply forgets it all.
    assert_eq!(guarded.backoff.left_alone(&to()), None);
}

#[tokio::test(start_paused = true)]
async fn it_doubles_by_chance_up_to_a_week() {
    let guarded = guarded();
    let mut waits = Vec::new();
    for _ in 0..20 {
        let wait = guarded.after(version(), answer(500)).await.unwrap();
        waits.push(wait);
        tokio::time::sleep(wait).await;
    }
    assert_eq!(waits[0], TEN_MINUTES);
    let week = Duration::from_secs(7 * 24 * 3600);
    for pair in waits.windows(2) {
        let ratio = pair[1].as_secs_f64() / pair[0].as_secs_f64();
        let at_cap = pair[1] == week;
        assert!(at_cap || (1.6..=2.8).contains(&ratio), "{waits:?}");
    }
    assert_eq!(*waits.last().unwrap(), week);
    // Other 4xx neither reset nor raise.
    assert_eq!(guarded.after(version(), answer(403)).await, None);
    assert_eq!(guarded.after(version(), answer(500)).await, Some(week));
    tokio::time::sleep(week).await;
    assert_eq!(guarded.after(version(), Act::Reply).await, None);
    assert_eq!(
        guarded.after(version(), answer(500)).await,
        Some(TEN_MINUTES)
    );
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_the_least_wait() {
    let asked = |seconds, status| {
        let error = FederationError::new(status, "M_LIMIT_EXCEEDED", "slower");
        Act::Answer(error.with_retry_after(Duration::from_secs(seconds)))
    };
    let left = guarded().after(version(), asked(5, 429)).await;
    assert_eq!(left, Some(TEN_MINUTES));
    let left = guarded().after(version(), asked(3600, 429)).await;
    assert_eq!(left, Some(Duration::from_secs(3600)));
    // A peer cannot silence us for longer than we would ourselves.
    let left = guarded().after(version(), asked(u64::MAX, 429)).await;
    assert_eq!(left, Some(Duration::from_secs(7 * 24 * 3600)));
    // Where the error does not count, the wait does.
    let error = FederationError::new(403, "M_FORBIDDEN", "no");
    let error = error.with_retry_after(Duration::from_secs(30));
    let left = guarded().after(version(), Act::Answer(error)).await;
    assert_eq!(left, Some(Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_together_count_once() {
    let guarded = guarded();
    guarded.wire.always(Act::After(
        Duration::from_secs(1),
        Box::new(Act::Fail(Kind::Connect, Delivery::NotSent)),
    ));
    let calls = (0..20).map(|_| guarded.send(version()));
    futures_util::future::join_all(calls).await;
    assert_eq!(guarded.backoff.left_alone(&to()), Some(TEN_MINUTES));
}

#[tokio::test(start_paused = true)]
async fn a_time_that_ran_out_counts_and_a_caller_who_left_does_not() {
    let guarded = guarded();
    guarded.wire.always(Act::Hang);
    let stack = ServiceBuilder::new()
        .layer(guarded.backoff.layer())
        .layer(Clocks::layer(Side::Client))
        .service(TransportService::new(guarded.wire.clone()));
    let sent = stack.clone().oneshot(version());
    let left = tokio::time::timeout(Duration::from_secs(1), sent).await;
    assert!(left.is_err());
    assert_eq!(guarded.backoff.left_alone(&to()), None);
    // Nor does a call that came too late.
    let mut late = version();
    late.context_mut().limit_deadline(Instant::now());
    stack.clone().oneshot(late).await.unwrap_err();
    assert_eq!(guarded.backoff.left_alone(&to()), None);
    // Nor one whose caller had less time than its operation has.
    let mut short = version();
    short
        .context_mut()
        .limit_deadline(Instant::now() + Duration::from_secs(2));
    stack.clone().oneshot(short).await.unwrap_err();
    assert_eq!(guarded.backoff.left_alone(&to()), None);
    // One who has more is told by the operation's clock.
    let mut long = version();
    long.context_mut()
        .limit_deadline(Instant::now() + 10 * GetVersion::SPEC.clocks.head);
    stack.clone().oneshot(long).await.unwrap_err();
    assert_eq!(guarded.backoff.left_alone(&to()), Some(TEN_MINUTES));
    tokio::time::sleep(TEN_MINUTES).await;
    stack.oneshot(version()).await.unwrap_err();
    assert!(guarded.backoff.left_alone(&to()) > Some(TEN_MINUTES));
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_is_bounded() {
    let guarded = Guarded::new(BackoffOptions {
        capacity: 64,
        ..BackoffOptions::default()
    });
    guarded.wire.always(answer(500));
    let server = |number: usize| -> ServerName { name(&format!("s{number}.example")) };
    for number in 0..1000 {
        let mut call = version();
        call.context_mut().destination = Some(server(number));
        guarded.send(call).await.unwrap_err();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let left = (0..1000).filter(|&number| guarded.backoff.left_alone(&server(number)).is_some());
    let left: Vec<_> = left.collect();
    assert!((32..=64).contains(&left.len()), "{left:?}");
    assert!(left.contains(&999));
}

#[tokio::test]
async fn a_server_that_proves_who_it_is_is_called_again() {
    let (us, peer) = (
        Homeserver::new("a.example", 1),
        Homeserver::new("b.example", 2),
    );
    let backoff = Backoff::new(BackoffOptions::default());
    let transport = Wire::new("http/1", answer(500));
    let outbound = backoff.layer().layer(TransportService::new(transport));
    outbound.clone().oneshot(version()).await.unwrap_err();
    assert!(backoff.left_alone(&to()).is_some());

    let ring = crate::homeserver::ring_of(&peer);
    let verify = XMatrixAuthenticator::new(us.name.clone(), std::sync::Arc::new(ring));
    let service = us.router().layered(
        ServiceBuilder::new()
            .layer(Verify::layer(std::sync::Arc::new(verify)))
            .layer(backoff.arrivals()),
    );
    let inbound: std::sync::Arc<dyn Transport> = std::sync::Arc::new(MemoryTransport::new(
        comity_core::Operations::federation(),
        service,
        MemoryMode::ThroughCodec,
    ));
    // A call without a proof says it is nobody's; a forged one is refused.
    let mut anonymous = version();
    anonymous.context_mut().destination = Some(us.name.clone());
    inbound.send(anonymous).await.unwrap();
    let send_as = |key: u8| {
        let sign = Sign::layer(peer.name.clone(), crate::homeserver::key(key));
        let mut call = send();
        call.context_mut().destination = Some(us.name.clone());
        sign.layer(TransportService::new(inbound.clone()))
            .oneshot(call)
    };
    send_as(9).await.unwrap_err();
    assert!(backoff.left_alone(&to()).is_some());
    send_as(2).await.unwrap();
    assert!(backoff.left_alone(&to()).is_none());
}
