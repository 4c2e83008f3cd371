//! Each of our transports does each scenario without a failure, and tells what was delivered.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use comity_bench::{
    model::{Flow, Outcome, Scenario},
    scenario::{first_call, run, service},
    subject::{Subject, ours},
};

use comity_core::call::Call;
use tower::{ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::setting::{name_of, plan, set_up, set_up_with, setting};

const SERVERS: usize = 3;

const FILE: u64 = 10_000_000;

pub(crate) async fn measured(subject: &Subject, scenario: Scenario, flow: Flow) -> Outcome {
    let what = format!("{}, {scenario:?}, {flow:?}", name_of(subject));
    let servers = match scenario {
        Scenario::Burst | Scenario::ColdStart => SERVERS,
        _ => 1,
    };
    let setting = setting(servers);
    let (client, _guard) = set_up(subject, &setting, scenario).await;
    let plan = plan(scenario, flow);
    let outcome = run(&client, &setting, &plan, &|| 4096).await;
    assert_eq!(outcome.first_failure, None, "{what}");
    assert_eq!(outcome.failures, 0, "{what}");
    assert!(outcome.seconds > 0.0, "{what}");
    assert!(outcome.calls >= plan.in_flight().min(2) as u64, "{what}");
    assert!(!outcome.latencies.is_empty(), "{what}");
    assert!(!outcome.latency_of.is_empty(), "{what}");
    let wire = client.counters.sent() + client.counters.received();
    match subject {
        Subject::Apart(_) => assert!(wire > outcome.content, "{what}: {wire} bytes"),
        Subject::Together(_) => assert_eq!(wire, 0, "{what}"),
    }
    outcome
}

/// Of each of our transports, with both flows.
async fn each(scenario: Scenario, check: impl Fn(&Outcome)) {
    for subject in ours() {
        for flow in [Flow::OneInFlight, Flow::Concurrent] {
            check(&measured(&subject, scenario, flow).await);
        }
    }
}

fn recorded(outcome: &Outcome) -> u64 {
    outcome.latencies.iter().map(|(_, count)| count).sum()
}

#[tokio::test]
async fn ours_are_called_as_the_report_calls_them() {
    let names: Vec<_> = ours().iter().map(name_of).collect();
    assert_eq!(
        names,
        ["HTTPS/1.1", "HTTP/2", "gRPC", "gRPC, session", "memory"]
    );
}

#[tokio::test]
async fn small_queries() {
    each(Scenario::SmallQuery, |outcome| {
        assert_eq!(recorded(outcome), outcome.calls);
        assert!(outcome.content >= 50 * outcome.calls);
    })
    .await;
}

#[tokio::test]
async fn transactions_of_fifty_events() {
    each(Scenario::Transaction, |outcome| {
        assert_eq!(recorded(outcome), outcome.calls);
        assert_eq!(outcome.events, 50 * outcome.calls);
        let each = outcome.content / outcome.events;
        assert!((1_000..2_000).contains(&each), "{each} bytes an event");
    })
    .await;
}

#[tokio::test]
async fn a_steady_stream_of_events() {
    each(Scenario::Steady, |outcome| {
        // 100 a second for 40 ms, however long that really took.
        assert_eq!(outcome.events, 4);
        assert_eq!(recorded(outcome), 4, "one latency for each event");
        assert!(outcome.calls <= 4);
    })
    .await;
}

#[tokio::test]
async fn a_burst_to_every_server() {
    each(Scenario::Burst, |outcome| {
        assert_eq!(outcome.calls, recorded(outcome) * SERVERS as u64);
        assert_eq!(outcome.events, outcome.calls);
    })
    .await;
}

#[tokio::test]
async fn a_join_with_its_memory() {
    each(Scenario::Join1k, |outcome| {
        assert_eq!(outcome.events, 1_100 * outcome.calls);
        assert_eq!(recorded(outcome), outcome.calls);
        let each = outcome.content / outcome.events;
        assert!((900..1_200).contains(&each), "{each} bytes an event");
        let events: Vec<_> = outcome.memory.iter().map(|(events, _)| *events).collect();
        assert_eq!(events, (1..=100).map(|n| n * 11).collect::<Vec<_>>());
        assert!(outcome.memory.iter().all(|(_, over)| *over == 0));
    })
    .await;
}

#[tokio::test]
async fn a_backfill_of_a_hundred() {
    each(Scenario::Backfill, |outcome| {
        assert_eq!(outcome.events, 100 * outcome.calls);
        assert_eq!(recorded(outcome), outcome.calls);
    })
    .await;
}

#[tokio::test]
async fn a_file_with_queries_beside_it() {
    each(Scenario::Media, |outcome| {
        let files = outcome.content / FILE;
        assert!(files >= 1);
        assert_eq!(outcome.content, files * FILE, "whole files");
        assert_eq!(outcome.calls, files);
        assert!(recorded(outcome) >= 1, "of the queries");
    })
    .await;
}

#[tokio::test]
async fn a_cold_start() {
    each(Scenario::ColdStart, |outcome| {
        // Without the one that is the warm-up's.
        assert_eq!(outcome.calls, SERVERS as u64 - 1);
        assert_eq!(recorded(outcome), outcome.calls);
    })
    .await;
}

#[tokio::test]
async fn a_first_call_opens_the_connection() {
    for subject in ours() {
        let setting = setting(1);
        let (client, _guard) = set_up(&subject, &setting, Scenario::SmallQuery).await;
        let before = client.counters.sent();
        let took = first_call(&client, &setting, Duration::from_secs(60)).await;
        assert!(took.unwrap() > Duration::ZERO);
        if let Subject::Apart(_) = subject {
            assert_eq!(before, 0, "nothing is dialled before");
            assert!(client.counters.received() > 500, "a certificate came");
        }
    }
}

/// Whether a session is one is not to be told from outside; the handler is told.
#[tokio::test]
async fn handlers_see_how_the_origin_was_proven() {
    for subject in ours() {
        let setting = setting(2);
        let (operations, right) = service(&setting, Scenario::ColdStart);
        let schemes = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = schemes.clone();
        let noting = BoxCloneSyncService::new(service_fn(move |call: Call| {
            let proof = call.context().proof().unwrap();
            assert_eq!(proof.server_name().as_str(), "client.example.org");
            seen.lock().unwrap().insert(proof.scheme());
            right.clone().oneshot(call)
        }));
        let (client, _guard) = set_up_with(&subject, &setting, operations, noting).await;
        for scenario in [Scenario::Transaction, Scenario::ColdStart] {
            let plan = plan(scenario, Flow::Concurrent);
            let outcome = run(&client, &setting, &plan, &|| 0).await;
            assert_eq!(outcome.first_failure, None);
        }
        let expected = match &name_of(&subject)[..] {
            "gRPC, session" => "session",
            _ => "X-Matrix",
        };
        let schemes: Vec<_> = schemes.lock().unwrap().iter().copied().collect();
        assert_eq!(schemes, [expected], "{}", name_of(&subject));
    }
}
