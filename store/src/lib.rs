//! What a server keeps over a restart, in one file of redb.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use comity_core::{Client, auth::{KeyRing, KeyRingOptions}};
//! use comity_store::Store;
//!
//! fn ring(client: Client) -> Result<KeyRing, comity_store::StoreError> {
//!     let store = Store::open("comity.redb")?;
//!     Ok(KeyRing::new(client, KeyRingOptions::default()).with_store(store.keys()))
//! }
//! ```
//!
//! | Part | What it keeps | Limits |
//! | --- | --- | --- |
//! | [`Store::answers`] | answers that were given to keyed calls | 1,000,000 answers, 256 MiB, a day: [`AnswerTableOptions`] |
//! | [`Store::keys`] | key documents of other servers | 100,000 documents, 256 MiB: [`KeyTableOptions`] |
//!
//! Writes go to one thread, which commits those that have gathered as one transaction: at most 1,024 wait, further writers wait with them. If one of them
//! fails, each is committed by itself. Reads run on Tokio's blocking threads, 8 at once. Nothing is done on an async thread but the drop of whoever holds the
//! store last, which waits for the writes: [`Store::close`] waits elsewhere. A file belongs to one process at a time.

#![forbid(unsafe_code)]

mod answers;
mod error;
mod keys;
mod writer;

use std::{fmt, path::Path, sync::Arc};

use comity_core::{auth::KeyStore, layers::IdempotencyStore};
use redb::{Database, ReadTransaction, ReadableDatabase as _, WriteTransaction};
use tokio::sync::Semaphore;

use answers::AnswerTable;
pub use answers::AnswerTableOptions;
pub use error::StoreError;
use keys::KeyTable;
pub use keys::KeyTableOptions;
use writer::Writer;

/// Most memory that redb uses for pages, in bytes.
const PAGE_CACHE: usize = 16 << 20;

/// Most reads at once.
const READS: usize = 8;

/// One file. Clones share it; it is closed when the last of them, and the last of what they gave, is dropped, after the writes that wait: that drop blocks.
/// On an async thread rather let the others go first, and [`close`](Self::close) the last.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    // Dropped first: it ends its thread, which holds the database too.
    writer: Writer,
    database: Arc<Database>,
    reads: Arc<Semaphore>,
}

impl Store {
    /// Opens the file, or makes it. Blocks while redb repairs a file that was not closed; call it before serving.
    ///
    /// # Errors
    /// [`StoreError`]: the file is in use, cannot be read or written, or is no store.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let database = error::guarded(|| {
            let database = Database::builder()
                .set_cache_size(PAGE_CACHE)
                .create(path)
                .map_err(redb::Error::from)?;
            // A table that cannot be read is found now, not on the first call.
            let tables = database.begin_write().map_err(redb::Error::from)?;
            keys::create(&tables)?;
            answers::create(&tables)?;
            tables.commit().map_err(redb::Error::from)?;
            Ok(database)
        })
        .map_err(|error| error.at(path))?;
        let database = Arc::new(database);
        let writer = Writer::start(database.clone()).map_err(|error| error.at(path))?;
        Ok(Self {
            shared: Arc::new(Shared {
                writer,
                database,
                reads: Arc::new(Semaphore::new(READS)),
            }),
        })
    }

    /// The key documents of other servers, for a [`KeyRing`](comity_core::auth::KeyRing).
    pub fn keys(&self) -> Arc<dyn KeyStore> {
        self.keys_with(KeyTableOptions::default())
    }

    /// As [`keys`](Self::keys), with other bounds.
    pub fn keys_with(&self, options: KeyTableOptions) -> Arc<dyn KeyStore> {
        Arc::new(KeyTable::new(self.clone(), options))
    }

    /// The answers that were given to keyed calls, for an [`Idempotency`](comity_core::layers::Idempotency).
    pub fn answers(&self) -> Arc<dyn IdempotencyStore> {
        self.answers_with(AnswerTableOptions::default())
    }

    /// As [`answers`](Self::answers), with other bounds.
    pub fn answers_with(&self, options: AnswerTableOptions) -> Arc<dyn IdempotencyStore> {
        Arc::new(AnswerTable::new(self.clone(), options))
    }

    /// Drops this one on a blocking thread. If it is the last, the writes that wait are durable, and the file is closed, when this returns. Dropping the
    /// future does not stop it.
    pub async fn close(self) {
        // It fails only if dropping panics, or at the end of the runtime: then it was dropped there.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// Reads on a blocking thread.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = self.shared.reads.clone().acquire_owned().await;
        let database = self.shared.database.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            error::guarded(|| read(&database.begin_read().map_err(redb::Error::from)?))
        });
        reading.await.map_err(|_| StoreError::stopped())?
    }

    /// Writes, in one transaction with what others write just then. Returns when it is durable.
    pub(crate) async fn write(
        &self,
        write: impl Fn(&WriteTransaction) -> Result<(), redb::Error> + Send + 'static,
    ) -> Result<(), StoreError> {
        self.shared.writer.write(Box::new(write)).await
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn closing_waits_for_what_is_written_and_keeps_no_async_thread() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.redb");
        let store = Store::open(&path).unwrap();
        // Given up by whoever wrote it, but under way.
        let slow = store.write(|_| {
            std::thread::sleep(Duration::from_millis(300));
            Ok(())
        });
        let _ = tokio::time::timeout(Duration::from_millis(10), slow).await;
        let begun = Instant::now();
        let (mut closing, mut longest) = (std::pin::pin!(store.close()), Duration::ZERO);
        loop {
            let turn = Instant::now();
            tokio::select! {
                () = &mut closing => break,
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
            longest = longest.max(turn.elapsed());
        }
        assert!(begun.elapsed() > Duration::from_millis(150), "it waited");
        assert!(longest < Duration::from_millis(150), "{longest:?}");
        Store::open(&path).unwrap();
    }
}
