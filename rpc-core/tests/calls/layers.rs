//! Layers that bound time, size and number cover the reply's stream.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use comity_core::{
    Client, ServerName,
    api::*,
    call::{Blob, BlobSource, ByteStream, Call, Reply},
    error::{CallError, Delivery, ErrorKind, ErrorOrigin, FederationError, TransportErrorKind},
    json::Object,
    layers::{Clocks, Flow, Hops, Limits, Permits, RunToEnd, Side},
};
use futures_util::{StreamExt, stream};
use tower::{Layer, Service, service_fn, util::BoxCloneSyncService};

use crate::homeserver::{name, transaction};

fn blob(bytes: ByteStream) -> Reply {
    Reply::Blob(Blob {
        metadata: Object::empty(),
        source: BlobSource::Here {
            content_type: None,
            content_disposition: None,
        },
        bytes,
    })
}

fn client<L, F, R>(layer: L, handler: F) -> Client
where
    F: Fn(Call) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Reply, CallError>> + Send + 'static,
    L: Layer<tower::util::ServiceFn<F>>,
    L::Service: Service<Call, Response = Reply, Error = CallError> + Clone + Send + Sync + 'static,
    <L::Service as Service<Call>>::Future: Send + 'static,
{
    Client::from_service(BoxCloneSyncService::new(layer.layer(service_fn(handler))))
}

fn to() -> ServerName {
    name("b.example")
}

fn media() -> DownloadMedia {
    DownloadMedia {
        media_id: "x".to_owned(),
        ..Default::default()
    }
}

fn timeout_of(error: &CallError) -> (Delivery, String) {
    let CallError::Transport(error) = error else {
        panic!("{error}")
    };
    assert_eq!(error.kind(), TransportErrorKind::Timeout);
    (error.delivery(), error.message().to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_head_clock_ends_a_call_that_is_not_answered() {
    let client = client(Clocks::layer(Side::Client), |_| std::future::pending());
    let begun = tokio::time::Instant::now();
    let error = client.download_media(&to(), media()).await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::from_secs(60));
    let (delivery, message) = timeout_of(&error);
    assert_eq!(delivery, Delivery::MaybeProcessed);
    assert!(message.contains("`head`"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn the_idle_clock_ends_a_stream_that_stalls_and_no_other() {
    let client = client(Clocks::layer(Side::Client), |_| async {
        // Ten parts, 50 s apart: slow, but they keep arriving. Then nothing.
        let parts = stream::unfold(0, |n| async move {
            let wait = if n < 10 { 50 } else { 10_000 };
            tokio::time::sleep(Duration::from_secs(wait)).await;
            Some((Ok(bytes::Bytes::from_static(b"x")), n + 1))
        });
        Ok(blob(parts.boxed()))
    });
    let mut reply = client.download_media(&to(), media()).await.unwrap();
    for _ in 0..10 {
        reply.bytes.next().await.unwrap().unwrap();
        // A slow consumer is not the peer's fault.
        tokio::time::sleep(Duration::from_secs(300)).await;
    }
    let error = reply.bytes.next().await.unwrap().unwrap_err();
    let (_, message) = timeout_of(&error);
    assert!(message.contains("`idle`"), "{message}");
    assert!(reply.bytes.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_covers_the_stream() {
    let client = client(Clocks::layer(Side::Client), |_| async {
        Ok(blob(
            stream::repeat_with(|| Ok(bytes::Bytes::from_static(b"x")))
                .then(|part| async {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    part
                })
                .boxed(),
        ))
    })
    .with_deadline(Duration::from_millis(4500));
    let reply = client.download_media(&to(), media()).await.unwrap();
    let parts: Vec<_> = reply.bytes.collect().await;
    assert_eq!(parts.len(), 5);
    timeout_of(parts.last().unwrap().as_ref().unwrap_err());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_refuses_the_work() {
    let begun = Arc::new(AtomicBool::new(false));
    let flag = begun.clone();
    for side in [Side::Client, Side::Server] {
        let flag = flag.clone();
        let client = client(Clocks::layer(side), move |_| {
            flag.store(true, Ordering::SeqCst);
            std::future::pending()
        })
        .with_deadline(Duration::ZERO);
        match client.download_media(&to(), media()).await.unwrap_err() {
            CallError::Transport(error) => assert_eq!(error.delivery(), Delivery::NotSent),
            CallError::Federation(error) => assert_eq!(error.http_status(), 504),
        }
    }
    assert!(!begun.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_until_the_stream_is_dropped() {
    let client = client(
        Permits::layer(Side::Client, 1, Duration::from_secs(5)),
        |_| async { Ok(blob(stream::pending().boxed())) },
    );
    let first = client.download_media(&to(), media()).await.unwrap();
    let CallError::Transport(error) = client.download_media(&to(), media()).await.unwrap_err()
    else {
        panic!()
    };
    assert_eq!(
        (error.kind(), error.delivery()),
        (TransportErrorKind::Busy, Delivery::NotSent)
    );
    assert!(error.message().contains("`permits`"), "{}", error.message());
    drop(first);
    client.download_media(&to(), media()).await.unwrap();
}

#[tokio::test]
async fn a_stream_over_its_limit_is_cut_and_the_limit_named() {
    let client = client(Limits::layer(Side::Client), |_| async {
        let chunk = bytes::Bytes::from(vec![0; 32 << 20]);
        Ok(blob(
            stream::iter((0..64).map(move |_| Ok(chunk.clone()))).boxed(),
        ))
    });
    let reply = client.download_media(&to(), media()).await.unwrap();
    let parts: Vec<_> = reply.bytes.collect().await;
    let CallError::Transport(error) = parts.last().unwrap().as_ref().unwrap_err() else {
        panic!()
    };
    assert_eq!(error.kind(), TransportErrorKind::LimitExceeded);
    assert!(
        error.message().contains("`limits.stream`"),
        "{}",
        error.message()
    );
    assert_eq!(parts.len(), 33);
}

#[tokio::test(start_paused = true)]
async fn a_call_with_effects_runs_to_its_end_and_a_safe_one_is_dropped() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let client = client(RunToEnd::layer(10), move |_| {
        let count = count.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            count.fetch_add(1, Ordering::SeqCst);
            Err(FederationError::not_found("done").into())
        }
    });
    let impatient = Duration::from_millis(10);
    assert!(
        tokio::time::timeout(impatient, client.download_media(&to(), media()))
            .await
            .is_err()
    );
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(ended.load(Ordering::SeqCst), 0);
    let to = to();
    let send = client.send_transaction(&to, transaction("[]"));
    assert!(tokio::time::timeout(impatient, send).await.is_err());
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_handler_that_panics_is_an_answer_at_once_and_later() {
    for waits in [false, true] {
        let client = client(RunToEnd::layer(10), move |_| async move {
            if waits {
                tokio::task::yield_now().await;
            }
            panic!("a bug")
        });
        let CallError::Federation(error) = client
            .send_transaction(&to(), transaction("[]"))
            .await
            .unwrap_err()
        else {
            panic!()
        };
        assert_eq!(error.http_status(), 500);
    }
}

/// In which task the handler of a call with effects begins and ends, and in which one its caller runs.
async fn tasks(waits: bool) -> ([tokio::task::Id; 2], tokio::task::Id) {
    let (send, seen) = std::sync::mpsc::channel();
    let client = client(RunToEnd::layer(10), move |_| {
        let send = send.clone();
        async move {
            let begun = tokio::task::id();
            if waits {
                // What was polled in one task has to be woken in another.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            send.send([begun, tokio::task::id()]).unwrap();
            Err(FederationError::not_found("done").into())
        }
    });
    let caller = tokio::spawn(async move {
        let to = to();
        let sent = client.send_transaction(&to, transaction("[]"));
        sent.await.unwrap_err();
        tokio::task::id()
    });
    let caller = caller.await.unwrap();
    (seen.recv().unwrap(), caller)
}

#[tokio::test]
async fn a_handler_that_ends_at_once_takes_no_task_and_one_that_waits_ends_on_its_own() {
    let (handler, caller) = tasks(false).await;
    assert_eq!(handler, [caller, caller]);
    let ([begun, ended], caller) = tasks(true).await;
    assert_eq!(begun, caller);
    assert_ne!(ended, caller);
}

#[tokio::test(start_paused = true)]
async fn one_transaction_at_a_time_to_each_destination() {
    let client = client(Flow::layer(Duration::from_secs(5)), |_| async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Err(FederationError::not_found("done").into())
    });
    let begun = tokio::time::Instant::now();
    let send = |to: &'static str| {
        let client = client.clone();
        async move {
            client
                .send_transaction(&name(to), transaction("[]"))
                .await
                .unwrap_err()
        }
    };
    let (first, second, third, elsewhere) = tokio::join!(
        send("b.example"),
        send("b.example"),
        send("b.example"),
        send("c.example")
    );
    assert_eq!(begun.elapsed(), Duration::from_secs(6));
    assert!(matches!(first, CallError::Federation(_)));
    assert!(matches!(second, CallError::Federation(_)));
    assert!(matches!(elsewhere, CallError::Federation(_)));
    let CallError::Transport(third) = third else {
        panic!("{third}")
    };
    assert_eq!(
        (third.kind(), third.delivery()),
        (TransportErrorKind::Busy, Delivery::NotSent)
    );
}

#[tokio::test]
async fn a_call_that_comes_back_is_refused_and_each_other_gets_a_hop() {
    let via = Arc::new(std::sync::Mutex::new(Vec::new()));
    let keep = via.clone();
    let service = Hops::layer(name("b.example:8448")).layer(service_fn(move |call: Call| {
        *keep.lock().unwrap() = call.context().via.clone();
        async { Err::<Reply, _>(FederationError::not_found("inside").into()) }
    }));
    let pass = |binding: &'static str, before: &[&str]| {
        let mut call = Call::new(to(), media());
        call.context_mut().binding = binding;
        call.context_mut().via = before.iter().map(|&hop| hop.to_owned()).collect();
        tower::ServiceExt::oneshot(service.clone(), call)
    };
    for (binding, before, expected) in [
        (
            "grpc/1",
            &["http/1 a.example"][..],
            &["http/1 a.example", "grpc/1 b.example:8448"][..],
        ),
        (
            "http/1",
            &["1.1 b.example", "b.example:8448"],
            &["1.1 b.example", "b.example:8448", "http/1 b.example:8448"],
        ),
        // Made here: it passed nobody.
        ("", &[], &[]),
    ] {
        pass(binding, before).await.unwrap_err();
        assert_eq!(*via.lock().unwrap(), expected);
    }
    via.lock().unwrap().clear();
    let before = [
        "http/1 a.example",
        "grpc/1 b.example:8448 (x)",
        "1.1 c.example",
    ];
    let Err(CallError::Federation(error)) = pass("http/1", &before).await else {
        panic!("it was passed on")
    };
    assert_eq!(error.http_status(), 508);
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message().contains("b.example:8448"), "{error}");
    let own = ErrorOrigin::Gateway("b.example:8448".to_owned());
    assert_eq!(error.origin(), &own);
    assert!(via.lock().unwrap().is_empty());
}
