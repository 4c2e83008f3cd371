//! What is counted, and how Prometheus reads it.
//!
//! A label never holds what a peer wrote: each value is one of a list that is fixed when [`Metrics`] is made, and everything else is `other`. Destinations are no
//! label: a stranger can make us know any number of them.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use comity_core::{
    Operations,
    layers::{FellBack, Observed, Observer},
};
use comity_net::Counters;
use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};

use super::{
    Direction, EndedCall, Totals,
    labels::{OK, OTHER, known_reason},
};

/// Upper bounds of the latency histogram's buckets, in seconds: from a call on loopback to what Synapse waits for at most.
const BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Latencies are kept one by one until they are sorted into their buckets; here at the latest.
const SAMPLES: u64 = 4096;

const CALLS: &str = "comity_calls_total";
const SECONDS: &str = "comity_call_seconds";
const BYTES: &str = "comity_content_bytes_total";
const INVOKED: &str = "comity_invoke_calls_total";
const FALLBACKS: &str = "comity_fallbacks_total";
const FAILURES: &str = "comity_authentication_failures_total";
const UNVERIFIED: &str = "comity_unverified_deliveries_total";
const REFUSED: &str = "comity_refused_calls_total";
const COALESCED: &str = "comity_coalesced_calls_total";
const WIRE: &str = "comity_wire_bytes_total";
const DESTINATIONS: &str = "comity_destinations";
const BUILD: &str = "comity_build_info";
const START: &str = "comity_start_time_seconds";

/// Each counter, with the sentence that Prometheus shows for it.
const COUNTERS: &[(&str, &str)] = &[
    (
        CALLS,
        "Calls that ended, by their outcome: ok, the kind of the peer's error, or transport_ and what failed on the way",
    ),
    (BYTES, "Bytes of the content of requests and replies"),
    (
        INVOKED,
        "Calls that gRPC carried as Invoke, since no typed message holds them losslessly",
    ),
    (
        FALLBACKS,
        "Calls that were sent once more over another binding, by the binding that failed and why",
    ),
    (
        FAILURES,
        "Calls of other servers that were refused since their signature or destination is wrong",
    ),
    (
        UNVERIFIED,
        "Calls of other servers that were delivered without a check, since no key could be had; the homeserver checks them",
    ),
    (
        REFUSED,
        "Calls that were refused before anybody looked at their proof: closed paths, callers that are not the homeserver",
    ),
    (
        COALESCED,
        "Calls that were answered with the reply of an identical one in flight",
    ),
    (
        WIRE,
        "Bytes of all connections of a port, TLS records included",
    ),
];

/// The gateway's counters. Clones count together; nothing is shared by the process.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    recorder: PrometheusRecorder,
    operations: BTreeSet<&'static str>,
    bindings: BTreeSet<&'static str>,
    ports: Vec<(&'static str, Counters)>,
    samples: AtomicU64,
    totals: TotalCells,
}

#[derive(Default)]
struct TotalCells {
    outbound: AtomicU64,
    inbound: AtomicU64,
    errors: AtomicU64,
    fallbacks: AtomicU64,
    invoked: AtomicU64,
    coalesced: AtomicU64,
    authentication_failures: AtomicU64,
    unverified: AtomicU64,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("totals", &self.totals())
            .finish_non_exhaustive()
    }
}

impl Metrics {
    /// Counters for these operations and bindings (`http/1`); any other is counted as [`OTHER`]. `ports` are the counters of bytes, by the name of their port.
    pub fn new(
        operations: &Operations,
        bindings: impl IntoIterator<Item = &'static str>,
        ports: Vec<(&'static str, Counters)>,
    ) -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(SECONDS.to_owned()), BUCKETS)
            .expect("there are buckets")
            .build_recorder();
        for (name, about) in COUNTERS {
            recorder.describe_counter((*name).into(), None, (*about).into());
        }
        recorder.describe_histogram(
            SECONDS.into(),
            None,
            "Time from the start of a call to the head of its reply".into(),
        );
        for (name, about) in [
            (DESTINATIONS, "Destinations, by the binding in use"),
            (BUILD, "The version that runs"),
            (START, "When the gateway started, in seconds since 1970"),
        ] {
            recorder.describe_gauge(name.into(), None, about.into());
        }
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let started = started.unwrap_or_default().as_secs_f64();
        let inner = Inner {
            recorder,
            operations: operations.iter().map(|op| op.spec().name).collect(),
            bindings: bindings.into_iter().collect(),
            ports,
            samples: AtomicU64::new(0),
            totals: TotalCells::default(),
        };
        inner.gauge(START, vec![], started);
        inner.gauge(
            BUILD,
            vec![label("version", env!("CARGO_PKG_VERSION"))],
            1.0,
        );
        Self(Arc::new(inner))
    }

    /// A call ended.
    pub fn call(&self, call: &EndedCall<'_>) {
        let inner = &*self.0;
        let direction = label("direction", call.direction.as_str());
        let operation = label("operation", inner.operation(call.operation));
        let binding = label("binding", inner.binding(call.binding));
        let way = vec![direction, operation, binding];

        let mut with_outcome = way.clone();
        with_outcome.push(label("outcome", call.outcome));
        inner.count(CALLS, with_outcome, 1);
        for (part, bytes) in [("request", call.request_bytes), ("reply", call.reply_bytes)] {
            if bytes > 0 {
                let mut with_part = way.clone();
                with_part.push(label("part", part));
                inner.count(BYTES, with_part, bytes);
            }
        }
        let key = Key::from_parts(SECONDS, way);
        let histogram = inner.recorder.register_histogram(&key, &METADATA);
        histogram.record(call.to_head.as_secs_f64());

        let totals = &inner.totals;
        add(match call.direction {
            Direction::Outbound => &totals.outbound,
            Direction::Inbound => &totals.inbound,
        });
        if call.outcome != OK {
            add(&totals.errors);
        }
        if (inner.samples.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(SAMPLES) {
            inner.recorder.handle().run_upkeep();
        }
    }

    /// gRPC carried a call as `Invoke`.
    pub fn invoked(&self, direction: Direction, operation: &str) {
        let operation = label("operation", self.0.operation(operation));
        let direction = label("direction", direction.as_str());
        self.0.count(INVOKED, vec![direction, operation], 1);
        add(&self.0.totals.invoked);
    }

    /// A call was sent once more, since `from` failed for this reason: `connect`.
    pub fn fallback(&self, operation: &str, from: &str, reason: &str) {
        self.0.because(FALLBACKS, operation, from, reason);
        add(&self.0.totals.fallbacks);
    }

    /// A call of another server was refused: `signature`, `destination`, `missing`, `malformed`, `key_expired`.
    pub fn authentication_failed(&self, operation: &str, binding: &str, reason: &str) {
        self.0.because(FAILURES, operation, binding, reason);
        add(&self.0.totals.authentication_failures);
    }

    /// A call of another server was delivered without a check: `key_unavailable`, `keys_busy`; or against it, since the operator says so: `danger`.
    pub fn unverified(&self, operation: &str, binding: &str, reason: &str) {
        self.0.because(UNVERIFIED, operation, binding, reason);
        add(&self.0.totals.unverified);
    }

    /// A call was refused before anybody looked at its proof: `closed_path`, `egress_secret`, `origin`, `loop`.
    pub fn refused(&self, direction: Direction, reason: &str) {
        let direction = label("direction", direction.as_str());
        let reason = label("reason", known_reason(reason));
        self.0.count(REFUSED, vec![direction, reason], 1);
    }

    /// A call shares the reply of an identical one.
    pub fn coalesced(&self, direction: Direction, operation: &str) {
        let operation = label("operation", self.0.operation(operation));
        let direction = label("direction", direction.as_str());
        self.0.count(COALESCED, vec![direction, operation], 1);
        add(&self.0.totals.coalesced);
    }

    /// The sums since the start, for a person.
    pub fn totals(&self) -> Totals {
        let cells = &self.0.totals;
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Totals {
            outbound: read(&cells.outbound),
            inbound: read(&cells.inbound),
            errors: read(&cells.errors),
            fallbacks: read(&cells.fallbacks),
            invoked: read(&cells.invoked),
            coalesced: read(&cells.coalesced),
            authentication_failures: read(&cells.authentication_failures),
            unverified: read(&cells.unverified),
        }
    }

    /// Everything in Prometheus' text format, version 0.0.4. `in_use` is the binding in use of each destination.
    pub(super) fn render<'a>(&self, in_use: impl IntoIterator<Item = &'a str>) -> String {
        let inner = &*self.0;
        for (port, counters) in &inner.ports {
            for (way, bytes) in [("received", counters.received()), ("sent", counters.sent())] {
                let labels = vec![label("port", port), label("way", way)];
                let key = Key::from_parts(WIRE, labels);
                inner
                    .recorder
                    .register_counter(&key, &METADATA)
                    .absolute(bytes);
            }
        }
        let mut counts: std::collections::BTreeMap<&str, u64> =
            inner.bindings.iter().map(|name| (*name, 0)).collect();
        for binding in in_use {
            *counts.entry(inner.binding(binding)).or_default() += 1;
        }
        for binding in inner.bindings.iter().copied().chain([OTHER, NONE]) {
            let count = counts.get(binding).copied().unwrap_or_default();
            inner.gauge(DESTINATIONS, vec![label("binding", binding)], count as f64);
        }
        inner.recorder.handle().render()
    }
}

/// No binding at all: the call did not get as far.
const NONE: &str = "none";

static METADATA: Metadata<'static> = Metadata::new("comity", Level::INFO, None);

fn label(name: &'static str, value: &'static str) -> Label {
    Label::from_static_parts(name, value)
}

impl Observer for Metrics {
    fn ended(&self, call: &Observed) {
        self.call(&call.into());
    }

    fn fell_back(&self, fallback: &FellBack) {
        self.fallback(fallback.operation, fallback.from, fallback.reason.name());
    }
}

fn add(cell: &AtomicU64) {
    cell.fetch_add(1, Ordering::Relaxed);
}

impl Inner {
    fn operation(&self, name: &str) -> &'static str {
        self.operations.get(name).copied().unwrap_or(OTHER)
    }

    fn binding(&self, name: &str) -> &'static str {
        match name {
            "" => NONE,
            name => self.bindings.get(name).copied().unwrap_or(OTHER),
        }
    }

    fn because(&self, metric: &'static str, operation: &str, binding: &str, reason: &str) {
        let labels = vec![
            label("operation", self.operation(operation)),
            label("binding", self.binding(binding)),
            label("reason", known_reason(reason)),
        ];
        self.count(metric, labels, 1);
    }

    fn count(&self, metric: &'static str, labels: Vec<Label>, by: u64) {
        let key = Key::from_parts(metric, labels);
        self.recorder
            .register_counter(&key, &METADATA)
            .increment(by);
    }

    fn gauge(&self, metric: &'static str, labels: Vec<Label>, value: f64) {
        let key = Key::from_parts(metric, labels);
        self.recorder.register_gauge(&key, &METADATA).set(value);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn metrics() -> Metrics {
        Metrics::new(&Operations::federation(), ["http/1", "grpc/1"], vec![])
    }

    fn ended<'a>(operation: &'a str, binding: &'a str, outcome: &'static str) -> EndedCall<'a> {
        EndedCall {
            direction: Direction::Outbound,
            operation,
            binding,
            outcome,
            to_head: Duration::from_millis(3),
            request_bytes: 0,
            reply_bytes: 0,
        }
    }

    fn samples(text: &str) -> Vec<&str> {
        text.lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect()
    }

    #[test]
    fn a_call_is_counted_by_direction_operation_binding_and_outcome() {
        let metrics = metrics();
        metrics.call(&EndedCall {
            request_bytes: 7,
            ..ended("SendTransaction", "grpc/1", "ok")
        });
        metrics.call(&ended("SendTransaction", "grpc/1", "transport_timeout"));
        let text = metrics.render([]);
        let labels = r#"direction="outbound",operation="SendTransaction",binding="grpc/1""#;
        for expected in [
            format!("comity_calls_total{{{labels},outcome=\"ok\"}} 1"),
            format!("comity_calls_total{{{labels},outcome=\"transport_timeout\"}} 1"),
            format!("comity_call_seconds_bucket{{{labels},le=\"0.0025\"}} 0"),
            format!("comity_call_seconds_bucket{{{labels},le=\"0.005\"}} 2"),
            format!("comity_call_seconds_count{{{labels}}} 2"),
            format!("comity_content_bytes_total{{{labels},part=\"request\"}} 7"),
            "# TYPE comity_calls_total counter".to_owned(),
            "# TYPE comity_call_seconds histogram".to_owned(),
        ] {
            assert!(
                text.lines().any(|line| line == expected),
                "{expected}\n{text}"
            );
        }
        assert_eq!(metrics.totals().outbound, 2);
        assert_eq!(metrics.totals().errors, 1);
    }

    #[test]
    fn what_a_peer_can_choose_makes_no_new_series() {
        let metrics = metrics();
        let mut series = Vec::new();
        for attempt in 0..1_000 {
            let hostile = format!("\"}}\n{attempt}");
            metrics.call(&ended(&hostile, &hostile, OK));
            metrics.fallback(&hostile, &hostile, &hostile);
            metrics.authentication_failed(&hostile, &hostile, &hostile);
            metrics.unverified(&hostile, &hostile, &hostile);
            metrics.refused(Direction::Inbound, &hostile);
            metrics.coalesced(Direction::Inbound, &hostile);
            metrics.invoked(Direction::Inbound, &hostile);
            let text = metrics.render([hostile.as_str()]);
            series.push(samples(&text).len());
        }
        assert!(series.iter().all(|count| *count == series[0]), "{series:?}");
        let text = metrics.render([]);
        let counted =
            r#"comity_fallbacks_total{operation="other",binding="other",reason="other"} 1000"#;
        assert!(text.lines().any(|line| line == counted), "{text}");
    }

    #[test]
    fn two_gateways_in_one_process_count_apart() {
        let (one, other) = (metrics(), metrics());
        one.invoked(Direction::Outbound, "GetEvent");
        assert!(one.render([]).contains("comity_invoke_calls_total{"));
        assert!(!other.render([]).contains("comity_invoke_calls_total{"));
    }

    #[test]
    fn latencies_are_not_kept_one_by_one_for_ever() {
        let metrics = metrics();
        for _ in 0..2 * SAMPLES {
            metrics.call(&ended("GetEvent", "http/1", "ok"));
        }
        let text = metrics.render([]);
        let count = format!("}} {}", 2 * SAMPLES);
        let line = text
            .lines()
            .find(|line| line.starts_with("comity_call_seconds_count"));
        assert!(line.is_some_and(|line| line.ends_with(&count)), "{text}");
    }

    #[test]
    fn destinations_are_counted_by_the_binding_in_use() {
        let text = metrics().render(["grpc/1", "grpc/1", "", "odd/9"]);
        for (binding, count) in [("grpc/1", 2), ("http/1", 0), ("none", 1), ("other", 1)] {
            let line = format!("comity_destinations{{binding=\"{binding}\"}} {count}");
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
    }
}
