//! A restart makes no server ask all others at once.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use comity_core::{
    api::{Keys, QueryServerKeys},
    auth::{
        KeyRing, KeyRingOptions, KeySource, KeyStore, Notary, NotaryOptions, PublishedKeys,
        PublishedKeysOptions, ServerKeys, SigningKey, StoredKeys, now_ms,
    },
    call::CallContext,
};
use comity_store::Store;

use crate::servers::*;

fn ring(servers: &Servers, store: Arc<dyn KeyStore>) -> KeyRing {
    KeyRing::new(servers.client(), KeyRingOptions::default()).with_store(store)
}

/// Asks for a hundred keys at once.
async fn a_hundred(ring: &KeyRing) {
    let asking: Vec<_> = (0..100)
        .map(|n| {
            let ring = ring.clone();
            tokio::spawn(async move {
                let server = name(&format!("x{n}.example"));
                ring.request_key(&server, &key_id()).await.unwrap();
            })
        })
        .collect();
    for one in asking {
        one.await.unwrap();
    }
}

/// Waits until the store has them all: a ring gives a key before it is written down.
async fn written(store: &Store) {
    let keys = store.keys();
    for n in 0..100 {
        let server = name(&format!("x{n}.example"));
        while keys.load(&server).await.unwrap().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn after_a_restart_a_hundred_known_servers_are_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let servers = Servers::default();
    {
        let store = Store::open(&path).unwrap();
        a_hundred(&ring(&servers, store.keys())).await;
        assert_eq!(servers.asked(), 100);
        written(&store).await;
    }
    // The last fetch may still be about to let go of it.
    let store = loop {
        match Store::open(&path) {
            Err(error) if error.is_in_use() => tokio::task::yield_now().await,
            opened => break opened.unwrap(),
        }
    };
    servers.down.store(true, Ordering::SeqCst);
    let ring = ring(&servers, store.keys());
    a_hundred(&ring).await;
    assert_eq!(servers.asked(), 100, "nobody was asked again");
    // One that is not known is.
    let unknown = name("new.example");
    assert!(ring.request_key(&unknown, &key_id()).await.is_err());
    assert_eq!(servers.asked(), 101);
}

#[tokio::test]
async fn a_notary_gives_the_last_document_of_a_server_that_is_gone_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let (a, gone) = (name("a.example"), Servers::default());
    gone.down.store(true, Ordering::SeqCst);
    let said = document(&a);
    {
        let stored = StoredKeys {
            document: said.clone(),
            fetched_at: now_ms() - 30 * 86_400_000,
            direct: true,
        };
        let store = Store::open(&path).unwrap();
        store.keys().save(&a, stored).await.unwrap();
    }
    let store = Store::open(&path).unwrap();
    let ring = ring(&gone, store.keys());
    // For requests it has expired, by the bound of seven days; for old events and for others it is there.
    assert!(ring.request_key(&a, &key_id()).await.is_err());
    let old = ring.event_keys(&a, &[key_id()].into()).await.unwrap();
    assert_eq!(old.keys.document(), &said);
    let key = Arc::new(SigningKey::from_seed("n", &[9; 32]).unwrap());
    let own = PublishedKeys::new(name("n.example"), key, PublishedKeysOptions::default()).unwrap();
    let notary = Notary::new(own, ring, NotaryOptions::default());
    let request = QueryServerKeys {
        server_name: a.to_string(),
        ..Default::default()
    };
    let cx = CallContext::default();
    let reply = notary.query_server_keys(&cx, request).await.unwrap();
    let given = ServerKeys::parse(reply.documents().next().unwrap().text().clone()).unwrap();
    given.check_self_signed(&a).unwrap();
    assert_eq!(gone.asked(), 1);
}

#[tokio::test]
async fn what_is_in_the_store_is_checked_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store.redb")).unwrap();
    let keys = store.keys();
    let a = name("a.example");
    let good = document(&a);
    let mut tampered = good.to_vec();
    let at = good.windows(14).position(|text| text == b"valid_until_ts");
    tampered[at.unwrap() + 17] ^= 1;
    for bad in [
        Bytes::from(tampered),
        document(&name("b.example")),
        Bytes::from_static(b"{}"),
        Bytes::from_static(b"\xff\x00"),
        Bytes::new(),
        good.slice(..good.len() - 1),
    ] {
        let stored = StoredKeys {
            document: bad.clone(),
            fetched_at: now_ms(),
            direct: true,
        };
        keys.save(&a, stored).await.unwrap();
        let servers = Servers::default();
        let ring = ring(&servers, keys.clone());
        ring.request_key(&a, &key_id()).await.unwrap();
        assert_eq!(servers.asked(), 1, "{bad:?}");
        // The good one takes its place.
        while keys.load(&a).await.unwrap().unwrap().document == bad {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_document_that_was_stored_ahead_of_time_counts_from_now() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store.redb")).unwrap();
    let a = name("a.example");
    let stored = StoredKeys {
        document: document(&a),
        fetched_at: i64::MAX,
        direct: true,
    };
    store.keys().save(&a, stored).await.unwrap();
    let ring = ring(&Servers::default(), store.keys());
    let found = ring.event_keys(&a, &[key_id()].into()).await.unwrap();
    assert!(found.at <= now_ms());
}

#[tokio::test]
async fn a_store_that_fails_costs_a_fetch_and_no_key() {
    #[derive(Debug)]
    struct Broken;
    #[async_trait::async_trait]
    impl KeyStore for Broken {
        async fn load(
            &self,
            _: &comity_core::ServerName,
        ) -> Result<Option<StoredKeys>, comity_core::auth::KeyStoreError> {
            Err(comity_core::auth::KeyStoreError("broken".into()))
        }
        async fn save(
            &self,
            _: &comity_core::ServerName,
            _: StoredKeys,
        ) -> Result<(), comity_core::auth::KeyStoreError> {
            Err(comity_core::auth::KeyStoreError("broken".into()))
        }
    }
    let servers = Servers::default();
    let ring = ring(&servers, Arc::new(Broken));
    for _ in 0..3 {
        let key = ring.request_key(&name("a.example"), &key_id()).await;
        key.unwrap();
    }
    assert_eq!(servers.asked(), 1);
}
