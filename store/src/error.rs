//! What goes wrong with a file.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A store cannot be opened, read or written. Cheap to clone: one failure may be many writers'.
#[derive(Clone, Debug, thiserror::Error)]
#[error("store{}: {kind}{}", at(path.as_deref()), self.advice())]
pub struct StoreError {
    path: Option<PathBuf>,
    kind: Arc<Kind>,
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("{0}")]
    Redb(redb::Error),
    /// redb asserts what it reads.
    #[error("the file is damaged ({0})")]
    Panicked(String),
    #[error("it was closed")]
    Stopped,
    #[error("its thread was not started: {0}")]
    Thread(std::io::Error),
}

impl StoreError {
    pub(crate) fn redb(error: redb::Error) -> Self {
        Kind::Redb(error).into()
    }

    pub(crate) fn stopped() -> Self {
        Kind::Stopped.into()
    }

    pub(crate) fn thread(error: std::io::Error) -> Self {
        Kind::Thread(error).into()
    }

    pub(crate) fn at(mut self, path: &Path) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// Whether another process, or another store of this one, has the file open.
    pub fn is_in_use(&self) -> bool {
        matches!(&*self.kind, Kind::Redb(redb::Error::DatabaseAlreadyOpen))
    }

    fn advice(&self) -> &'static str {
        if self.is_in_use() {
            "; end the other process"
        } else if self.is_damaged() {
            "; move it away, and a new one is made"
        } else {
            ""
        }
    }

    /// Whether the file holds something else than a store, or a damaged one. Nothing in a store is irreplaceable: it may be moved away.
    pub fn is_damaged(&self) -> bool {
        match &*self.kind {
            Kind::Panicked(_) | Kind::Redb(redb::Error::Corrupted(_)) => true,
            Kind::Redb(redb::Error::Io(error)) => matches!(
                error.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
            ),
            _ => false,
        }
    }
}

impl From<Kind> for StoreError {
    fn from(kind: Kind) -> Self {
        Self {
            path: None,
            kind: Arc::new(kind),
        }
    }
}

/// Runs what reads a file that anything may have happened to. redb finds most damage by itself, and asserts the rest.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StoreError> {
    // Nothing that `work` changed is looked at after a panic: the transaction is gone, the database was told so.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(StoreError::redb),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Kind::Panicked(text.unwrap_or("no reason given").to_owned()).into())
        }
    }
}

fn at(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!(" {}", path.display()))
}
