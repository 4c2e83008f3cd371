//! Answers in memory: they end with the process.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use moka::{future::Cache, policy::EvictionPolicy};

use super::{Answer, CallKey, IdempotencyStore, StoreFault};

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct MemoryAnswersOptions {
    /// Most answers.
    pub answers: u32,
    /// Most bytes of keys and answers together.
    pub bytes: u32,
    /// How long an answer is kept at most.
    pub keep: Duration,
}

impl Default for MemoryAnswersOptions {
    /// 100,000 answers, 64 MiB, a day.
    fn default() -> Self {
        Self {
            answers: 100_000,
            bytes: 64 << 20,
            keep: Duration::from_secs(24 * 3600),
        }
    }
}

/// Keeps answers in memory. The oldest are forgotten first.
#[derive(Clone)]
pub struct MemoryAnswers(Cache<CallKey, Answer>);

impl MemoryAnswers {
    /// Keeps as much as the options say.
    pub fn new(options: MemoryAnswersOptions) -> Self {
        // One bound for both: no answer weighs less than its share of the bytes.
        let least = options.bytes.div_ceil(options.answers.max(1));
        let cache = Cache::builder()
            .max_capacity(options.bytes.into())
            .weigher(move |key: &CallKey, answer: &Answer| {
                let bytes = key.key.len() + key.origin.as_str().len() + answer.content.len();
                u32::try_from(bytes).unwrap_or(u32::MAX).max(least)
            })
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(options.keep)
            .build();
        Self(cache)
    }
}

impl Default for MemoryAnswers {
    fn default() -> Self {
        Self::new(MemoryAnswersOptions::default())
    }
}

impl fmt::Debug for MemoryAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryAnswers")
            .field("answers", &self.0.entry_count())
            .field("bytes", &self.0.weighted_size())
            .finish()
    }
}

#[async_trait]
impl IdempotencyStore for MemoryAnswers {
    async fn find(&self, key: &CallKey) -> Result<Option<Answer>, StoreFault> {
        Ok(self.0.get(key).await)
    }

    async fn keep(&self, key: &CallKey, mut answer: Answer) -> Result<(), StoreFault> {
        // It may be a piece of a larger buffer, which it would hold on to.
        answer.content = Bytes::copy_from_slice(&answer.content);
        self.0.insert(key.clone(), answer).await;
        Ok(())
    }
}
