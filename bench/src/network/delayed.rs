//! The delay without a network: within the client.

use std::{
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use comity_core::{
    ServerName,
    api::{GetVersion, GetVersionReply},
    call::{Call, Message, Reply},
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    transport::{Capabilities, Transport},
};
use futures_util::future::join_all;
use rustix::thread::set_current_timer_slack;
use tokio::sync::{mpsc, oneshot};

use crate::model::Network;

/// Calls that are delayed at once. More wait longer.
const MAX_DELAYED: usize = 65_536;

/// How late calls arrive is judged by the least of so many.
const LATE_OF: u32 = 64;

/// Calls that a self-test makes.
const ROUNDS: usize = 401;

/// `transport` with `network`'s delay before each call and before its reply. The parts of a streamed reply follow one another as
/// out of a pipe that has been filled: the reply waits once, and they come as they are made. Everything else is `transport`'s: its name, its
/// capabilities, and what dropping a call does.
///
/// There are no packets, so there is neither loss nor rate, and what takes several round trips on a network, such as a handshake or a slow
/// start, takes none here: a report has to say [`Emulation::InProcess`](crate::model::Emulation::InProcess) of it. A thread keeps the time; it ends
/// when the transport is dropped.
pub fn delayed(transport: Arc<dyn Transport>, network: &Network) -> Arc<dyn Transport> {
    Arc::new(Delayed {
        transport,
        way: Way::new(Duration::from_secs_f64(network.delay)),
    })
}

#[derive(Debug)]
struct Delayed {
    transport: Arc<dyn Transport>,
    way: Way,
}

#[async_trait]
impl Transport for Delayed {
    fn name(&self) -> &'static str {
        self.transport.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.transport.capabilities()
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        if !self.way.pass().await {
            let error = TransportError::new(
                TransportErrorKind::Connect,
                Delivery::NotSent,
                "nothing keeps the time of the delay",
            );
            return Err(error.into());
        }
        let reply = self.transport.send(call).await;
        self.way.pass().await;
        reply
    }
}

/// A way that takes the same time for everyone: who set out first arrives first, so a queue and one thread do. The runtime's own timers count milliseconds, which is
/// five times the delay of a LAN.
///
/// A sleep is late, and so is the task that it wakes. What that takes at least is measured as calls pass, and taken off the sleep.
#[derive(Debug)]
struct Way {
    delay: Duration,
    travellers: mpsc::Sender<Traveller>,
    late: Mutex<Late>,
}

#[derive(Debug)]
struct Traveller {
    due: Instant,
    arrived: oneshot::Sender<()>,
}

impl Way {
    fn new(delay: Duration) -> Self {
        let (travellers, mut setting_out) = mpsc::channel::<Traveller>(MAX_DELAYED);
        let keep = move || {
            // Without it a sleep is up to 50 µs late.
            let _ = set_current_timer_slack(NonZeroU64::new(1));
            while let Some(traveller) = setting_out.blocking_recv() {
                thread::sleep(traveller.due.saturating_duration_since(Instant::now()));
                // One who was dropped meanwhile is not waited for by anyone.
                let _ = traveller.arrived.send(());
            }
        };
        // Without the thread nobody arrives, which the first call says.
        let _ = thread::Builder::new()
            .name("comity-net-delay".to_owned())
            .spawn(keep);
        Self {
            delay,
            travellers,
            late: Mutex::default(),
        }
    }

    /// Waits for the delay. Gives whether it was waited for. Dropping it leaves nothing.
    async fn pass(&self) -> bool {
        if self.delay.is_zero() {
            return true;
        }
        let (arrived, arrival) = oneshot::channel();
        let end = Instant::now() + self.delay;
        let taken_off = self.late().taken_off.min(self.delay);
        let due = end - taken_off;
        let sent = self.travellers.send(Traveller { due, arrived }).await;
        let passed = sent.is_ok() && arrival.await.is_ok();
        self.late().note(due.elapsed());
        passed
    }

    fn late(&self) -> MutexGuard<'_, Late> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How late those arrive whom nothing else keeps waiting.
#[derive(Debug)]
struct Late {
    taken_off: Duration,
    /// The least of those who arrived since it was last set, and how many they are.
    least: Duration,
    seen: u32,
}

impl Default for Late {
    fn default() -> Self {
        Self {
            taken_off: Duration::ZERO,
            least: Duration::MAX,
            seen: 0,
        }
    }
}

impl Late {
    fn note(&mut self, late: Duration) {
        self.least = self.least.min(late);
        self.seen += 1;
        if self.seen == LATE_OF {
            *self = Self {
                taken_off: self.least,
                ..Self::default()
            };
        }
    }
}

/// How long a call's way takes, one way, in seconds: half of the median of calls that are answered at once. None if it cannot be measured.
pub(super) fn way_of_a_call(network: &Network) -> Option<f64> {
    let transport = delayed(Arc::new(AtOnce), network);
    // Not on the caller's thread, which may drive a runtime already.
    thread::scope(|scope| {
        let measure = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
            runtime.block_on(trips(&*transport, network.delay))
        };
        scope.spawn(measure).join().ok()?
    })
}

async fn trips(transport: &dyn Transport, delay: f64) -> Option<f64> {
    let destination: ServerName = "delayed.example".parse().ok()?;
    let trip = || async {
        let began = Instant::now();
        let call = Call::new(destination.clone(), GetVersion::default());
        transport.send(call).await.ok()?;
        Some(began.elapsed().as_secs_f64())
    };
    let mut trips = Vec::new();
    for _ in 0..ROUNDS {
        // One by one where the way is short, and otherwise all at once.
        let at_once = if delay < 0.005 { 1 } else { ROUNDS };
        let round = join_all((0..at_once).map(|_| trip())).await;
        trips.extend(round.into_iter().collect::<Option<Vec<_>>>()?);
        if at_once > 1 {
            break;
        }
    }
    // The first of them teach how late the others would be.
    trips.drain(..trips.len() / 2);
    trips.sort_unstable_by(f64::total_cmp);
    Some(trips[trips.len() / 2] / 2.0)
}

/// Answers at once.
#[derive(Debug)]
struct AtOnce;

#[async_trait]
impl Transport for AtOnce {
    fn name(&self) -> &'static str {
        "at-once"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
    }

    async fn send(&self, _: Call) -> Result<Reply, CallError> {
        Ok(Reply::Message(Message::from_value(
            GetVersionReply::default(),
        )))
    }
}
