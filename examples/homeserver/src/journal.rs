//! What changed, on its way to the disk.
//!
//! A change is recorded under the lock of what it changes, which costs nothing but a place in a queue; one thread writes all that has
//! gathered as one transaction of the database. Who answers for a change waits until it is [`saved`](Journal::saved) first. The disk has
//! the changes in their order: what is lost by a crash is the latest ones, of which nobody was told.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use comity_core::error::FederationError;
use redb::{Database, Error, WriteTransaction};
use tokio::sync::watch;

use crate::homeserver::lock;

/// One change of the database.
pub(crate) type Change = Box<dyn FnOnce(&WriteTransaction) -> Result<(), Error> + Send>;

/// The disk does not take what changed. Nothing that changed since is answered any more.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the server's state cannot be written to disk: {0}")]
pub struct Unsaved(String);

impl From<Unsaved> for FederationError {
    fn from(unsaved: Unsaved) -> Self {
        Self::internal(unsaved.to_string())
    }
}

/// The queue of changes, and the thread that writes them.
pub(crate) struct Journal {
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    done: watch::Sender<Done>,
}

/// As long as it is only as many calls that change something as the server lets in at once, each waits for its own to be saved.
#[derive(Default)]
struct Waiting {
    changes: Vec<Change>,
    /// How many were recorded, ever.
    recorded: u64,
    closed: bool,
}

#[derive(Clone, Debug, Default)]
struct Done {
    /// How many are on the disk.
    saved: u64,
    failed: Option<Unsaved>,
}

impl Journal {
    pub(crate) fn start(database: Database) -> std::io::Result<Self> {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            done: watch::Sender::default(),
        });
        let writing = queue.clone();
        let writer = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writing.write_all(&database))?;
        Ok(Self {
            queue,
            writer: Some(writer),
        })
    }

    pub(crate) fn record(&self, change: Change) {
        let mut waiting = lock(&self.queue.waiting);
        waiting.changes.push(change);
        waiting.recorded += 1;
        self.queue.wake.notify_one();
    }

    /// Waits until all that was recorded before this call is on the disk. Dropping the future changes nothing.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) async fn saved(&self) -> Result<(), Unsaved> {
        let recorded = lock(&self.queue.waiting).recorded;
        let mut done = self.queue.done.subscribe();
        let reached = done.wait_for(|done| done.failed.is_some() || done.saved >= recorded);
        let reached = reached.await.expect("the queue holds the sender");
        reached.failed.clone().map_or(Ok(()), Err)
    }

    /// Waits until the disk fails.
    pub(crate) async fn failed(&self) -> Unsaved {
        let mut done = self.queue.done.subscribe();
        let failed = done.wait_for(|done| done.failed.is_some()).await;
        let failed = failed.expect("the queue holds the sender");
        failed.failed.clone().expect("that was waited for")
    }
}

/// Writes what is left and closes the file.
impl Drop for Journal {
    fn drop(&mut self) {
        lock(&self.queue.waiting).closed = true;
        self.queue.wake.notify_one();
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has been printed.
            let _ = writer.join();
        }
    }
}

impl Queue {
    fn write_all(&self, database: &Database) {
        while let Some((changes, recorded)) = self.next() {
            let written = write(database, changes);
            self.done.send_modify(|done| match written {
                Ok(()) => done.saved = recorded,
                Err(error) => done.failed = Some(Unsaved(error.to_string())),
            });
            if let Some(why) = &self.done.borrow().failed {
                tracing::error!(%why);
                return;
            }
        }
    }

    /// All changes that wait, and how many there ever were with them; `None` at the end.
    fn next(&self) -> Option<(Vec<Change>, u64)> {
        let mut waiting = lock(&self.waiting);
        while waiting.changes.is_empty() && !waiting.closed {
            let woken = self.wake.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
        let changes = std::mem::take(&mut waiting.changes);
        (!changes.is_empty()).then_some((changes, waiting.recorded))
    }
}

/// One transaction; redb waits for the disk by default.
fn write(database: &Database, changes: Vec<Change>) -> Result<(), Error> {
    let transaction = database.begin_write()?;
    for change in changes {
        change(&transaction)?;
    }
    transaction.commit()?;
    Ok(())
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use redb::{
        ReadableDatabase, ReadableTableMetadata, TableDefinition, backends::InMemoryBackend,
    };

    use super::*;

    const NUMBERS: TableDefinition<'_, u64, ()> = TableDefinition::new("numbers");

    fn journal() -> Journal {
        let database = Database::builder().create_with_backend(InMemoryBackend::new());
        Journal::start(database.unwrap()).unwrap()
    }

    fn put(number: u64) -> Change {
        Box::new(move |transaction| {
            transaction.open_table(NUMBERS)?.insert(number, ())?;
            Ok(())
        })
    }

    #[tokio::test]
    async fn all_that_was_recorded_is_written_also_at_the_end() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let journal = Journal::start(Database::create(path.path()).unwrap()).unwrap();
        for number in 0..1_000 {
            journal.record(put(number));
            if number == 500 {
                journal.saved().await.unwrap();
            }
        }
        drop(journal);
        let database = Database::open(path.path()).unwrap();
        let table = database.begin_read().unwrap().open_table(NUMBERS).unwrap();
        assert_eq!(table.len().unwrap(), 1_000);
    }

    #[tokio::test]
    async fn after_the_disk_failed_nothing_counts_as_saved() {
        let journal = journal();
        journal.record(put(1));
        journal.saved().await.unwrap();
        journal.record(Box::new(|_| Err(Error::Corrupted("the disk".to_owned()))));
        for _ in 0..2 {
            let error = journal.saved().await.unwrap_err();
            assert!(error.to_string().contains("the disk"), "{error}");
            journal.record(put(2));
        }
        assert!(journal.failed().await.to_string().contains("the disk"));
        let answer = FederationError::from(journal.saved().await.unwrap_err());
        assert_eq!(answer.http_status(), 500);
    }
}
