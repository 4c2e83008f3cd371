//! Events that arrive at the sender 100 times a second, and leave it in transactions.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use super::{Caller, calls::EVENTS, phase::Phase, tally::Done};

/// Time between two events.
const GAP: Duration = Duration::from_millis(10);

/// When events arrive, and how many have been sent.
struct Arrivals {
    begun: Instant,
    /// How many there will be.
    all: u64,
    sent: u64,
    /// Events that the sender was awake for: they arrive when the timer fires, which it does to the millisecond.
    late: Option<(u64, Instant)>,
}

impl Arrivals {
    fn of(phase: &Phase) -> Self {
        let lasting = phase.until - phase.begun;
        Self {
            begun: phase.begun,
            all: (lasting.as_nanos() / GAP.as_nanos()).max(1) as u64,
            sent: 0,
            late: None,
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
            self.late = Some((self.sent, Instant::now()));
        }
        true
    }

    /// Takes those that have arrived, as many as a transaction has at most: the first, and when each arrived.
    fn take(&mut self) -> (u64, Vec<Instant>) {
        let now = Instant::now();
        let first = self.sent;
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
