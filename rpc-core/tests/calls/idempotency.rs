//! A keyed call that is repeated is the same call, whichever binding it comes by.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    ServerName,
    api::*,
    auth::Origin,
    call::{AnyRequest, Call, CallContext, Endpoint, Message, Operation, Reply, operation},
    endpoint::{EndpointParts, read_content},
    error::{CallError, FederationError},
    json::Object,
    layers::{
        Answer, CallKey, Idempotency, IdempotencyOptions, IdempotencyStore, MemoryAnswers,
        MemoryAnswersOptions, RunToEnd, StoreFault,
    },
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::{
    homeserver::{name, pdu},
    select::wires::reply_to,
};

type Service = BoxCloneSyncService<Call, Reply, CallError>;

/// Answers each call with its number, after a while.
#[derive(Clone, Default)]
struct Handler {
    runs: Arc<AtomicUsize>,
    fails: Arc<Mutex<Option<FederationError>>>,
    takes: Duration,
}

impl Handler {
    fn slow() -> Self {
        Self {
            takes: Duration::from_secs(5),
            ..Self::default()
        }
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    fn behind<L>(&self, layer: L) -> Service
    where
        L: Layer<Service>,
        L::Service: tower::Service<Call, Response = Reply, Error = CallError>
            + Clone
            + Send
            + Sync
            + 'static,
        <L::Service as tower::Service<Call>>::Future: Send + 'static,
    {
        let handler = self.clone();
        let service = service_fn(move |call: Call| {
            let handler = handler.clone();
            async move {
                tokio::time::sleep(handler.takes).await;
                let run = handler.runs.fetch_add(1, Ordering::SeqCst) + 1;
                if let Some(error) = handler.fails.lock().unwrap().clone() {
                    return Err(error.into());
                }
                match reply_to(&call) {
                    Reply::Message(_) => {
                        let text = format!(r#"{{"run":{run}}}"#);
                        let content = Object::parse(Bytes::from(text), 100).unwrap();
                        Ok(Reply::Message(Message::from_content(content)))
                    }
                    other => Ok(other),
                }
            }
        });
        BoxCloneSyncService::new(layer.layer(BoxCloneSyncService::new(service)))
    }
}

fn kept() -> Arc<MemoryAnswers> {
    Arc::new(MemoryAnswers::default())
}

fn transaction(id: &str, body: &str) -> SendTransaction {
    let content = read_content(
        operation::<SendTransaction>(),
        None,
        Bytes::from(body.to_owned()),
    );
    SendTransaction::read(&EndpointParts {
        path: vec![id.to_owned()],
        content: content.unwrap(),
        ..EndpointParts::default()
    })
    .unwrap()
}

const BODY: &str = r#"{"origin":"a.example","origin_server_ts":1,"pdus":[]}"#;
const OTHER: &str = r#"{"origin":"a.example","origin_server_ts":2,"pdus":[]}"#;

/// A call as a binding's server received it, its origin proven.
fn received(origin: &str, binding: &'static str, request: impl AnyRequest) -> Call {
    let form = request.write().unwrap();
    let mut context = CallContext::received(binding);
    context.set_proof(Origin::danger_assume_proven(name(origin), "test"));
    Call::received(Box::new(request), form, context)
}

fn sent(binding: &'static str, id: &str, body: &str) -> Call {
    received("a.example", binding, transaction(id, body))
}

async fn answer(service: &Service, call: Call) -> String {
    let Reply::Message(mut message) = service.clone().oneshot(call).await.unwrap() else {
        panic!()
    };
    String::from_utf8(message.content().text().to_vec()).unwrap()
}

#[tokio::test]
async fn a_repetition_over_another_binding_gets_the_first_answer() {
    let handler = Handler::default();
    let service = handler.behind(Idempotency::layer(kept()));
    let first = answer(&service, sent("grpc/1", "1", BODY)).await;
    for binding in ["http/1", "grpc/1", "http/1"] {
        assert_eq!(answer(&service, sent(binding, "1", BODY)).await, first);
    }
    assert_eq!(handler.runs(), 1);
}

#[tokio::test]
async fn another_key_origin_operation_or_request_is_another_call() {
    let handler = Handler::default();
    let service = handler.behind(Idempotency::layer(kept()));
    answer(&service, sent("http/1", "1", BODY)).await;
    answer(&service, sent("http/1", "2", BODY)).await;
    let other_origin = received("c.example", "http/1", transaction("1", BODY));
    answer(&service, other_origin).await;
    assert_eq!(handler.runs(), 3);
    // The same key with another body: processed, and it takes the place of the first.
    let second = answer(&service, sent("http/1", "1", OTHER)).await;
    assert_eq!(second, r#"{"run":4}"#);
    assert_eq!(answer(&service, sent("http/1", "1", OTHER)).await, second);
    assert_eq!(
        answer(&service, sent("http/1", "1", BODY)).await,
        r#"{"run":5}"#
    );
    // A parameter of the query is a part of the request as well.
    let mut asked = transaction("2", BODY);
    asked.extra_query.push("a", "b");
    answer(&service, received("a.example", "http/1", asked)).await;
    assert_eq!(handler.runs(), 6);
}

#[tokio::test]
async fn the_same_call_to_another_name_of_this_server_is_another_call() {
    let handler = Handler::default();
    let service = handler.behind(Idempotency::layer(kept()));
    let to = |own: &str| {
        let mut call = sent("http/1", "hash-of-the-body", BODY);
        call.context_mut().destination = Some(name(own));
        call
    };
    let first = answer(&service, to("b.example")).await;
    let second = answer(&service, to("c.example")).await;
    assert_ne!(first, second);
    assert_eq!(handler.runs(), 2);
    assert_eq!(answer(&service, to("c.example")).await, second);
}

#[tokio::test]
async fn keys_cannot_be_made_to_collide() {
    // Pieces that are one text when they are put behind one another.
    let handler = Handler::default();
    let service = handler.behind(Idempotency::layer(kept()));
    for (name, value) in [("ab", "c"), ("a", "bc"), ("abc", "")] {
        let mut asked = transaction("1", BODY);
        asked.extra_query.push(name, value);
        answer(&service, received("a.example", "http/1", asked)).await;
    }
    assert_eq!(handler.runs(), 3);
    for id in ["x/1", "x%2F1", "x", "\u{0}", "\u{fffd}"] {
        answer(&service, sent("http/1", id, BODY)).await;
    }
    assert_eq!(handler.runs(), 8);
}

#[tokio::test(start_paused = true)]
async fn repetitions_that_come_meanwhile_wait_for_the_first() {
    let handler = Handler::slow();
    let service = handler.behind(
        ServiceBuilder::new()
            .layer(RunToEnd::layer(200))
            .layer(Idempotency::layer(kept())),
    );
    let calls = (0..100).map(|at| {
        let binding = if at % 2 == 0 { "grpc/1" } else { "http/1" };
        let service = service.clone();
        async move { answer(&service, sent(binding, "1", BODY)).await }
    });
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(handler.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_body_does_not_wait() {
    let handler = Handler::slow();
    let service = handler.behind(Idempotency::layer(kept()));
    let begun = tokio::time::Instant::now();
    tokio::join!(
        answer(&service, sent("http/1", "1", BODY)),
        answer(&service, sent("http/1", "1", OTHER)),
        answer(&service, sent("http/1", "2", BODY)),
    );
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(handler.runs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_does_not_end_the_call() {
    let handler = Handler::slow();
    let service = handler.behind(
        ServiceBuilder::new()
            .layer(RunToEnd::layer(10))
            .layer(Idempotency::layer(kept())),
    );
    let impatient =
        |call| tokio::time::timeout(Duration::from_secs(1), service.clone().oneshot(call));
    assert!(impatient(sent("grpc/1", "1", BODY)).await.is_err());
    // Its repetition comes while it runs, another when it has ended.
    let second = answer(&service, sent("http/1", "1", BODY)).await;
    assert_eq!(answer(&service, sent("http/1", "1", BODY)).await, second);
    assert_eq!(handler.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_run_to_end_a_repetition_that_waits_takes_over() {
    let handler = Handler::slow();
    let service = handler.behind(Idempotency::layer(kept()));
    let first = service.clone().oneshot(sent("grpc/1", "1", BODY));
    let second = answer(&service, sent("http/1", "1", BODY));
    let (first, second) = tokio::join!(tokio::time::timeout(Duration::from_secs(1), first), second);
    assert!(first.is_err());
    assert_eq!(second, r#"{"run":1}"#);
}

#[tokio::test(start_paused = true)]
async fn a_repetition_does_not_wait_longer_than_until_its_reply_is_due() {
    let handler = Handler {
        takes: Duration::MAX / 4,
        ..Handler::default()
    };
    let service = handler.behind(Idempotency::layer(kept()));
    let first = tokio::spawn(service.clone().oneshot(sent("grpc/1", "1", BODY)));
    tokio::task::yield_now().await;
    let clock = SendTransaction::SPEC.clocks.head;
    for deadline in [None, Some(Duration::from_secs(3))] {
        let begun = tokio::time::Instant::now();
        let mut call = sent("http/1", "1", BODY);
        if let Some(deadline) = deadline {
            call.context_mut().limit_deadline(begun + deadline);
        }
        let Err(CallError::Federation(error)) = service.clone().oneshot(call).await else {
            panic!("an answer that the first one did not get");
        };
        assert_eq!(error.http_status(), 504, "{error}");
        let waited = begun.elapsed().as_secs();
        assert_eq!(waited, deadline.unwrap_or(clock).as_secs());
    }
    first.abort();
}

/// The first call panics, the others are answered.
#[tokio::test(start_paused = true)]
async fn a_repetition_that_waits_takes_over_from_one_that_panics() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let handler = service_fn(move |_: Call| {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(run > 0, "the first");
            let content = Object::parse(Bytes::from_static(b"{}"), 100).unwrap();
            Ok(Reply::Message(Message::from_content(content)))
        }
    });
    let service = Idempotency::layer(kept()).layer(BoxCloneSyncService::new(handler));
    let send = || tokio::spawn(service.clone().oneshot(sent("http/1", "1", BODY)));
    let (first, second) = (send(), send());
    assert!(first.await.unwrap_err().is_panic());
    second.await.unwrap().unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn errors_are_shared_by_those_who_wait_and_not_kept() {
    let handler = Handler::slow();
    *handler.fails.lock().unwrap() = Some(FederationError::new(500, "M_UNKNOWN", "no"));
    let service = handler.behind(Idempotency::layer(kept()));
    let send = || service.clone().oneshot(sent("http/1", "1", BODY));
    let (first, second) = tokio::join!(send(), send());
    assert!(first.is_err() && second.is_err());
    assert_eq!(handler.runs(), 1);
    *handler.fails.lock().unwrap() = None;
    send().await.unwrap();
    assert_eq!(handler.runs(), 2);
}

#[tokio::test]
async fn what_streams_is_safe_or_unproven_passes() {
    let handler = Handler::default();
    let service = handler.behind(Idempotency::layer(kept()));
    let join = SendJoin {
        room_id: "!room:b.example".to_owned(),
        event_id: "$event".to_owned(),
        event: pdu(r#"{"type":"m.room.member"}"#),
        omit_members: None,
        extra_query: Default::default(),
    };
    for _ in 0..2 {
        let call = received("a.example", "http/1", join.clone());
        service.clone().oneshot(call).await.unwrap();
        let call = received("a.example", "http/1", GetVersion::default());
        service.clone().oneshot(call).await.unwrap();
        let mut anonymous = sent("http/1", "1", BODY);
        *anonymous.context_mut() = CallContext::received("http/1");
        service.clone().oneshot(anonymous).await.unwrap();
    }
    assert_eq!(handler.runs(), 6);
}

#[tokio::test]
async fn an_answer_counts_for_a_day() {
    let now = Arc::new(AtomicI64::new(1_000));
    let clock = now.clone();
    let handler = Handler::default();
    let options = IdempotencyOptions {
        now: Arc::new(move || clock.load(Ordering::SeqCst)),
        ..IdempotencyOptions::default()
    };
    let service = handler.behind(Idempotency::with_options(kept(), options));
    for (hours, runs) in [(0, 1), (23, 1), (24, 1), (25, 2), (48, 2)] {
        now.store(1_000 + hours * 3_600_000, Ordering::SeqCst);
        answer(&service, sent("http/1", "1", BODY)).await;
        assert_eq!(handler.runs(), runs, "hour {hours}");
    }
}

/// A store that does not work, in either way.
#[derive(Debug)]
struct Broken {
    garbage: bool,
}

#[async_trait]
impl IdempotencyStore for Broken {
    async fn find(&self, _: &CallKey) -> Result<Option<Answer>, StoreFault> {
        match self.garbage {
            false => Err(StoreFault("no disk".to_owned())),
            true => Ok(Some(Answer {
                digest: [0; 32],
                content: Bytes::from_static(b"\xff"),
                at: i64::MIN,
            })),
        }
    }

    async fn keep(&self, _: &CallKey, _: Answer) -> Result<(), StoreFault> {
        Err(StoreFault("no disk".to_owned()))
    }
}

#[tokio::test]
async fn a_store_that_fails_loses_no_call() {
    for garbage in [false, true] {
        let handler = Handler::default();
        let service = handler.behind(Idempotency::layer(Arc::new(Broken { garbage })));
        for runs in 1..=2 {
            answer(&service, sent("http/1", "1", BODY)).await;
            assert_eq!(handler.runs(), runs);
        }
    }
}

/// A store that never comes to an end.
#[derive(Debug)]
struct Hanging;

#[async_trait]
impl IdempotencyStore for Hanging {
    async fn find(&self, _: &CallKey) -> Result<Option<Answer>, StoreFault> {
        std::future::pending().await
    }

    async fn keep(&self, _: &CallKey, _: Answer) -> Result<(), StoreFault> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_so_much_time_and_no_call() {
    let handler = Handler::default();
    let service = handler.behind(Idempotency::layer(Arc::new(Hanging)));
    let begun = tokio::time::Instant::now();
    let answered = tokio::time::timeout(
        Duration::from_secs(60),
        answer(&service, sent("http/1", "1", BODY)),
    );
    answered.await.expect("it ends");
    // To find it, and to keep it.
    assert_eq!(begun.elapsed(), 2 * IdempotencyOptions::default().store);
    assert_eq!(handler.runs(), 1);
}

#[tokio::test]
async fn what_is_kept_in_memory_is_bounded_in_number_and_bytes() {
    let key = |number: usize| CallKey {
        origin: "a.example".parse::<ServerName>().unwrap(),
        operation: "SendTransaction",
        key: number.to_string(),
    };
    let content = |length: usize| Answer {
        digest: [0; 32],
        content: vec![b'x'; length].into(),
        at: 0,
    };
    for (length, most) in [(10, 100), (5_000, 20)] {
        let store = MemoryAnswers::new(MemoryAnswersOptions {
            answers: 100,
            bytes: 100_000,
            ..MemoryAnswersOptions::default()
        });
        for number in 0..2_000 {
            store.keep(&key(number), content(length)).await.unwrap();
        }
        let mut found = 0;
        for number in 0..2_000 {
            found += usize::from(store.find(&key(number)).await.unwrap().is_some());
        }
        // Some over, until what goes has gone.
        assert!((1..=most * 2).contains(&found), "{found} of {length} bytes");
        assert!(store.find(&key(1_999)).await.unwrap().is_some());
    }
}

#[test]
fn a_log_line_has_room_for_so_much_of_a_key() {
    let key = CallKey {
        origin: name("a.example"),
        operation: "SendTransaction",
        key: "\u{1b}[2J".repeat(2_000),
    };
    let shown = key.to_string();
    assert!(shown.len() < 500 && !shown.contains('\u{1b}'), "{shown}");
}
