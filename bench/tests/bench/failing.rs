//! A server that answers wrongly, or that is gone, is told as failing, and the scenario ends in time.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use comity_bench::{
    model::{Flow, Outcome, Scenario},
    scenario::{Plan, first_call, run, service},
    subject::{Setting, Subject, ours},
};
use comity_core::{
    CallService,
    call::{Call, Part, Reply},
    error::FederationError,
};
use futures_util::{StreamExt, future::ready};
use tokio::time::timeout;
use tower::{ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::setting::{name_of, plan, set_up_with, setting};

/// What a server does to the replies of the right one.
type Change = fn(Reply) -> Reply;

fn changing(inner: CallService, change: Change) -> CallService {
    BoxCloneSyncService::new(service_fn(move |call: Call| {
        let inner = inner.clone();
        async move { inner.oneshot(call).await.map(change) }
    }))
}

async fn over(subject: &Subject, setting: &Setting, plan: &Plan, change: Change) -> Outcome {
    let (operations, right) = service(setting, plan.scenario);
    let service = changing(right, change);
    let (client, _guard) = set_up_with(subject, setting, operations, service).await;
    run(&client, setting, plan, &|| 0).await
}

/// Leaves out the tenth event, or puts it twice.
fn tenth(reply: Reply, times: usize) -> Reply {
    let Reply::Events(mut events) = reply else {
        return reply;
    };
    let parts = events.parts.flat_map(move |part| {
        let tenth = matches!(part, Ok(Part::Item { index: 9, .. }));
        let parts = match part {
            Ok(part) => vec![part; if tenth { times } else { 1 }],
            Err(error) => panic!("the right server fails: {error}"),
        };
        futures_util::stream::iter(parts.into_iter().map(Ok))
    });
    events.parts = parts.boxed();
    Reply::Events(events)
}

fn shorter_file(reply: Reply) -> Reply {
    let Reply::Blob(mut blob) = reply else {
        return reply;
    };
    blob.bytes = blob.bytes.skip(1).boxed();
    Reply::Blob(blob)
}

/// What the server knows of another member of the same operation.
fn another_message(reply: Reply) -> Reply {
    let Reply::Message(mut message) = reply else {
        return reply;
    };
    let text = message.content().text().to_vec();
    let text = String::from_utf8(text).unwrap();
    let text = text.replace("{\"$", "{\"$9");
    let text = text.replace("\"displayname\":\"", "\"displayname\":\"_");
    let content = comity_core::json::Object::parse(text.into(), usize::MAX).unwrap();
    Reply::Message(comity_core::call::Message::from_content(content))
}

#[tokio::test]
async fn an_answer_that_is_wrong_is_a_failure() {
    let cases: [(Scenario, Change); 8] = [
        (Scenario::SmallQuery, another_message),
        (Scenario::Transaction, another_message),
        (Scenario::Steady, another_message),
        (Scenario::Burst, another_message),
        (Scenario::ColdStart, another_message),
        (Scenario::Join1k, |reply| tenth(reply, 0)),
        (Scenario::Backfill, |reply| tenth(reply, 2)),
        (Scenario::Media, shorter_file),
    ];
    for subject in ours() {
        for (scenario, change) in cases {
            let what = format!("{}, {scenario:?}", name_of(&subject));
            let setting = setting(2);
            let plan = plan(scenario, Flow::OneInFlight);
            let outcome = over(&subject, &setting, &plan, change).await;
            assert!(outcome.failures > 0, "{what}");
            assert!(outcome.first_failure.is_some(), "{what}");
            assert_eq!((outcome.events, outcome.content), (0, 0), "{what}");
        }
    }
}

#[tokio::test]
async fn a_call_that_is_not_authenticated_is_a_failure() {
    for subject in ours() {
        let setting = setting(1);
        let stranger = Setting {
            seed: 8,
            ..setting.clone()
        };
        let Subject::Apart(wire) = &subject else {
            continue;
        };
        let (operations, right) = service(&setting, Scenario::SmallQuery);
        let (addresses, _guard) = wire.serve(&setting, operations, right).await.unwrap();
        let client = wire.connect(&stranger, &addresses).await.unwrap();
        let refused = first_call(&client, &setting, Duration::from_secs(60)).await;
        let why = refused.unwrap_err();
        assert!(why.contains("signature"), "{why}");
    }
}

#[tokio::test]
async fn a_server_that_dies_is_a_failure_and_ends_in_time() {
    for subject in ours() {
        let Subject::Apart(wire) = &subject else {
            continue;
        };
        for scenario in [Scenario::SmallQuery, Scenario::Steady, Scenario::Media] {
            let what = format!("{}, {scenario:?}", wire.name());
            let setting = setting(1);
            let (operations, right) = service(&setting, scenario);
            let answered = Arc::new(AtomicU64::new(0));
            let count = answered.clone();
            let counting = BoxCloneSyncService::new(service_fn(move |call: Call| {
                let right = right.clone();
                count.fetch_add(1, Ordering::Relaxed);
                right.oneshot(call)
            }));
            let (addresses, guard) = wire.serve(&setting, operations, counting).await.unwrap();
            let client = wire.connect(&setting, &addresses).await.unwrap();
            let plan = Plan {
                // Calls follow the death, too.
                measure: Duration::from_secs(1),
                ..plan(scenario, Flow::OneInFlight)
            };
            // The warm-up makes one at least, and so does what is measured.
            let arrive = async {
                while answered.load(Ordering::Relaxed) < 2 {
                    tokio::task::yield_now().await;
                }
            };
            let begun = Instant::now();
            let mut running = pin!(run(&client, &setting, &plan, &|| 0));
            tokio::select! {
                outcome = &mut running => panic!("{what}: no two calls reached the server: {outcome:?}"),
                arrived = timeout(Duration::from_secs(60), arrive) => {
                    arrived.expect("two calls reach the server before it dies");
                }
            }
            drop(guard);
            let outcome = running.await;
            assert!(outcome.failures > 0, "{what}");
            assert!(begun.elapsed() < plan.deadline, "{what}");
        }
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_a_failure_at_the_deadline() {
    for subject in ours() {
        let setting = setting(1);
        let (operations, _) = service(&setting, Scenario::SmallQuery);
        let never = BoxCloneSyncService::new(service_fn(|_: Call| {
            futures_util::future::pending::<Result<Reply, _>>()
        }));
        let (client, _guard) = set_up_with(&subject, &setting, operations, never).await;
        let plan = Plan {
            warm_up: Duration::ZERO,
            deadline: Duration::from_millis(200),
            ..plan(Scenario::SmallQuery, Flow::Concurrent)
        };
        let outcome = run(&client, &setting, &plan, &|| 0).await;
        let why = outcome.first_failure.unwrap();
        assert!(why.contains("Plan::deadline"), "{why}");
        assert_eq!((outcome.calls, outcome.failures), (0, 16));
        assert!(
            outcome.latencies.is_empty(),
            "no latency of what never came"
        );
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words() {
    for subject in ours() {
        let setting = setting(1);
        let (operations, _) = service(&setting, Scenario::Transaction);
        let refuses = BoxCloneSyncService::new(service_fn(|_: Call| {
            ready(Err(FederationError::forbidden("not you").into()))
        }));
        let (client, _guard) = set_up_with(&subject, &setting, operations, refuses).await;
        let plan = plan(Scenario::Transaction, Flow::OneInFlight);
        let outcome = run(&client, &setting, &plan, &|| 0).await;
        assert_eq!(outcome.calls, 0);
        assert!(outcome.first_failure.unwrap().contains("not you"));
    }
}
