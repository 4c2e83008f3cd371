//! Key documents: kept, replaced, forgotten.

use bytes::Bytes;
use comity_core::auth::StoredKeys;
use comity_store::{KeyTableOptions, Store};

use crate::servers::name;

fn stored(document: &'static str, fetched_at: i64) -> StoredKeys {
    StoredKeys {
        document: Bytes::from_static(document.as_bytes()),
        fetched_at,
        direct: true,
    }
}

#[tokio::test]
async fn the_last_document_of_a_server_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let a = name("a.example");
    {
        let keys = Store::open(&path).unwrap().keys();
        assert_eq!(keys.load(&a).await.unwrap(), None);
        keys.save(&a, stored("one", 1)).await.unwrap();
        keys.save(&a, stored("two", 2)).await.unwrap();
        keys.save(&name("A.example"), stored("other", 3))
            .await
            .unwrap();
        assert_eq!(keys.load(&a).await.unwrap(), Some(stored("two", 2)));
        let from_a_notary = StoredKeys {
            direct: false,
            ..stored("two", 2)
        };
        let b = name("b.example");
        keys.save(&b, from_a_notary.clone()).await.unwrap();
        assert_eq!(keys.load(&b).await.unwrap(), Some(from_a_notary));
    }
    let keys = Store::open(&path).unwrap().keys();
    assert_eq!(keys.load(&a).await.unwrap(), Some(stored("two", 2)));
}

#[tokio::test]
async fn over_a_bound_those_fetched_the_longest_time_ago_go() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store.redb")).unwrap();
    let keys = store.keys_with(KeyTableOptions {
        documents: 10,
        ..Default::default()
    });
    let server = |n: i64| name(&format!("x{n}.example"));
    for n in 0..30 {
        keys.save(&server(n), stored("{}", n)).await.unwrap();
        // Fetched again each time.
        keys.save(&server(0), stored("{}", n)).await.unwrap();
    }
    let mut kept = Vec::new();
    for n in 0..30 {
        if keys.load(&server(n)).await.unwrap().is_some() {
            kept.push(n);
        }
    }
    assert_eq!(kept, [0, 21, 22, 23, 24, 25, 26, 27, 28, 29]);
}

#[tokio::test]
async fn bytes_are_bounded_too_and_the_count_of_them_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let options = KeyTableOptions {
        bytes: 100,
        ..Default::default()
    };
    let thirty = "012345678901234567890123456789";
    for n in 0..5 {
        let keys = Store::open(&path).unwrap().keys_with(options.clone());
        let server = name(&format!("x{n}.example"));
        keys.save(&server, stored(thirty, n)).await.unwrap();
    }
    let keys = Store::open(&path).unwrap().keys_with(options);
    for n in 0..5 {
        let found = keys.load(&name(&format!("x{n}.example"))).await.unwrap();
        assert_eq!(found.is_some(), n >= 2, "{n}");
    }
}

#[tokio::test]
async fn a_document_that_is_written_again_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store.redb")).unwrap();
    let keys = store.keys_with(KeyTableOptions {
        documents: 3,
        bytes: 15,
    });
    let (a, b) = (name("a.example"), name("b.example"));
    keys.save(&b, stored("other", 0)).await.unwrap();
    for n in 1..20 {
        keys.save(&a, stored("again", n)).await.unwrap();
    }
    assert!(keys.load(&a).await.unwrap().is_some());
    assert!(keys.load(&b).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_writes_at_once_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = Store::open(&path).unwrap();
    let writes: Vec<_> = (0..2_000)
        .map(|n| {
            let keys = store.keys();
            tokio::spawn(async move {
                let server = name(&format!("x{n}.example"));
                keys.save(&server, stored("{}", n)).await.unwrap();
            })
        })
        .collect();
    for write in writes {
        write.await.unwrap();
    }
    drop(store);
    let keys = Store::open(&path).unwrap().keys();
    for n in 0..2_000 {
        let found = keys.load(&name(&format!("x{n}.example"))).await.unwrap();
        assert_eq!(found, Some(stored("{}", n)));
    }
}

#[tokio::test]
async fn writing_keeps_no_async_thread() {
    // On one thread: while a write waits for the disk, others run.
    let folder = tempfile::tempdir().unwrap();
    let keys = Store::open(folder.path().join("store.redb"))
        .unwrap()
        .keys();
    let (server, mut turns) = (name("a.example"), 0);
    let mut writing = std::pin::pin!(keys.save(&server, stored("{}", 1)));
    loop {
        tokio::select! {
            biased;
            done = &mut writing => break done.unwrap(),
            () = tokio::task::yield_now() => turns += 1,
        }
    }
    assert!(turns > 0);
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_has_left_crowds_no_document_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store.redb")).unwrap();
    let keys = store.keys_with(KeyTableOptions {
        documents: 10,
        ..Default::default()
    });
    let server = |n: i64| name(&format!("x{n}.example"));
    let ahead = [i64::MAX, i64::MAX - 1, 1 << 60, (1 << 60) - 1];
    for (n, at) in (100..).zip(ahead.into_iter().chain((1 << 50)..(1 << 50) + 6)) {
        keys.save(&server(n), stored("{}", at)).await.unwrap();
    }
    for n in 0..10 {
        keys.save(&server(n), stored("{}", n)).await.unwrap();
    }
    for n in 0..10 {
        assert!(keys.load(&server(n)).await.unwrap().is_some(), "{n}");
    }
    for n in 100..110 {
        assert!(keys.load(&server(n)).await.unwrap().is_none(), "{n}");
    }
}
