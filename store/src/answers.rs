//! Answers that were given to keyed calls, the oldest of them forgotten first.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::layers::{Answer, CallKey, IdempotencyStore, StoreFault};
use redb::{AccessGuard, ReadableTable as _, Table, TableDefinition, WriteTransaction};

use crate::{Store, StoreError};

/// Origin, operation, and what tells a call of that operation from others.
type Key<'k> = (&'k str, &'k str, &'k str);

/// By call: when it was answered, the digest of the request, and the reply.
const ANSWERS: TableDefinition<'_, Key<'_>, (i64, &[u8; 32], &[u8])> =
    TableDefinition::new("answers");

/// Calls by when they were answered.
const BY_AGE: TableDefinition<'_, (i64, &str, &str, &str), ()> =
    TableDefinition::new("answers_by_age");

/// How many answers there are, and how many bytes they have.
const TOTALS: TableDefinition<'_, &str, u64> = TableDefinition::new("answers_totals");

const ANSWER_COUNT: &str = "answers";
const BYTE_COUNT: &str = "bytes";

/// Most answers that are dropped for their age when another is kept. It is more than one, so age wins.
const DROPPED_AT_ONCE: usize = 16;

/// Bounds on the answers that are kept. Over one of them the oldest go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerTableOptions {
    /// Most answers.
    pub answers: u64,
    /// Most bytes of answers and of what identifies their calls. The file is larger, by redb's pages.
    pub bytes: u64,
    /// How long an answer is kept.
    pub keep: Duration,
}

impl Default for AnswerTableOptions {
    /// 1,000,000 answers, 256 MiB, a day.
    fn default() -> Self {
        Self {
            answers: 1_000_000,
            bytes: 256 << 20,
            keep: Duration::from_secs(24 * 3600),
        }
    }
}

#[derive(Debug)]
pub(crate) struct AnswerTable {
    store: Store,
    options: AnswerTableOptions,
}

impl AnswerTable {
    pub(crate) fn new(store: Store, options: AnswerTableOptions) -> Self {
        Self { store, options }
    }
}

/// Makes the tables, or finds that the file has others of these names.
pub(crate) fn create(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(ANSWERS)?;
    transaction.open_table(BY_AGE)?;
    transaction.open_table(TOTALS)?;
    Ok(())
}

#[async_trait]
impl IdempotencyStore for AnswerTable {
    async fn find(&self, key: &CallKey) -> Result<Option<Answer>, StoreFault> {
        let key = key.clone();
        let found = self.store.read(move |transaction| {
            let answers = transaction.open_table(ANSWERS)?;
            let found = answers.get(of(&key))?;
            Ok(found.map(|record| {
                let (at, digest, content) = record.value();
                Answer {
                    digest: *digest,
                    content: Bytes::copy_from_slice(content),
                    at,
                }
            }))
        });
        found.await.map_err(failed)
    }

    async fn keep(&self, key: &CallKey, answer: Answer) -> Result<(), StoreFault> {
        let (key, options) = (key.clone(), self.options.clone());
        let kept = self
            .store
            .write(move |transaction| keep(transaction, of(&key), &answer, &options));
        kept.await.map_err(failed)
    }
}

fn of(key: &CallKey) -> Key<'_> {
    (key.origin.as_str(), key.operation, &key.key)
}

fn failed(error: StoreError) -> StoreFault {
    StoreFault(error.to_string())
}

/// What an answer counts for.
fn weight((origin, operation, key): Key<'_>, content: &[u8]) -> u64 {
    (origin.len() + operation.len() + key.len() + content.len() + 40) as u64
}

fn keep(
    transaction: &WriteTransaction,
    key: Key<'_>,
    answer: &Answer,
    options: &AnswerTableOptions,
) -> Result<(), redb::Error> {
    let mut answers = transaction.open_table(ANSWERS)?;
    let mut by_age = transaction.open_table(BY_AGE)?;
    let mut totals = transaction.open_table(TOTALS)?;
    let total = |name| -> Result<u64, redb::Error> {
        Ok(totals.get(name)?.map_or(0, |record| record.value()))
    };
    let (mut count, mut bytes) = (total(ANSWER_COUNT)?, total(BYTE_COUNT)?);

    let (origin, operation, name) = key;
    let new = (answer.at, &answer.digest, &answer.content[..]);
    if let Some(old) = answers.insert(key, new)? {
        let (at, _, content) = old.value();
        by_age.remove((at, origin, operation, name))?;
        count = count.saturating_sub(1);
        bytes = bytes.saturating_sub(weight(key, content));
    }
    by_age.insert((answer.at, origin, operation, name), ())?;
    count += 1;
    bytes = bytes.saturating_add(weight(key, &answer.content));

    let keep = i64::try_from(options.keep.as_millis()).unwrap_or(i64::MAX);
    let too_old = answer.at.saturating_sub(keep);
    let mut dropped = 0;
    // What a clock that was ahead has left would be young for ever, and crowd out what comes.
    let too_new = answer.at.saturating_add(keep);
    loop {
        let newest = by_age.last()?.map(|(age, _)| age.value().0);
        if dropped >= DROPPED_AT_ONCE || newest.is_none_or(|at| at <= too_new) {
            break;
        }
        let gone = by_age.pop_last()?;
        bytes = bytes.saturating_sub(forget(&mut answers, gone)?);
        count = count.saturating_sub(1);
        dropped += 1;
    }
    loop {
        let is_over = count > options.answers || bytes > options.bytes;
        let oldest = by_age.first()?.map(|(age, _)| age.value().0);
        let is_old = dropped < DROPPED_AT_ONCE && oldest.is_some_and(|at| at < too_old);
        if oldest.is_none() || !is_over && !is_old {
            break;
        }
        let gone = by_age.pop_first()?;
        bytes = bytes.saturating_sub(forget(&mut answers, gone)?);
        count = count.saturating_sub(1);
        dropped += 1;
    }
    totals.insert(ANSWER_COUNT, count)?;
    totals.insert(BYTE_COUNT, bytes)?;
    Ok(())
}

/// Removes the answer of a record of ages. Gives what it counted for.
fn forget(
    answers: &mut Table<'_, Key<'static>, (i64, &'static [u8; 32], &'static [u8])>,
    gone: Option<Gone<'_>>,
) -> Result<u64, redb::Error> {
    let Some((age, _)) = gone else { return Ok(0) };
    let (_, origin, operation, name) = age.value();
    let key = (origin, operation, name);
    let removed = answers.remove(key)?;
    Ok(removed.map_or(0, |old| weight(key, old.value().2)))
}

/// A record of ages that was removed.
type Gone<'g> = (
    AccessGuard<'g, (i64, &'static str, &'static str, &'static str)>,
    AccessGuard<'g, ()>,
);
