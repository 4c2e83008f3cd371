//! What each path answers, byte by byte.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use comity_core::{
    Client, Operations,
    api::{Calls, GetVersion},
    layers::{Observe, Side},
    transport::{FixedRoutes, Select, SelectOptions},
};
use comity_gateway::admin::{
    DESTINATIONS_PER_PAGE, DestinationRow, Metrics, READY_TIMEOUT, destination_rows,
};
use comity_http::HttpTransport;
use comity_net::{Connector, Pool, PoolOptions};

use crate::fixture::{Fixture, Running, destinations};

fn status_of(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn busy() -> Fixture {
    Fixture {
        destinations: destinations(),
        ..Fixture::default()
    }
}

#[tokio::test]
async fn every_answer_forbids_to_keep_or_to_frame_it_and_to_load_anything_but_our_style() {
    let running = Running::start(busy()).await;
    for path in [
        "/",
        "/style.css",
        "/metrics",
        "/health",
        "/ready",
        "/none",
        "//",
        "/../etc",
    ] {
        let answer = running.get(path).await.to_ascii_lowercase();
        for header in [
            "cache-control: no-store",
            "content-security-policy: default-src 'none'; style-src 'self';",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
        ] {
            assert!(answer.contains(header), "{path} lacks {header}: {answer}");
        }
    }
}

#[tokio::test]
async fn the_metrics_are_prometheus_text() {
    let running = Running::start(busy()).await;
    let answer = running.get("/metrics").await;
    assert_eq!(status_of(&answer), "200");
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4"),
        "{answer}"
    );
    for line in [
        r#"comity_calls_total{direction="inbound",operation="GetEvent",binding="grpc/1",outcome="not_found"} 1"#,
        r#"comity_fallbacks_total{operation="SendTransaction",binding="grpc/1",reason="connect"} 1"#,
        r#"comity_unverified_deliveries_total{operation="GetEvent",binding="http/1",reason="key_unavailable"} 1"#,
        r#"comity_destinations{binding="grpc/1"} 2"#,
        r#"comity_destinations{binding="none"} 1"#,
    ] {
        assert!(
            body_of(&answer).lines().any(|have| have == line),
            "{line}\n{answer}"
        );
    }
    assert!(
        !answer.contains("example"),
        "destinations are no label: {answer}"
    );
}

#[tokio::test]
async fn readiness_says_what_is_wrong() {
    let ready = Running::start(busy()).await.get("/ready").await;
    assert_eq!(status_of(&ready), "200");
    let body: serde_json::Value = serde_json::from_str(body_of(&ready)).unwrap();
    assert_eq!(body["ready"], true);

    let fault = Some("connection refused".to_owned());
    let running = Running::start(Fixture { fault, ..busy() }).await;
    let answer = running.get("/ready").await;
    assert_eq!(status_of(&answer), "503");
    let body: serde_json::Value = serde_json::from_str(body_of(&answer)).unwrap();
    assert_eq!(body["ready"], false);
    assert_eq!(body["checks"][1]["fault"], "connection refused");
    let page = running.get("/").await;
    assert!(page.contains("homeserver: connection refused"), "{page}");
    // The process itself is well.
    assert_eq!(status_of(&running.get("/health").await), "200");

    let draining = Fixture {
        draining: true,
        ..busy()
    };
    let running = Running::start(draining).await;
    assert_eq!(status_of(&running.get("/ready").await), "503");
    assert!(
        running
            .get("/health")
            .await
            .contains(r#""state":"draining""#)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_have_the_homeserver_asked_once() {
    let running = Running::start(busy()).await;
    let asked: Vec<_> = (0..20).map(|_| running.get("/ready")).collect();
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(status_of(&answer), "200");
    }
    let times = running.fixture.times_checked.load(Ordering::SeqCst);
    assert!(times <= 2, "asked {times} times");
}

#[tokio::test]
async fn a_silent_homeserver_is_not_waited_for_longer_than_the_limit() {
    let running = Running::start(Fixture {
        silent: true,
        ..busy()
    })
    .await;
    let start = Instant::now();
    let answer = running.get("/ready").await;
    assert_eq!(status_of(&answer), "503");
    assert!(answer.contains("no answer in 3s"), "{answer}");
    assert!(start.elapsed() < 2 * READY_TIMEOUT);
}

#[tokio::test]
async fn other_paths_and_methods_are_told_what_there_is() {
    let running = Running::start(busy()).await;
    for path in [
        "/admin",
        "/metrics/",
        "/style.css/x",
        "//metrics",
        "/%2e%2e/metrics",
    ] {
        let answer = running.get(path).await;
        assert_eq!(status_of(&answer), "404", "{path}");
        assert!(body_of(&answer).contains("/metrics"), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "QUERY"] {
        let host = running.address;
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let answer = running.ask(&request).await;
        assert_eq!(status_of(&answer), "405", "{method}");
        assert!(answer.contains("allow: GET, HEAD"), "{answer}");
        assert!(!body_of(&answer).is_empty());
    }
    let host = running.address;
    let head = format!("HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = running.ask(&head).await;
    assert_eq!((status_of(&answer), body_of(&answer)), ("200", ""));
}

#[tokio::test]
async fn a_page_of_the_web_cannot_read_it_through_a_name_that_leads_here() {
    let running = Running::start(busy()).await;
    for path in ["/", "/metrics", "/ready"] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n");
        let answer = running.ask(&request).await;
        assert_eq!(status_of(&answer), "421", "{path}");
        assert!(!answer.contains("hs1.example"), "{answer}");
    }
}

#[tokio::test]
async fn a_page_has_a_bound_however_many_destinations_there_are() {
    let rows = (0..20_000).map(|n| DestinationRow {
        server_name: format!("hs{n}.example"),
        ..DestinationRow::default()
    });
    let running = Running::start(Fixture {
        destinations: rows.collect(),
        ..Fixture::default()
    })
    .await;
    let answer = running.get("/").await;
    assert_eq!(answer.matches("<tbody").count(), DESTINATIONS_PER_PAGE);
    assert!(answer.contains("20,000, of which 1 to 200"));
    assert!(answer.len() < 200 << 10, "{}", answer.len());
}

#[tokio::test]
async fn what_the_layers_tell_of_a_call_is_counted_and_its_destination_shown() {
    let metrics = Metrics::new(&Operations::federation(), ["http/1", "grpc/1"], vec![]);
    let observer = Arc::new(metrics.clone());
    let pool = Pool::new(Connector::danger_without_tls(), PoolOptions::default());
    let http = HttpTransport::new(Arc::new(FixedRoutes::new()), pool);
    let options = SelectOptions {
        observer: Some(observer.clone()),
        ..SelectOptions::default()
    };
    let select = Select::new(Arc::new(http), vec![], vec![], options);
    let client = Client::layered(
        Arc::new(select.clone()),
        Observe::layer(Side::Client, observer),
    );
    let nowhere = "nowhere.example".parse().unwrap();
    let failed = client.get_version(&nowhere, GetVersion::default()).await;
    assert!(failed.is_err());

    let rows = destination_rows(select.destinations());
    assert_eq!(rows[0].server_name, "nowhere.example");
    assert_eq!(rows[0].in_use, "http/1");
    assert_eq!(rows[0].bindings[0].errors, 1);
    let totals = metrics.totals();
    assert_eq!((totals.outbound, totals.errors), (1, 1));
    let running = Running::start_with(
        Fixture {
            destinations: rows,
            ..Fixture::default()
        },
        metrics,
    )
    .await;
    let answer = running.get("/metrics").await;
    let line = r#"comity_calls_total{direction="outbound",operation="GetVersion",binding="http/1",outcome="transport_resolve"} 1"#;
    assert!(
        body_of(&answer).lines().any(|have| have == line),
        "{answer}"
    );
    let page = running.get("/").await;
    assert!(page.contains("In use: it offers nothing else"), "{page}");
}
