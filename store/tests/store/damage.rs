//! Files that are no store, or were one: an error that says so, never a panic.

use std::{fs, path::Path};

use bytes::Bytes;
use comity_core::auth::StoredKeys;
use comity_store::Store;

use crate::servers::{document, name};

/// A store with some documents, closed.
async fn filled(path: &Path) {
    let keys = Store::open(path).unwrap().keys();
    for n in 0..200 {
        let server = name(&format!("x{n}.example"));
        let stored = StoredKeys {
            document: document(&server),
            fetched_at: n,
            direct: true,
        };
        keys.save(&server, stored).await.unwrap();
    }
}

/// Opens it and does what a server does with it. What comes is a result.
async fn use_it(path: &Path) -> Result<(), String> {
    let keys = Store::open(path).map_err(|error| error.to_string())?.keys();
    let mut failed = Ok(());
    for n in 0..200 {
        let server = name(&format!("x{n}.example"));
        if let Err(error) = keys.load(&server).await {
            failed = Err(error.to_string());
        }
    }
    let stored = StoredKeys {
        document: Bytes::from_static(b"{}"),
        fetched_at: 1000,
        direct: true,
    };
    let saved = keys.save(&name("new.example"), stored).await;
    failed.and(saved.map_err(|error| error.to_string()))
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.redb");
    for text in [&b"this is no store"[..], &[0; 8192], &[0xff; 100_000]] {
        fs::write(&path, text).unwrap();
        let error = Store::open(&path).unwrap_err();
        assert!(error.is_damaged(), "{error:?}");
        let error = error.to_string();
        assert!(error.contains("keys.redb"), "{error}");
        assert!(error.contains("move it away"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), text, "it is left as it is");
    }
    let error = Store::open(folder.path()).unwrap_err();
    assert!(!error.is_damaged(), "a folder: {error}");
    let error = Store::open(folder.path().join("no/such/folder")).unwrap_err();
    assert!(error.to_string().contains("no/such/folder"), "{error}");
}

#[tokio::test]
async fn a_file_belongs_to_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.redb");
    let first = Store::open(&path).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(error.is_in_use(), "{error}");
    let keys = first.keys();
    drop(first);
    // What it gave still holds it.
    assert!(Store::open(&path).unwrap_err().is_in_use());
    drop(keys);
    Store::open(&path).unwrap();
}

#[tokio::test]
async fn a_file_cut_short_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.redb");
    filled(&path).await;
    let whole = fs::read(&path).unwrap();
    for part in 0..16 {
        fs::write(&path, &whole[..whole.len() * part / 16]).unwrap();
        let used = use_it(&path).await;
        // Redb makes a new file of an empty one.
        assert_eq!(used.is_ok(), part == 0, "{part}/16: {used:?}");
    }
}

#[tokio::test]
async fn a_file_with_wrong_bytes_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.redb");
    filled(&path).await;
    let whole = fs::read(&path).unwrap();
    let mut faults = 0;
    // Every page in turn.
    for start in (0..whole.len()).step_by(4096) {
        if whole[start..(start + 4096).min(whole.len())]
            .iter()
            .all(|byte| *byte == 0)
        {
            continue;
        }
        let mut bytes = whole.clone();
        for at in (start..(start + 4096).min(bytes.len())).step_by(37) {
            bytes[at] ^= 0x5a;
        }
        fs::write(&path, &bytes).unwrap();
        // Tokio would hand on a panic as a failed task, and the test would fail with it.
        let (path, used) = (path.clone(), tokio::spawn);
        faults += usize::from(
            used(async move { use_it(&path).await })
                .await
                .unwrap()
                .is_err(),
        );
    }
    assert!(faults > 3, "{faults} pages were missed");
}
