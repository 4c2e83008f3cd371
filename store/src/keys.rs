//! Key documents of other servers, the least recently fetched of them forgotten first.

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    ServerName,
    auth::{KeyStore, KeyStoreError, MAX_VALIDITY_MS, StoredKeys},
};
use redb::{ReadableTable as _, TableDefinition, WriteTransaction};

use crate::{Store, StoreError};

/// By server: when the document was fetched, whether the server itself gave it, and its text.
const DOCUMENTS: TableDefinition<'_, &str, (i64, bool, &[u8])> = TableDefinition::new("keys");

/// Servers by when their documents were fetched.
const BY_AGE: TableDefinition<'_, (i64, &str), ()> = TableDefinition::new("keys_by_age");

/// How many documents there are, and how many bytes they have.
const TOTALS: TableDefinition<'_, &str, u64> = TableDefinition::new("keys_totals");

const DOCUMENT_COUNT: &str = "documents";
const BYTE_COUNT: &str = "bytes";

/// How much later than the one that is kept another document may have been fetched, in milliseconds: no document counts for longer than seven days.
const AHEAD: i64 = MAX_VALIDITY_MS;

/// Most documents that are dropped as fetched ahead of time when another is kept.
const DROPPED_AT_ONCE: usize = 16;

/// Bounds on the key documents that are kept. Over one of them those that were fetched the longest time ago go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTableOptions {
    /// Most documents.
    pub documents: u64,
    /// Most bytes of documents. The file is larger, by redb's pages.
    pub bytes: u64,
}

impl Default for KeyTableOptions {
    /// 100,000 documents, 256 MiB.
    fn default() -> Self {
        Self {
            documents: 100_000,
            bytes: 256 << 20,
        }
    }
}

#[derive(Debug)]
pub(crate) struct KeyTable {
    store: Store,
    options: KeyTableOptions,
}

impl KeyTable {
    pub(crate) fn new(store: Store, options: KeyTableOptions) -> Self {
        Self { store, options }
    }
}

/// Makes the tables, or finds that the file has others of these names.
pub(crate) fn create(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(DOCUMENTS)?;
    transaction.open_table(BY_AGE)?;
    transaction.open_table(TOTALS)?;
    Ok(())
}

#[async_trait]
impl KeyStore for KeyTable {
    async fn load(&self, server: &ServerName) -> Result<Option<StoredKeys>, KeyStoreError> {
        let server = server.clone();
        let loaded = self.store.read(move |transaction| {
            let documents = transaction.open_table(DOCUMENTS)?;
            let found = documents.get(server.as_str())?;
            Ok(found.map(|record| {
                let (fetched_at, direct, document) = record.value();
                StoredKeys {
                    document: Bytes::copy_from_slice(document),
                    fetched_at,
                    direct,
                }
            }))
        });
        loaded.await.map_err(failed)
    }

    async fn save(&self, server: &ServerName, keys: StoredKeys) -> Result<(), KeyStoreError> {
        let (server, options) = (server.clone(), self.options.clone());
        let saved = self
            .store
            .write(move |transaction| save(transaction, server.as_str(), &keys, &options));
        saved.await.map_err(failed)
    }
}

fn failed(error: StoreError) -> KeyStoreError {
    KeyStoreError(Box::new(error))
}

fn save(
    transaction: &WriteTransaction,
    server: &str,
    keys: &StoredKeys,
    options: &KeyTableOptions,
) -> Result<(), redb::Error> {
    let mut documents = transaction.open_table(DOCUMENTS)?;
    let mut by_age = transaction.open_table(BY_AGE)?;
    let mut totals = transaction.open_table(TOTALS)?;
    let total = |name| -> Result<u64, redb::Error> {
        Ok(totals.get(name)?.map_or(0, |record| record.value()))
    };
    let (mut count, mut bytes) = (total(DOCUMENT_COUNT)?, total(BYTE_COUNT)?);

    let new = (keys.fetched_at, keys.direct, &keys.document[..]);
    if let Some(old) = documents.insert(server, new)? {
        let (fetched_at, _, document) = old.value();
        by_age.remove((fetched_at, server))?;
        count = count.saturating_sub(1);
        bytes = bytes.saturating_sub(document.len() as u64);
    }
    by_age.insert((keys.fetched_at, server), ())?;
    count += 1;
    bytes = bytes.saturating_add(keys.document.len() as u64);

    // What a clock that was ahead has left would be young for ever, and crowd out what comes.
    let too_new = keys.fetched_at.saturating_add(AHEAD);
    let mut ahead = 0;
    loop {
        let newest = by_age.last()?.map(|(age, _)| age.value().0);
        let is_ahead = ahead < DROPPED_AT_ONCE && newest.is_some_and(|at| at > too_new);
        let gone = if is_ahead {
            ahead += 1;
            by_age.pop_last()?
        } else if count > options.documents || bytes > options.bytes {
            by_age.pop_first()?
        } else {
            break;
        };
        let Some((gone, _)) = gone else {
            break;
        };
        let (_, server) = gone.value();
        if let Some(old) = documents.remove(server)? {
            let (_, _, document) = old.value();
            count = count.saturating_sub(1);
            bytes = bytes.saturating_sub(document.len() as u64);
        }
    }
    totals.insert(DOCUMENT_COUNT, count)?;
    totals.insert(BYTE_COUNT, bytes)?;
    Ok(())
}
