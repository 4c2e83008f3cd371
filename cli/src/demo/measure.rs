//! How long calls take and how many bytes they move, transport by transport.

use std::time::Duration;

use serde::Serialize;

use super::{
    findings::Findings,
    progress::Announce,
    servers::Stage,
    work::{Errand, Work},
};

/// How often each operation is called over each transport.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) calls: usize,
    pub(crate) joins: usize,
    /// Whether as many calls are made as it takes to carry each event at least once.
    pub(crate) every_event: bool,
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

/// Calls each operation over each transport in turns, so that what slows the machine down slows all of them.
pub(crate) async fn measure(
    stage: &Stage,
    errand: &Errand,
    plan: Plan,
    announce: Announce,
    findings: &mut Findings,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for work in Work::ALL {
        let rounds = match work {
            Work::Join => plan.joins,
            _ if plan.every_event => plan.calls.max(errand.rounds(work)),
            _ => plan.calls,
        };
        let progress = announce.stage(&format!("calling {}", work.operation()), rounds);
        let mut samples: Vec<Samples> = stage.wires.iter().map(|_| Samples::default()).collect();
        for round in 0..rounds {
            for (wire, samples) in stage.wires.iter().zip(&mut samples) {
                let counted = || {
                    let counters = wire.counters.as_ref();
                    counters.map_or((0, 0), |counters| (counters.sent(), counters.received()))
                };
                let before = counted();
                let result = errand.run(work, &wire.client, round).await;
                let after = counted();
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
        for (wire, samples) in stage.wires.iter().zip(&mut samples) {
            samples.times.sort_unstable();
            let counted = wire.counters.as_ref();
            rows.push(Row {
                operation: work.operation(),
                transport: wire.name,
                calls: rounds,
                p50_us: percentile(&samples.times, 50),
                p99_us: percentile(&samples.times, 99),
                bytes_sent: counted.map(|_| samples.sent),
                bytes_received: counted.map(|_| samples.received),
            });
        }
        let results = stage.wires.iter().zip(samples).map(|(wire, samples)| {
            let result = match samples.failures.first() {
                None => Ok(claim(work, rounds, samples.events)),
                Some(first) => Err(format!(
                    "{} of {rounds} calls of {} failed; {first}",
                    samples.failures.len(),
                    work.operation()
                )),
            };
            (wire.name, result)
        });
        findings.conclude(results);
    }
    rows
}

fn claim(work: Work, calls: usize, events: usize) -> String {
    use super::report::count;
    let (name, calls, events) = (work.operation(), count(calls), count(events));
    match work {
        Work::Version => {
            format!("{calls} version replies equal, a member that nobody knows included")
        }
        Work::Keys => format!("{calls} signed key documents equal byte for byte"),
        Work::Transaction => {
            format!(
                "{events} events pushed by {calls} {name}, each recognised byte for byte by the receiver"
            )
        }
        Work::MissingEvents => {
            format!("{events} events fetched by {calls} {name} equal byte for byte")
        }
        Work::Join => {
            format!("{events} events streamed by {calls} timed {name} equal byte for byte")
        }
        Work::Media => format!("{calls} files of 256 KiB equal byte for byte"),
    }
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
