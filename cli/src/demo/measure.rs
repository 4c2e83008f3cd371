//! How long calls take and how many bytes they move, transport by transport.

use std::time::Duration;

use serde::Serialize;

use super::{
    findings::Findings,
    progress::Announce,
    report::count,
    stage::{Actor, Stage},
};

/// A call that was answered as it should be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) time: Duration,
    /// Events that arrived; what else is known of them, the task's claim says.
    pub(crate) events: usize,
}

/// What is measured: an operation, called so many times over each transport.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// The operation's name in the table.
    pub(crate) operation: &'static str,
    pub(crate) calls: usize,
    /// What all calls together show, with `{calls}` and `{events}` in place of the numbers. Empty: nothing but that they were answered.
    pub(crate) claim: &'static str,
}

/// What was measured of one operation over one transport.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) operation: &'static str,
    pub(crate) transport: &'static str,
    pub(crate) calls: usize,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Bytes on the wire, TLS included, for all calls together; none in memory.
    pub(crate) bytes_sent: Option<u64>,
    pub(crate) bytes_received: Option<u64>,
}

/// One operation over one transport, while it is measured.
#[derive(Debug, Default)]
struct Samples {
    times: Vec<Duration>,
    sent: u64,
    received: u64,
    events: usize,
    failures: Vec<String>,
}

/// Calls an operation over each transport in turns, so that what slows the machine down slows all of them. `caller` is whose bytes are
/// counted.
pub(crate) async fn measure<H>(
    stages: &[Stage<H>],
    task: Task,
    caller: fn(&Stage<H>) -> &Actor<H>,
    announce: Announce,
    findings: &mut Findings,
    call: impl AsyncFn(&Stage<H>, usize) -> Result<Done, String>,
) -> Vec<Row> {
    let progress = announce.stage(&format!("calling {}", task.operation), task.calls);
    let mut all: Vec<Samples> = stages.iter().map(|_| Samples::default()).collect();
    for round in 0..task.calls {
        for (stage, samples) in stages.iter().zip(&mut all) {
            let before = caller(stage).counted();
            let result = call(stage, round).await;
            let after = caller(stage).counted();
            samples.sent += after.0 - before.0;
            samples.received += after.1 - before.1;
            match result {
                Ok(done) => {
                    samples.times.push(done.time);
                    samples.events += done.events;
                }
                Err(why) => samples.failures.push(format!("call {round}: {why}")),
            }
        }
        progress.advance(1);
    }
    let mut rows = Vec::new();
    let mut results = Vec::new();
    for (stage, mut samples) in stages.iter().zip(all) {
        samples.times.sort_unstable();
        let counted = caller(stage).counters.as_ref();
        rows.push(Row {
            operation: task.operation,
            transport: stage.wire,
            calls: task.calls,
            p50_us: percentile(&samples.times, 50),
            p99_us: percentile(&samples.times, 99),
            bytes_sent: counted.map(|_| samples.sent),
            bytes_received: counted.map(|_| samples.received),
        });
        let result = match samples.failures.first() {
            None => Ok(task
                .claim
                .replace("{calls}", &count(task.calls))
                .replace("{events}", &count(samples.events))),
            Some(first) => Err(format!(
                "{} of {} calls of {} failed; {first}",
                samples.failures.len(),
                task.calls,
                task.operation
            )),
        };
        results.push((stage.wire, result));
    }
    results.retain(|(_, result)| result.as_ref().is_err() || !task.claim.is_empty());
    findings.conclude(results);
    rows
}

/// The nearest-rank percentile of sorted samples, in microseconds.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted
        .get(rank - 1)
        .map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let samples: Vec<_> = (1..=200).map(Duration::from_micros).collect();
        assert!((percentile(&samples, 50) - 100.0).abs() < 1e-6);
        assert!((percentile(&samples, 99) - 198.0).abs() < 1e-6);
        assert!((percentile(&samples[..1], 99) - 1.0).abs() < 1e-6);
    }
}
