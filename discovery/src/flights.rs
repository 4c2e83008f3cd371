//! Work that is done once for all who ask for it while it is under way.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};

/// What one flight gives everybody; `None` if its task was lost, with the runtime or by a panic.
pub(crate) type Flight<V> = Shared<BoxFuture<'static, Option<V>>>;

/// Flights by key, a limited number of them. Each is a task of its own: those who wait may come and go.
#[derive(Debug)]
pub(crate) struct Flights<K, V> {
    under_way: Arc<Mutex<HashMap<K, Flight<V>>>>,
    limit: usize,
}

/// More work is under way than the limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            under_way: Arc::default(),
            limit,
        }
    }

    /// The flight for this key. If none is under way, `work` is begun; nobody has to wait for what this gives.
    pub(crate) fn join<W>(&self, key: &K, work: impl FnOnce() -> W) -> Result<Flight<V>, Full>
    where
        W: Future<Output = V> + Send + 'static,
    {
        let mut under_way = lock(&self.under_way);
        if let Some(flight) = under_way.get(key) {
            return Ok(flight.clone());
        }
        if under_way.len() >= self.limit {
            return Err(Full);
        }
        let landing = Landing {
            under_way: Arc::clone(&self.under_way),
            key: key.clone(),
        };
        let work = work();
        let task = tokio::spawn(async move {
            let _landing = landing;
            work.await
        });
        let flight = task.map(Result::ok).boxed().shared();
        under_way.insert(key.clone(), flight.clone());
        Ok(flight)
    }
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
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_share_one_flight_and_need_not_wait_for_it() {
        let flights: Flights<u8, usize> = Flights::new(2);
        let flown = Arc::new(AtomicUsize::new(0));
        let work = || {
            let flown = Arc::clone(&flown);
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                flown.fetch_add(1, Ordering::SeqCst) + 1
            }
        };
        // One who leaves does not take the flight along.
        drop(flights.join(&1, work).unwrap());
        let all = (0..100).map(|_| flights.join(&1, work).unwrap());
        let all = futures_util::future::join_all(all).await;
        assert!(all.iter().all(|one| *one == Some(1)), "{all:?}");
        assert_eq!(flights.join(&1, work).unwrap().await, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_a_limit_and_what_ended_or_panicked_does_not_count() {
        let flights: Flights<u8, ()> = Flights::new(1);
        let lost = flights.join(&1, || async { panic!("lost") }).unwrap();
        assert!(flights.join(&2, || async {}).is_err());
        assert_eq!(lost.await, None);
        assert_eq!(flights.join(&2, || async {}).unwrap().await, Some(()));
        assert!(flights.join(&3, || async {}).is_ok());
    }
}
