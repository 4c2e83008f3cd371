//! One phase, the warm-up or what counts: when it ends, and what came of it.

use std::{
    fmt::Display,
    future::poll_fn,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    task::{coop::consume_budget, yield_now},
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
                // A transport that answers at once would let nothing else run: neither what else the process does, nor the other callers, whose calls would seem to take as long as all is measured.
                match callers {
                    ..=1 => consume_budget().await,
                    _ => yield_now().await,
                }
            }
        };
        in_turns((0..callers.max(1)).map(|_| caller())).await;
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

/// Waits for all of them, in one task. Each time it is another one's turn to be first: what a task may do at a time is limited (`tokio::task::coop`), and the same one could use it up every time.
async fn in_turns<F: Future<Output = ()>>(callers: impl Iterator<Item = F>) {
    let mut callers: Vec<_> = callers.map(Box::pin).collect();
    poll_fn(|context| {
        callers.retain_mut(|caller| caller.as_mut().poll(context).is_pending());
        match callers.len() {
            0 => Poll::Ready(()),
            _ => {
                callers.rotate_left(1);
                Poll::Pending
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a caller does in a call without waiting for anything: as good as nothing, and more than half of, and more than, as much as a task may do at a time.
    const EFFORTS: [usize; 3] = [1, 100, 1_000];

    #[test]
    fn no_caller_waits_for_more_than_a_turn_of_the_others() {
        const CALLERS: u64 = 16;
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        for effort in EFFORTS {
            let ended = std::sync::Arc::new(AtomicU64::new(0));
            let most = std::sync::Arc::new(AtomicU64::new(0));
            let (counted, of_all) = (ended.clone(), most.clone());
            let calls = async move {
                let phase = Phase::begin("t", LASTING, LASTING, "a call");
                let one = |_| async {
                    let before = counted.load(Ordering::Relaxed);
                    for _ in 0..effort {
                        consume_budget().await;
                    }
                    let meanwhile = counted.fetch_add(1, Ordering::Relaxed) - before;
                    of_all.fetch_max(meanwhile, Ordering::Relaxed);
                    Done::one(Duration::ZERO, 0, 0)
                };
                phase.each(CALLERS as usize, one).await;
            };
            runtime.block_on(runtime.spawn(calls)).unwrap();
            let (ended, most) = (ended.load(Ordering::Relaxed), most.load(Ordering::Relaxed));
            assert!(ended >= CALLERS, "{ended}");
            assert!(most <= 4 * CALLERS, "{effort}: {most} of {ended} calls");
        }
    }

    const LASTING: Duration = Duration::from_millis(300);
}
