//! One thread that writes, many writes to a transaction: a commit waits for the disk, and its price is the same for one record and for a hundred.

use std::{sync::Arc, thread::JoinHandle};

use redb::{Database, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use crate::error::{StoreError, guarded};

/// Most writes that wait.
const WAITING: usize = 1_024;

/// Most writes in one transaction.
const BATCH: usize = 256;

pub(crate) type Write = Box<dyn FnOnce(&WriteTransaction) -> Result<(), redb::Error> + Send>;

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
        let (writes, told): (Vec<Write>, Vec<_>) =
            batch.into_iter().map(|one| (one.write, one.done)).unzip();
        let written = guarded(|| commit(database, writes));
        if let Err(error) = &written {
            tracing::warn!(%error, writes = told.len(), "not written");
        }
        for done in told {
            // Nobody may wait any more.
            let _ = done.send(written.clone());
        }
    }
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

fn commit(database: &Database, writes: Vec<Write>) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for write in writes {
        write(&transaction)?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
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
    async fn one_write_that_fails_tells_all_of_its_transaction_and_ends_no_thread() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(folder.path().join("x.redb")).unwrap();
        let writer = Writer::start(Arc::new(database)).unwrap();
        let bad = writer.write(Box::new(|_| panic!("a page makes no sense")));
        let error = bad.await.unwrap_err();
        assert!(error.is_damaged(), "{error}");
        assert!(error.to_string().contains("a page makes no sense"));
        writer.write(Box::new(|_| Ok(()))).await.unwrap();
    }
}
