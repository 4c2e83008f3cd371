//! Answers that were given: found again after a restart, for a day, within bounds.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use comity_core::{
    api::SendTransaction,
    auth::Origin,
    call::{AnyRequest, Call, CallContext, Endpoint, Message, Reply, operation},
    endpoint::{EndpointParts, read_content},
    error::CallError,
    json::Object,
    layers::{Answer, CallKey, Idempotency, IdempotencyStore, RunToEnd},
};
use comity_store::{AnswerTableOptions, Store};
use tower::{ServiceBuilder, ServiceExt, service_fn};

fn key(origin: &str, key: &str) -> CallKey {
    CallKey {
        origin: origin.parse().unwrap(),
        operation: "SendTransaction",
        key: key.to_owned(),
    }
}

fn answer(at: i64, content: &'static str) -> Answer {
    Answer {
        digest: [7; 32],
        content: Bytes::from_static(content.as_bytes()),
        at,
    }
}

fn file() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    (folder, path)
}

fn opened(path: &Path, options: AnswerTableOptions) -> Arc<dyn IdempotencyStore> {
    Store::open(path).unwrap().answers_with(options)
}

async fn found(store: &Arc<dyn IdempotencyStore>, keys: impl Iterator<Item = CallKey>) -> usize {
    let mut found = 0;
    for key in keys {
        found += usize::from(store.find(&key).await.unwrap().is_some());
    }
    found
}

#[tokio::test]
async fn an_answer_is_found_after_a_restart_as_it_was_kept() {
    let (_folder, path) = file();
    // Whatever a peer chooses for a key.
    let keys = [
        key("a.example", "1"),
        key("b.example", "1"),
        key("a.example", ""),
        key("a.example", "1\u{0}2"),
        key("a.example", "\u{1f310}/%2F"),
    ];
    let store = opened(&path, AnswerTableOptions::default());
    for (at, key) in keys.iter().enumerate() {
        let at = i64::try_from(at).unwrap();
        store.keep(key, answer(at, r#"{"pdus":{}}"#)).await.unwrap();
    }
    store.keep(&keys[0], answer(9, "{}")).await.unwrap();
    drop(store);
    let store = opened(&path, AnswerTableOptions::default());
    let first = store.find(&keys[0]).await.unwrap();
    assert_eq!(first, Some(answer(9, "{}")));
    for (at, key) in keys.iter().enumerate().skip(1) {
        let at = i64::try_from(at).unwrap();
        let kept = store.find(key).await.unwrap();
        assert_eq!(kept, Some(answer(at, r#"{"pdus":{}}"#)));
    }
    assert_eq!(store.find(&key("a.example", "2")).await.unwrap(), None);
}

#[tokio::test]
async fn over_the_bounds_the_oldest_go() {
    let number = |number: i64| key("a.example", &number.to_string());
    for options in [
        AnswerTableOptions {
            answers: 10,
            ..AnswerTableOptions::default()
        },
        AnswerTableOptions {
            // Ten of 9 + 15 + 2 + 2 + 40 bytes.
            bytes: 680,
            ..AnswerTableOptions::default()
        },
    ] {
        let (_folder, path) = file();
        let store = opened(&path, options.clone());
        for at in 10..60 {
            store.keep(&number(at), answer(at, "{}")).await.unwrap();
        }
        assert_eq!(found(&store, (10..60).map(number)).await, 10);
        assert_eq!(found(&store, (50..60).map(number)).await, 10);
        // Kept again, an answer is young again and counts once.
        store.keep(&number(50), answer(60, "{}")).await.unwrap();
        store.keep(&number(61), answer(61, "{}")).await.unwrap();
        assert_eq!(found(&store, [number(50), number(51)].into_iter()).await, 1);
        assert!(store.find(&number(50)).await.unwrap().is_some());
        // The count holds over a restart.
        drop(store);
        let store = opened(&path, options);
        store.keep(&number(62), answer(62, "{}")).await.unwrap();
        assert_eq!(found(&store, (10..63).map(number)).await, 10);
    }
}

#[tokio::test]
async fn what_is_too_old_goes_although_there_is_room() {
    let (_folder, path) = file();
    let options = AnswerTableOptions {
        keep: Duration::from_millis(100),
        ..AnswerTableOptions::default()
    };
    let store = opened(&path, options);
    let number = |number: i64| key("a.example", &number.to_string());
    for at in 0..100 {
        store.keep(&number(at), answer(at, "{}")).await.unwrap();
    }
    assert_eq!(found(&store, (0..100).map(number)).await, 100);
    for at in 1_000..1_007 {
        store.keep(&number(at), answer(at, "{}")).await.unwrap();
    }
    assert_eq!(found(&store, (0..100).map(number)).await, 0);
    assert_eq!(found(&store, (1_000..1_007).map(number)).await, 7);
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_has_left_crowds_nothing_out() {
    let (_folder, path) = file();
    let options = AnswerTableOptions {
        answers: 10,
        keep: Duration::from_millis(1_000),
        ..AnswerTableOptions::default()
    };
    let store = opened(&path, options);
    let number = |number: i64| key("a.example", &number.to_string());
    for at in [i64::MAX, i64::MAX - 1, 1 << 60]
        .into_iter()
        .chain(5_000..5_007)
    {
        store.keep(&number(at), answer(at, "{}")).await.unwrap();
    }
    for at in 0..10 {
        store.keep(&number(at), answer(at, "{}")).await.unwrap();
    }
    assert_eq!(found(&store, (0..10).map(number)).await, 10);
}

fn sent(binding: &'static str, body: &str) -> Call {
    let content = read_content(
        operation::<SendTransaction>(),
        None,
        Bytes::from(body.to_owned()),
    );
    let request = SendTransaction::read(&EndpointParts {
        path: vec!["1".to_owned()],
        content: content.unwrap(),
        ..EndpointParts::default()
    })
    .unwrap();
    let mut context = CallContext::received(binding);
    context.set_proof(Origin::danger_assume_proven(
        "a.example".parse().unwrap(),
        "test",
    ));
    let form = AnyRequest::write(&request).unwrap();
    Call::received(Box::new(request), form, context)
}

/// A server that is started on a file, is sent a call, and ends. Gives what it answered.
async fn serve_once(path: &Path, call: Call, runs: &Arc<AtomicUsize>) -> String {
    let runs = runs.clone();
    let handler = service_fn(move |_: Call| {
        let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
        let text = format!(r#"{{"run":{run}}}"#);
        let content = Object::parse(Bytes::from(text), 100).unwrap();
        let reply = Reply::Message(Message::from_content(content));
        std::future::ready(Ok::<_, CallError>(reply))
    });
    let store = Store::open(path).unwrap();
    let service = ServiceBuilder::new()
        .layer(RunToEnd::layer(10))
        .layer(Idempotency::layer(store.answers()))
        .service(handler);
    let Reply::Message(mut message) = service.oneshot(call).await.unwrap() else {
        panic!()
    };
    String::from_utf8(message.content().text().to_vec()).unwrap()
}

#[tokio::test]
async fn a_transaction_is_not_processed_again_after_a_restart_by_another_binding() {
    const BODY: &str = r#"{"origin":"a.example","origin_server_ts":1,"pdus":[]}"#;
    const OTHER: &str = r#"{"origin":"a.example","origin_server_ts":2,"pdus":[]}"#;
    let (_folder, path) = file();
    let runs = Arc::new(AtomicUsize::new(0));
    let first = serve_once(&path, sent("grpc/1", BODY), &runs).await;
    assert_eq!(serve_once(&path, sent("http/1", BODY), &runs).await, first);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_ne!(serve_once(&path, sent("http/1", OTHER), &runs).await, first);
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}
