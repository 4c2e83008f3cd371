//! What is kept, and how much of it.

use std::{hash::Hash, sync::Arc};

use moka::{future::Cache, policy::EvictionPolicy};

/// Bytes of an entry that counts once.
const UNIT: usize = 1 << 10;

/// Keeps this many entries, and as many kibibytes: a larger entry counts for each that it begins. Those go first that were used least recently: names that somebody
/// makes up are asked for once.
pub(crate) fn cache<K, V>(capacity: u64, bytes: fn(&K, &V) -> usize) -> Cache<K, Arc<V>>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    Cache::builder()
        .max_capacity(capacity)
        .weigher(move |key, entry: &Arc<V>| {
            let units = bytes(key, entry).div_ceil(UNIT).max(1);
            u32::try_from(units).unwrap_or(u32::MAX)
        })
        .eviction_policy(EvictionPolicy::lru())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn left_of(number: u32, bytes: usize) -> (u64, bool) {
        let cache = cache::<u32, Vec<u8>>(2_000, |_, entry| entry.len());
        for key in 0..number {
            cache.insert(key, Arc::new(vec![0; bytes])).await;
            // In use all the time.
            cache.get(&0).await;
        }
        cache.run_pending_tasks().await;
        (cache.entry_count(), cache.contains_key(&0))
    }

    #[tokio::test]
    async fn entries_are_bounded_in_number_and_bytes_and_those_in_use_stay() {
        assert_eq!(left_of(5_000, 10).await, (2_000, true));
        assert_eq!(left_of(5_000, 10 * UNIT).await, (200, true));
        assert_eq!(left_of(50, 3_000 * UNIT).await.0, 0);
    }
}
