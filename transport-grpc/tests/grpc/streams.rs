//! Streamed replies: whole or aborted, nothing held back, memory bounded.

use std::{pin::Pin, sync::Arc, time::Duration};

use comity_core::{
    api::SendJoin,
    call::{Blob, BlobSource, Call, EventStream, Part, Reply},
    error::{CallError, Delivery, FederationError, TransportErrorKind},
};
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use tokio::{sync::Notify, time::timeout};

use crate::setting::{Serving, destination, handler, object, pdu, value};

type Parts = Pin<Box<dyn Stream<Item = Result<Part, CallError>> + Send>>;

async fn serving(parts: impl Fn() -> Parts + Clone + Send + Sync + 'static) -> Serving {
    Serving::start(handler(move |_| {
        let parts = parts();
        async { Ok(Reply::Events(EventStream { parts })) }
    }))
    .await
}

fn join() -> Call {
    let request = SendJoin {
        room_id: "!r".to_owned(),
        event_id: "$e".to_owned(),
        event: pdu(1),
        omit_members: None,
        extra_query: Default::default(),
    };
    Call::new(destination(), request)
}

async fn ask(serving: &Serving) -> Parts {
    match serving.client().send(join()).await.unwrap() {
        Reply::Events(events) => events.parts,
        other => panic!("{other:?}"),
    }
}

fn item(index: u64, json: &str) -> Part {
    Part::Item {
        array: "state",
        index,
        value: value(json),
    }
}

fn member(name: &str, json: &str) -> Part {
    Part::Member {
        name: name.to_owned(),
        value: value(json),
    }
}

#[tokio::test]
async fn parts_arrive_in_the_order_they_were_read() {
    // Descending names, members before, between and behind arrays, an array's name with another value, any JSON as an element.
    let parts = vec![
        member("z", "1"),
        member("a", "null"),
        Part::Array("state"),
        item(0, "{}"),
        item(1, "\"text\""),
        item(2, "[1,2.50]"),
        member("between", "{\"x\":[]}"),
        member("auth_chain", "\"no array\""),
        member("", "true"),
    ];
    let sent = parts.clone();
    let serving = serving(move || stream::iter(sent.clone()).map(Ok).boxed()).await;
    let got: Vec<Part> = ask(&serving).await.map(Result::unwrap).collect().await;
    assert_eq!(got, parts);
}

#[tokio::test]
async fn an_empty_array_is_not_an_absent_one() {
    for parts in [
        vec![],
        vec![Part::Array("state")],
        vec![Part::Array("state"), Part::Array("auth_chain")],
    ] {
        let sent = parts.clone();
        let serving = serving(move || stream::iter(sent.clone()).map(Ok).boxed()).await;
        let got: Vec<Part> = ask(&serving).await.map(Result::unwrap).collect().await;
        assert_eq!(got, parts);
    }
}

#[tokio::test]
async fn many_events_cross_whole() {
    let parts = || {
        stream::iter(
            std::iter::once(Part::Array("state"))
                .chain((0..20_000).map(|n| item(n, "{\"type\":\"m.x\"}"))),
        )
        .map(Ok)
        .boxed()
    };
    let serving = serving(parts).await;
    assert_eq!(
        ask(&serving)
            .await
            .filter(|part| std::future::ready(part.is_ok()))
            .count()
            .await,
        20_001
    );
}

#[tokio::test]
async fn what_is_ready_does_not_wait_for_more() {
    let serving = serving(|| {
        let first = stream::iter(vec![Ok(Part::Array("state")), Ok(item(0, "{}"))]);
        first.chain(stream::pending()).boxed()
    })
    .await;
    let mut parts = ask(&serving).await;
    for wanted in [Part::Array("state"), item(0, "{}")] {
        let got = timeout(Duration::from_secs(5), parts.next()).await.unwrap();
        assert_eq!(got.unwrap().unwrap(), wanted);
    }
}

#[tokio::test]
async fn a_failure_in_the_middle_is_an_error_behind_what_came() {
    let error = FederationError::new(500, "M_UNKNOWN", "disk");
    let fails = error.clone();
    let serving = serving(move || {
        stream::iter(vec![
            Ok(Part::Array("state")),
            Ok(item(0, "{}")),
            Err(fails.clone().into()),
        ])
        .boxed()
    })
    .await;
    let mut parts = ask(&serving).await;
    assert!(parts.next().await.unwrap().is_ok());
    assert!(parts.next().await.unwrap().is_ok());
    let Some(Err(CallError::Federation(got))) = parts.next().await else {
        panic!("no error");
    };
    assert_eq!(got.body(), error.body());
    assert!(parts.next().await.is_none());
}

#[tokio::test]
async fn parts_that_make_no_object_abort_the_reply() {
    for bad in [
        vec![item(0, "{}")],
        vec![Part::Array("state"), Part::Array("state")],
        vec![member("a", "1"), member("a", "2")],
        vec![Part::Array("state"), member("state", "1")],
        vec![Part::Array("state"), member("a", "1"), item(0, "{}")],
        vec![Part::Array("other")],
    ] {
        let sent = bad.clone();
        let serving = serving(move || stream::iter(sent.clone()).map(Ok).boxed()).await;
        let last = ask(&serving)
            .await
            .fold(None, |_, part| std::future::ready(Some(part)))
            .await;
        assert!(
            matches!(last, Some(Err(CallError::Federation(_)))),
            "{bad:?}: {last:?}"
        );
    }
}

#[tokio::test]
async fn an_oversized_element_is_skipped_and_told() {
    let big = format!("\"{}\"", "x".repeat(2 << 20));
    let bytes = big.len() as u64;
    let serving = serving(move || {
        stream::iter(vec![
            Part::Array("state"),
            item(0, "{}"),
            item(1, &big),
            item(2, "{}"),
        ])
        .map(Ok)
        .boxed()
    })
    .await;
    let got: Vec<Part> = ask(&serving).await.map(Result::unwrap).collect().await;
    let oversized = Part::Oversized {
        array: "state",
        index: 1,
        bytes,
    };
    assert_eq!(
        got,
        [
            Part::Array("state"),
            item(0, "{}"),
            oversized,
            item(2, "{}")
        ]
    );
}

struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn dropping_the_reply_drops_its_source() {
    let dropped = Arc::new(Notify::new());
    let drops = dropped.clone();
    let serving = serving(move || {
        let guard = Dropped(drops.clone());
        stream::iter(vec![Ok(Part::Array("state"))])
            .chain(stream::pending())
            .map(move |part| {
                let _ = &guard;
                part
            })
            .boxed()
    })
    .await;
    let mut parts = ask(&serving).await;
    parts.next().await.unwrap().unwrap();
    drop(parts);
    timeout(Duration::from_secs(5), dropped.notified())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_deadline_covers_the_stream() {
    let serving = serving(|| {
        stream::iter(vec![Ok(Part::Array("state"))])
            .chain(stream::pending())
            .boxed()
    })
    .await;
    let client = serving.client().with_deadline(Duration::from_millis(400));
    let Ok(Reply::Events(mut events)) = client.send(join()).await else {
        panic!("no stream");
    };
    events.parts.next().await.unwrap().unwrap();
    match timeout(Duration::from_secs(5), events.parts.next())
        .await
        .unwrap()
    {
        Some(Err(CallError::Transport(error))) => {
            assert_eq!(error.kind(), TransportErrorKind::Timeout)
        }
        Some(Err(CallError::Federation(error))) => assert_eq!(error.http_status(), 504),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_blob_that_fails_is_not_complete() {
    let serving = Serving::start(handler(|_| async {
        Ok(Reply::Blob(Blob {
            metadata: object("{}"),
            source: BlobSource::Here {
                content_type: None,
                content_disposition: None,
            },
            bytes: stream::iter(vec![
                Ok("some".into()),
                Err(FederationError::internal("disk").into()),
            ])
            .boxed(),
        }))
    }))
    .await;
    for client in [serving.client(), serving.invoking_client()] {
        let request = comity_core::api::DownloadMedia {
            media_id: "x".to_owned(),
            ..Default::default()
        };
        let Ok(Reply::Blob(mut blob)) = client.send(Call::new(destination(), request)).await else {
            panic!("no blob");
        };
        let last = loop {
            match blob.bytes.next().await {
                Some(Ok(_)) => {}
                last => break last,
            }
        };
        assert!(
            matches!(last, Some(Err(CallError::Federation(_)))),
            "{last:?}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_ends_in_the_middle_is_an_error() {
    let serving = serving(|| {
        stream::iter(vec![Ok(Part::Array("state"))])
            .chain(stream::pending())
            .boxed()
    })
    .await;
    let mut parts = ask(&serving).await;
    parts.next().await.unwrap().unwrap();
    drop(serving);
    let got = timeout(Duration::from_secs(5), parts.next()).await.unwrap();
    let Some(Err(CallError::Transport(error))) = got else {
        panic!("{got:?}");
    };
    assert_eq!(error.kind(), TransportErrorKind::Closed, "{error:?}");
    assert_eq!(error.delivery(), Delivery::MaybeProcessed);
    assert!(parts.next().await.is_none());
}
