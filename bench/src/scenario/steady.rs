//! Events that arrive at the sender 100 times a second, and leave it in transactions.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use super::{Caller, calls::EVENTS, phase::Phase, tally::Done};

/// Time between two events.
pub(super) const GAP: Duration = Duration::from_millis(10);

/// How much later than due a timer fires on a machine that has nothing else to do.
pub(super) const TIMER: Duration = Duration::from_millis(2);

/// When events arrive, and how many have been sent.
struct Arrivals {
    begun: Instant,
    /// How many there will be.
    all: u64,
    sent: u64,
    /// The event that the sender waited for: it arrives when the timer fires, [`TIMER`] late at most.
    late: Option<(u64, Instant)>,
    /// The most events that had arrived and were not sent when a transaction left.
    waited: u64,
}

impl Arrivals {
    fn of(phase: &Phase) -> Self {
        let lasting = phase.until - phase.begun;
        Self {
            begun: phase.begun,
            all: (lasting.as_nanos() / GAP.as_nanos()).max(1) as u64,
            sent: 0,
            late: None,
            waited: 0,
        }
    }

    /// When the event with this number arrives.
    fn time(&self, number: u64) -> Instant {
        match self.late {
            Some((late, time)) if late == number => time,
            _ => self.begun + GAP * number as u32,
        }
    }

    /// Waits for the next event that is to be sent; `false` if there is none any more. Dropping the future loses nothing.
    async fn next(&mut self) -> bool {
        if self.sent == self.all {
            return false;
        }
        let due = self.time(self.sent);
        if due > Instant::now() {
            sleep_until(due).await;
            // A timer fires to the millisecond; what it is later than that is the sender's own lateness, and part of the latency.
            self.late = Some((self.sent, Instant::now().min(due + TIMER)));
        }
        true
    }

    /// Takes those that have arrived, as many as a transaction has at most: the first, and when each arrived.
    fn take(&mut self) -> (u64, Vec<Instant>) {
        let now = Instant::now();
        let first = self.sent;
        let arrived = (now - self.begun).as_nanos() / GAP.as_nanos() + 1;
        let arrived = self.all.min(arrived as u64);
        self.waited = self.waited.max(arrived.saturating_sub(first));
        let mut times = Vec::new();
        while self.sent < self.all
            && (times.len() as u64) < EVENTS
            && (times.is_empty() || self.time(self.sent) <= now)
        {
            times.push(self.time(self.sent));
            self.sent += 1;
        }
        (first, times)
    }
}

impl Caller<'_> {
    /// Sends what has come whenever there is a lane: one, and what came meanwhile goes into the next transaction; or so many that each event leaves as it comes.
    pub(super) async fn steady(&self, phase: &Phase, lanes: usize) {
        let mut arrivals = Arrivals::of(phase);
        let mut under_way = FuturesUnordered::new();
        let mut more = true;
        loop {
            let free = more && under_way.len() < lanes.max(1);
            tokio::select! {
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                next = arrivals.next(), if free => match next {
                    true => {
                        let (first, times) = arrivals.take();
                        under_way.push(self.events(phase, first, times));
                    }
                    false => more = false,
                },
                else => break,
            }
        }
        // Where nothing can keep up, latency is that of a queue which grows as long as it is measured.
        let last = phase.begun + GAP * arrivals.all as u32;
        let behind = Instant::now().saturating_duration_since(last);
        let waited = arrivals.waited;
        if waited > EVENTS {
            phase.tally().note(format!(
                "arrivals were not kept up with: {waited} events waited for a transaction at once, and the last was delivered {behind:.1?} after all had arrived; the latency is that of a queue"
            ));
        }
    }

    async fn events(&self, phase: &Phase, first: u64, times: Vec<Instant>) {
        let server = &self.setting.servers[0];
        let number = phase.number();
        let count = times.len() as u64;
        let done = self.transaction(phase, server, number, first, count).await;
        let acknowledged = Instant::now();
        let failed = !done.failures.is_empty();
        {
            let mut tally = phase.tally();
            if !failed {
                for arrived in times {
                    tally.latency(acknowledged - arrived);
                }
            }
            tally.add(Done {
                latency: None,
                ..done
            });
        }
        if failed {
            phase.pause().await;
        }
    }
}
