//! Work that is done once for all who ask for it while it is under way, and no more than so much at a time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use comity_core::error::{Delivery, TransportError, TransportErrorKind};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::{
    sync::{Semaphore, SemaphorePermit, oneshot},
    time::timeout,
};

/// What one flight gives everybody.
pub(crate) type Flight<V> = Shared<BoxFuture<'static, Result<V, TransportError>>>;

/// Flights by key, a limited number of them. Each is a task of its own: those who wait may come and go.
#[derive(Debug)]
pub(crate) struct Flights<K, V> {
    under_way: Arc<Mutex<HashMap<K, Flight<V>>>>,
    limits: Limits,
    turns: Arc<Semaphore>,
}

/// How many flights there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// What is flown for, in the plural.
    pub(crate) what: &'static str,
    /// Most flights, those included that wait for their turn.
    pub(crate) waiting: usize,
    /// Most whose turn it is.
    pub(crate) at_once: usize,
    /// The setting of that.
    pub(crate) setting: &'static str,
    /// Longest time that one waits for its turn.
    pub(crate) patience: Duration,
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            under_way: Arc::default(),
            turns: Arc::new(Semaphore::new(limits.at_once.max(1))),
            limits,
        }
    }

    /// The flight for this key. If none is under way, `work` is begun; nobody has to wait for what this gives. `work` is given what it takes its turn from.
    ///
    /// # Errors
    /// `Busy` if there are too many.
    pub(crate) fn join<W>(
        &self,
        key: &K,
        work: impl FnOnce(Turns) -> W,
    ) -> Result<Flight<V>, TransportError>
    where
        W: Future<Output = Result<V, TransportError>> + Send + 'static,
    {
        let mut under_way = lock(&self.under_way);
        if let Some(flight) = under_way.get(key) {
            return Ok(flight.clone());
        }
        if under_way.len() >= self.limits.waiting {
            let Limits { what, waiting, .. } = self.limits;
            return Err(busy(format!(
                "{waiting} {what} are under way on this side (setting: max_lookups)"
            )));
        }
        let landing = Landing {
            under_way: Arc::clone(&self.under_way),
            key: key.clone(),
        };
        let what = self.limits.what;
        let (told, ended) = oneshot::channel();
        // The task is lost with the runtime, or by a panic.
        let flight = ended.map(move |ended| ended.unwrap_or_else(|_| Err(lost(what))));
        let flight = flight.boxed().shared();
        under_way.insert(key.clone(), flight.clone());
        drop(under_way);
        // Unlocked: a runtime that shuts down drops the task here and now, and its landing locks.
        let work = work(Turns {
            turns: Arc::clone(&self.turns),
            limits: self.limits,
        });
        tokio::spawn(async move {
            let landed = {
                let _landing = landing;
                work.await
            };
            // Whoever asks after this was told begins another flight.
            let _ = told.send(landed);
        });
        Ok(flight)
    }
}

/// Where a flight's turn comes from.
pub(crate) struct Turns {
    turns: Arc<Semaphore>,
    limits: Limits,
}

impl Turns {
    /// Waits for a turn. What waits is not counted as time of the work.
    ///
    /// # Errors
    /// `Busy` if it does not come soon enough.
    pub(crate) async fn take(&self) -> Result<SemaphorePermit<'_>, TransportError> {
        let Limits {
            what,
            at_once,
            setting,
            patience,
            ..
        } = self.limits;
        match timeout(patience, self.turns.acquire()).await {
            Ok(turn) => Ok(turn.expect("never closed")),
            Err(_) => Err(busy(format!(
                "{at_once} {what} at once is this side's limit, and none ended within {patience:?} (setting: {setting})"
            ))),
        }
    }
}

fn busy(message: String) -> TransportError {
    TransportError::new(TransportErrorKind::Busy, Delivery::NotSent, message)
}

fn lost(what: &str) -> TransportError {
    let message = format!("one of the {what} was abandoned");
    TransportError::new(TransportErrorKind::Resolve, Delivery::NotSent, message)
}

/// Ends a flight in whatever way its task ends.
struct Landing<K: Eq + Hash, V> {
    under_way: Arc<Mutex<HashMap<K, Flight<V>>>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        lock(&self.under_way).remove(&self.key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::time::{Instant, sleep};

    use super::*;

    fn flights<V>(waiting: usize, at_once: usize) -> Flights<u8, V>
    where
        V: Clone + Send + Sync + 'static,
    {
        Flights::new(Limits {
            what: "tests",
            waiting,
            at_once,
            setting: "tests_at_once",
            patience: Duration::from_secs(3),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_share_one_flight_and_need_not_wait_for_it() {
        let flights = flights(2, 2);
        let flown = Arc::new(AtomicUsize::new(0));
        let work = |_| {
            let flown = Arc::clone(&flown);
            async move {
                sleep(Duration::from_secs(1)).await;
                Ok(flown.fetch_add(1, Ordering::SeqCst) + 1)
            }
        };
        // One who leaves does not take the flight along.
        drop(flights.join(&1, work).unwrap());
        let all = (0..100).map(|_| flights.join(&1, work).unwrap());
        let all = join_all(all).await;
        assert!(all.iter().all(|one| matches!(one, Ok(1))), "{all:?}");
        assert_eq!(flights.join(&1, work).unwrap().await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_a_limit_and_what_ended_or_panicked_does_not_count() {
        let flights = flights(1, 1);
        let lost = flights.join(&1, |_| async { panic!("lost") }).unwrap();
        let error = flights.join(&2, |_| async { Ok(()) }).unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Busy);
        assert!(error.message().contains("max_lookups"), "{error}");
        assert_eq!(lost.await.unwrap_err().kind(), TransportErrorKind::Resolve);
        flights
            .join(&2, |_| async { Ok(()) })
            .unwrap()
            .await
            .unwrap();
        assert!(flights.join(&3, |_| async { Ok(()) }).is_ok());
    }

    #[test]
    fn a_runtime_that_shuts_down_holds_nobody_up() {
        struct JoinsAtItsEnd(Arc<Flights<u8, ()>>, std::sync::mpsc::Sender<bool>);
        impl Drop for JoinsAtItsEnd {
            fn drop(&mut self) {
                let flight = self.0.join(&1, |_| std::future::pending());
                let _ = self.1.send(flight.is_ok_and(|it| {
                    let ended = it.now_or_never();
                    ended.is_some_and(|ended| ended.is_err())
                }));
            }
        }
        let flights = Arc::new(flights(2, 2));
        let (told, ended) = std::sync::mpsc::channel();
        let joins = JoinsAtItsEnd(Arc::clone(&flights), told);
        // On a thread of its own, so that a deadlock fails the test and does not hang it.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.spawn(async move {
                let _joins = joins;
                std::future::pending::<()>().await;
            });
            runtime.block_on(tokio::task::yield_now());
            drop(runtime);
        });
        let is_lost = ended.recv_timeout(Duration::from_secs(10));
        assert_eq!(is_lost, Ok(true), "it hangs");
        assert!(lock(&flights.under_way).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_waited_for_but_not_for_ever() {
        let flights = flights(10, 2);
        let began = Instant::now();
        let work = |turns: Turns| async move {
            let _turn = turns.take().await?;
            sleep(Duration::from_secs(2)).await;
            Ok(began.elapsed().as_secs())
        };
        let all = (0..6).map(|key| flights.join(&key, work).unwrap());
        let ended: Vec<_> = join_all(all).await;
        let seconds = ended.iter().filter_map(|one| one.as_ref().ok());
        assert_eq!(seconds.collect::<Vec<_>>(), [&2, &2, &4, &4]);
        let error = ended[5].as_ref().unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Busy);
        assert!(error.message().contains("tests_at_once"), "{error}");
        assert!(error.message().contains('2'), "{error}");
    }
}
