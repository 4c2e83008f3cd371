//! One thread that writes, many writes to a transaction: a commit waits for the disk, and its price is the same for one record and for a hundred.

use std::{slice, sync::Arc, thread::JoinHandle};

use redb::{Database, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use crate::error::{StoreError, guarded};

/// Most writes that wait.
const WAITING: usize = 1_024;

/// Most writes in one transaction.
const BATCH: usize = 256;

/// One write. It is run again, alone, if the transaction that it was part of failed.
pub(crate) type Write = Box<dyn Fn(&WriteTransaction) -> Result<(), redb::Error> + Send>;

/// Takes writes. Dropped, it ends its thread after the writes that wait.
pub(crate) struct Writer {
    /// `None` while it is dropped.
    waiting: Option<mpsc::Sender<Waiting>>,
    thread: Option<JoinHandle<()>>,
}

struct Waiting {
    write: Write,
    done: oneshot::Sender<Result<(), StoreError>>,
}

impl Writer {
    pub(crate) fn start(database: Arc<Database>) -> Result<Self, StoreError> {
        let (waiting, taken) = mpsc::channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("comity-store".to_owned())
            .spawn(move || run(&database, taken))
            .map_err(StoreError::thread)?;
        Ok(Self {
            waiting: Some(waiting),
            thread: Some(thread),
        })
    }

    /// Returns when the write is durable. Dropping the future does not undo it.
    pub(crate) async fn write(&self, write: Write) -> Result<(), StoreError> {
        let (done, told) = oneshot::channel();
        let waiting = self.waiting.as_ref().ok_or_else(StoreError::stopped)?;
        let sent = waiting.send(Waiting { write, done }).await;
        sent.map_err(|_| StoreError::stopped())?;
        told.await.map_err(|_| StoreError::stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.waiting = None;
        if let Some(thread) = self.thread.take() {
            // Whoever opens the file next finds it closed. It takes as long as the last commit.
            let _ = thread.join();
        }
    }
}

fn run(database: &Database, mut taken: mpsc::Receiver<Waiting>) {
    while let Some(first) = taken.blocking_recv() {
        let batch = gather(first, &mut taken);
        match guarded(|| commit(database, &batch)) {
            Err(_) if batch.len() > 1 => {
                // The others need not fail with the one that does.
                for one in batch {
                    let written = guarded(|| commit(database, slice::from_ref(&one)));
                    tell(one, written);
                }
            }
            written => batch.into_iter().for_each(|one| tell(one, written.clone())),
        }
    }
}

fn tell(one: Waiting, written: Result<(), StoreError>) {
    if let Err(error) = &written {
        tracing::warn!(%error, "not written");
    }
    // Nobody may wait any more.
    let _ = one.done.send(written);
}

/// The first write and those that wait behind it.
fn gather(first: Waiting, taken: &mut mpsc::Receiver<Waiting>) -> Vec<Waiting> {
    let mut batch = vec![first];
    while batch.len() < BATCH
        && let Ok(next) = taken.try_recv()
    {
        batch.push(next);
    }
    batch
}

fn commit(database: &Database, batch: &[Waiting]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for one in batch {
        (one.write)(&transaction)?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use redb::{ReadableDatabase as _, ReadableTableMetadata as _, TableDefinition};

    use super::*;

    #[test]
    fn writes_that_wait_are_one_transaction_of_a_bounded_size() {
        let (waiting, mut taken) = mpsc::channel(WAITING);
        let one = || Waiting {
            write: Box::new(|_| Ok(())),
            done: oneshot::channel().0,
        };
        for _ in 0..300 {
            assert!(waiting.try_send(one()).is_ok());
        }
        assert_eq!(gather(one(), &mut taken).len(), BATCH);
        assert_eq!(gather(one(), &mut taken).len(), 300 - (BATCH - 1) + 1);
        assert_eq!(gather(one(), &mut taken).len(), 1);
    }

    #[tokio::test]
    async fn one_write_that_fails_fails_no_other_and_ends_no_thread() {
        const TABLE: TableDefinition<'_, u32, u32> = TableDefinition::new("numbers");
        let folder = tempfile::tempdir().unwrap();
        let database = Arc::new(Database::create(folder.path().join("x.redb")).unwrap());
        let (waiting, taken) = mpsc::channel(WAITING);
        // They all wait before the thread looks, so they are one transaction.
        let told: Vec<_> = (0..10)
            .map(|number| {
                let (done, told) = oneshot::channel();
                let write: Write = Box::new(move |transaction| {
                    assert!(number != 5, "a page makes no sense");
                    transaction.open_table(TABLE)?.insert(number, number)?;
                    Ok(())
                });
                assert!(waiting.try_send(Waiting { write, done }).is_ok());
                told
            })
            .collect();
        let running = {
            let database = database.clone();
            std::thread::spawn(move || run(&database, taken))
        };
        for (number, told) in told.into_iter().enumerate() {
            let written = told.await.unwrap();
            assert_eq!(written.is_err(), number == 5, "{number}: {written:?}");
            if let Err(error) = written {
                assert!(error.is_damaged(), "{error}");
                assert!(error.to_string().contains("a page makes no sense"));
            }
        }
        drop(waiting);
        running.join().unwrap();
        let table = database.begin_read().unwrap().open_table(TABLE).unwrap();
        assert_eq!(table.len().unwrap(), 9);
    }
}
