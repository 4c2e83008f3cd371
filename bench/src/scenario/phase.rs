//! One phase, the warm-up or what counts: when it ends, and what came of it.

use std::{
    fmt::Display,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    task::coop::consume_budget,
    time::{Instant, sleep, timeout_at},
};

use super::tally::{Done, Tally};
use crate::model::Outcome;

/// How long a caller waits behind a failure: a server that is gone is not called a million times.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Phase {
    /// Stands in IDs, so that no call of one phase is a repetition of one of another.
    pub(super) name: &'static str,
    /// When it began.
    pub(super) begun: Instant,
    /// When no call is begun any more.
    pub(super) until: Instant,
    deadline: Instant,
    limit: Duration,
    next: AtomicU64,
    tally: Mutex<Tally>,
}

impl Phase {
    pub(super) fn begin(
        name: &'static str,
        lasting: Duration,
        limit: Duration,
        latency_of: &str,
    ) -> Self {
        let begun = Instant::now();
        Self {
            name,
            begun,
            until: begun + lasting,
            deadline: begun + limit.max(lasting),
            limit: limit.max(lasting),
            next: AtomicU64::new(0),
            tally: Mutex::new(Tally::new(latency_of)),
        }
    }

    /// A number that no other call of this phase has.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a call, to the deadline at most.
    pub(super) async fn wait<T, E: Display>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        match timeout_at(self.deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!(
                "not answered when {:?} were over (`Plan::deadline`)",
                self.limit
            )),
        }
    }

    /// Has `callers` begin one after the other until time is over, each at least one, and waits for them.
    pub(super) async fn each<F, R>(&self, callers: usize, one: F)
    where
        F: Fn(u64) -> R,
        R: Future<Output = Done>,
    {
        let caller = async || {
            loop {
                let done = one(self.number()).await;
                let failed = !done.failures.is_empty();
                self.tally().add(done);
                if failed {
                    self.pause().await;
                }
                if Instant::now() >= self.until {
                    break;
                }
                // A transport that answers at once would let nothing else run.
                consume_budget().await;
            }
        };
        join_all((0..callers.max(1)).map(|_| caller())).await;
    }

    /// Waits a moment behind a failure.
    pub(super) async fn pause(&self) {
        sleep(PAUSE).await;
    }

    pub(super) fn end(self) -> Outcome {
        let took = self.begun.elapsed();
        let tally = self.tally.into_inner();
        tally.unwrap_or_else(PoisonError::into_inner).outcome(took)
    }
}
