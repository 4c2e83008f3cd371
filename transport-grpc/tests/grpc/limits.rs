//! Size and time: each limit is kept, and the error names it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use comity_core::{
    api::{Calls, GetMissingEvents, GetVersion, SendTransaction},
    call::{Message, Reply},
    error::{CallError, Delivery, TransportErrorKind},
};
use tokio::{sync::Notify, time::timeout};

use crate::setting::{Serving, destination, handler, nobody, object, value};

fn missing_events(bytes: usize) -> GetMissingEvents {
    GetMissingEvents {
        room_id: "!r".to_owned(),
        extra: [("x".to_owned(), value(format!("\"{}\"", "x".repeat(bytes))))]
            .into_iter()
            .collect(),
        ..Default::default()
    }
}

#[tokio::test]
async fn an_oversized_request_is_refused_by_name() {
    for serving in [
        Serving::start(nobody()).await,
        Serving::invoke_only(nobody()).await,
    ] {
        // Over the content's limit, and so far over it that the message is not even read.
        for bytes in [(1 << 20) + 1, 5 << 20] {
            let got = serving
                .client()
                .get_missing_events(&destination(), missing_events(bytes))
                .await;
            let Err(CallError::Federation(error)) = got else {
                panic!("{got:?}");
            };
            assert_eq!(error.errcode(), Some("M_TOO_LARGE"));
            assert_eq!(error.http_status(), 413);
            assert!(error.message().contains("1048576"), "{error}");
            assert!(error.message().contains("limits.request"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_request_beyond_the_binding_is_not_sent() {
    let serving = Serving::start(nobody()).await;
    let mut request = SendTransaction::new("t", &destination(), 1, []);
    request.extra = missing_events(17 << 20).extra;
    let got = serving
        .client()
        .send_transaction(&destination(), request)
        .await;
    let Err(CallError::Transport(error)) = got else {
        panic!("{got:?}");
    };
    assert_eq!(error.kind(), TransportErrorKind::LimitExceeded);
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert!(error.message().contains("16777216"), "{error}");
}

#[tokio::test]
async fn an_oversized_reply_is_refused_by_name() {
    for bytes in [(1 << 20) + 1, 4 << 20] {
        let serving = Serving::start(handler(move |_| async move {
            let content = object(format!("{{\"x\":\"{}\"}}", "x".repeat(bytes)));
            Ok(Reply::Message(Message::from_content(content)))
        }))
        .await;
        for client in [serving.client(), serving.invoking_client()] {
            let got = client
                .get_version(&destination(), GetVersion::default())
                .await;
            let Err(CallError::Transport(error)) = got else {
                panic!("{got:?}");
            };
            assert_eq!(error.kind(), TransportErrorKind::LimitExceeded);
            assert!(error.message().contains("limits.message"), "{error}");
        }
    }
}

/// Says when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// A server whose handler never ends, word of its beginning, and of its end.
async fn hanging() -> (Serving, Arc<Notify>, Arc<Notify>) {
    let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, drops) = (begun.clone(), dropped.clone());
    let serving = Serving::start(handler(move |_| {
        let (begins, guard) = (begins.clone(), Dropped(drops.clone()));
        async move {
            let _guard = guard;
            begins.notify_one();
            std::future::pending().await
        }
    }))
    .await;
    (serving, begun, dropped)
}

#[tokio::test]
async fn dropping_a_call_drops_its_handler() {
    let (serving, begun, dropped) = hanging().await;
    for client in [serving.client(), serving.invoking_client()] {
        let to = destination();
        tokio::select! {
            got = client.get_version(&to, GetVersion::default()) => panic!("{got:?}"),
            () = begun.notified() => {}
        }
        timeout(Duration::from_secs(5), dropped.notified())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_deadline_ends_the_call_on_both_sides() {
    let (serving, begun, dropped) = hanging().await;
    let client = serving.client().with_deadline(Duration::from_millis(300));
    let got = client
        .get_version(&destination(), GetVersion::default())
        .await
        .unwrap_err();
    // Whose clock rings first is a race.
    match got {
        CallError::Transport(error) => assert_eq!(error.kind(), TransportErrorKind::Timeout),
        CallError::Federation(error) => assert_eq!(error.http_status(), 504),
    }
    begun.notified().await;
    timeout(Duration::from_secs(5), dropped.notified())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_deadline_that_has_passed_sends_nothing() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let serving = Serving::start(handler(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(Reply::Message(Message::from_content(object("{}")))) }
    }))
    .await;
    let client = serving.client().with_deadline(Duration::ZERO);
    let got = client
        .get_version(&destination(), GetVersion::default())
        .await;
    let Err(CallError::Transport(error)) = got else {
        panic!("{got:?}");
    };
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}
