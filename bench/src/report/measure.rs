//! What is read off a sample, and what came of it over the repetitions of a cell.

use std::collections::BTreeMap;

use super::parties::Party;
use crate::model::{Cell, Emulation, Flow, NETWORKS, Process, Results, Sample, Scenario};

/// Repetitions below which a spread says little: nobody is ahead of anybody by fewer, and the reader is told.
pub(super) const LEAST_SEEDS: usize = 5;

/// Bytes of a file of [`Scenario::Media`], which is what its CPU and bytes are divided by: how many small queries go beside a file is as many as fit.
const FILE: u64 = 10_000_000;

/// A figure of one sample. Times are in seconds, sizes in bytes, rates by the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    P50,
    P90,
    P99,
    JoinTime,
    CallRate,
    EventRate,
    ContentRate,
    ClientCpu,
    ServerCpu,
    Cpu,
    ClientMemory,
    ServerMemory,
    WireBytes,
    WirePackets,
    WireShare,
    HandshakeTime,
    HandshakeClientCpu,
    HandshakeServerCpu,
    HandshakeBytes,
}

impl Measure {
    pub(super) const ALL: [Self; 19] = [
        Self::P50,
        Self::P90,
        Self::P99,
        Self::JoinTime,
        Self::CallRate,
        Self::EventRate,
        Self::ContentRate,
        Self::ClientCpu,
        Self::ServerCpu,
        Self::Cpu,
        Self::ClientMemory,
        Self::ServerMemory,
        Self::WireBytes,
        Self::WirePackets,
        Self::WireShare,
        Self::HandshakeTime,
        Self::HandshakeClientCpu,
        Self::HandshakeServerCpu,
        Self::HandshakeBytes,
    ];

    /// Its column in the tables, unit included.
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::P50 => "latency_p50_s",
            Self::P90 => "latency_p90_s",
            Self::P99 => "latency_p99_s",
            Self::JoinTime => "whole_join_s",
            Self::CallRate => "calls_per_s",
            Self::EventRate => "events_per_s",
            Self::ContentRate => "content_bytes_per_s",
            Self::ClientCpu => "client_cpu_s_each",
            Self::ServerCpu => "server_cpu_s_each",
            Self::Cpu => "cpu_s_each",
            Self::ClientMemory => "client_peak_over_idle_bytes",
            Self::ServerMemory => "server_peak_over_idle_bytes",
            Self::WireBytes => "wire_bytes_per_delivery",
            Self::WirePackets => "wire_packets_per_delivery",
            Self::WireShare => "wire_bytes_per_content_byte",
            Self::HandshakeTime => "handshake_s",
            Self::HandshakeClientCpu => "handshake_client_cpu_s",
            Self::HandshakeServerCpu => "handshake_server_cpu_s",
            Self::HandshakeBytes => "handshake_bytes",
        }
    }

    /// Whether it is one figure of all repetitions, without a spread.
    pub(super) fn is_pooled(self) -> bool {
        matches!(self, Self::P90 | Self::P99)
    }

    /// None where there is nothing to divide by, nothing was measured, or what was measured is no quantity.
    pub(super) fn of(self, sample: &Sample) -> Option<f64> {
        let outcome = &sample.outcome;
        let by = |value: f64, count: u64| (count > 0).then(|| value / count as f64);
        let rate = |count: u64| (count > 0).then(|| count as f64 / outcome.seconds);
        let deliveries = match delivery(sample.cell.scenario) {
            "event" => outcome.events,
            "file" => outcome.content / FILE,
            _ => outcome.calls,
        };
        let asked = match work(sample.cell.scenario) {
            "file" => outcome.content / FILE,
            _ => outcome.calls,
        };
        let value = match self {
            Self::P50 => latency(&outcome.latencies, 50)?,
            Self::P90 => latency(&outcome.latencies, 90)?,
            Self::P99 => latency(&outcome.latencies, 99)?,
            Self::JoinTime => {
                // Joins beside one another share the time, and a failed one has taken some of it.
                let alone = sample.cell.flow == Flow::OneInFlight && outcome.failures == 0;
                if !alone || !is_join(sample.cell.scenario) {
                    return None;
                }
                by(outcome.seconds, outcome.calls)?
            }
            Self::CallRate => rate(outcome.calls)?,
            Self::EventRate => rate(outcome.events)?,
            Self::ContentRate => rate(outcome.content)?,
            Self::ClientCpu => by(sample.client.cpu, asked)?,
            Self::ServerCpu => by(sample.server?.cpu, asked)?,
            Self::Cpu => {
                let server = sample.server.map_or(0.0, |server| server.cpu);
                by(sample.client.cpu + server, asked)?
            }
            Self::ClientMemory => over_idle(&sample.client)?,
            Self::ServerMemory => over_idle(&sample.server?)?,
            Self::WireBytes => {
                let wire = sample.wire?;
                by(wire.sent as f64 + wire.received as f64, deliveries)?
            }
            Self::WirePackets => {
                let wire = sample.wire?;
                let packets = wire.packets_sent? as f64 + wire.packets_received? as f64;
                by(packets, deliveries)?
            }
            Self::WireShare => {
                let wire = sample.wire?;
                by(wire.sent as f64 + wire.received as f64, outcome.content)?
            }
            Self::HandshakeTime => sample.handshake?.seconds,
            Self::HandshakeClientCpu => sample.handshake?.client_cpu,
            Self::HandshakeServerCpu => sample.handshake?.server_cpu?,
            Self::HandshakeBytes => sample.handshake?.bytes? as f64,
        };
        (value.is_finite() && value >= 0.0).then_some(value)
    }
}

/// The peak over idle; none if the peak could not be begun anew, since then it is that of what came before as well.
fn over_idle(process: &Process) -> Option<f64> {
    let over = process.peak.saturating_sub(process.idle) as f64;
    (!process.peak_of_life).then_some(over)
}

/// Whether the peak of either side is that of its whole life.
pub(super) fn peak_of_life(sample: &Sample) -> bool {
    let server = sample.server.is_some_and(|server| server.peak_of_life);
    sample.client.peak_of_life || server
}

/// Whether a scenario is a join.
pub(super) fn is_join(scenario: Scenario) -> bool {
    matches!(
        scenario,
        Scenario::Join1k | Scenario::Join20k | Scenario::Join200k
    )
}

/// What is delivered, and bytes are divided by.
pub(super) fn delivery(scenario: Scenario) -> &'static str {
    use Scenario::{
        Backfill, Burst, ColdStart, Join1k, Join20k, Join200k, Media, SmallQuery, Steady,
        Transaction,
    };
    match scenario {
        Transaction | Steady | Burst | Join1k | Join20k | Join200k | Backfill => "event",
        SmallQuery | ColdStart => "call",
        Media => "file",
    }
}

/// What CPU is divided by.
pub(super) fn work(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::Media => "file",
        _ => "call",
    }
}

/// A latency that so many of a hundred do not exceed, in seconds; none where fewer were counted than it takes for one to lie beyond it. A median is the exception:
/// of one value, it is that one.
fn latency(histogram: &[(u64, u64)], percent: u32) -> Option<f64> {
    let enough = percent <= 50 || counted(histogram) * u128::from(100 - percent) >= 100;
    let share = f64::from(percent) / 100.0;
    let micros = quantile(histogram, share).filter(|_| enough)?;
    Some(micros as f64 / 1e6)
}

/// How many values a histogram has. Whatever a file says, sums do not overflow.
fn counted(histogram: &[(u64, u64)]) -> u128 {
    histogram.iter().map(|(_, count)| u128::from(*count)).sum()
}

/// The least of the values that at least this share does not exceed.
pub(super) fn quantile(histogram: &[(u64, u64)], share: f64) -> Option<u64> {
    let total = counted(histogram);
    if total == 0 {
        return None;
    }
    let mut sorted = histogram.to_vec();
    sorted.sort_unstable();
    // A product that should be whole may be a little more.
    let rank = ((total as f64 * share) * (1.0 - 1e-12)).ceil() as u128;
    let rank = rank.clamp(1, total);
    let mut seen = 0;
    for (value, count) in sorted {
        seen += u128::from(count);
        if seen >= rank {
            return Some(value);
        }
    }
    None
}

/// The median over the repetitions, and their extremes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[middle],
            // Halved first: two huge values have no sum.
            _ => values[middle - 1] / 2.0 + values[middle] / 2.0,
        };
        Some(Self { median, min, max })
    }

    /// Whether every repetition of the one was below every repetition of the other.
    pub(super) fn is_below(&self, other: &Self) -> bool {
        self.max < other.min
    }
}

/// A cell with its repetitions.
#[derive(Clone, Debug)]
pub(super) struct Measured<'a> {
    pub(super) cell: &'a Cell,
    pub(super) samples: Vec<&'a Sample>,
}

impl Measured<'_> {
    /// Over the repetitions. The ninetieth and ninety-ninth percentiles have no spread: they are those of all repetitions' latencies together, which are few enough.
    pub(super) fn spread(&self, measure: Measure) -> Option<Spread> {
        let pooled = match measure {
            Measure::P90 => 90,
            Measure::P99 => 99,
            _ => {
                return Spread::of(self.samples.iter().filter_map(|sample| measure.of(sample)));
            }
        };
        Spread::of(latency(&self.latencies(), pooled))
    }

    /// The latencies of all repetitions: `(microseconds, how many)`, in order.
    pub(super) fn latencies(&self) -> Vec<(u64, u64)> {
        let all = self.samples.iter();
        let mut all: Vec<(u64, u64)> = all
            .flat_map(|sample| &sample.outcome.latencies)
            .copied()
            .collect();
        all.sort_unstable();
        all
    }

    /// How many latencies there are of all repetitions.
    pub(super) fn counted(&self) -> u64 {
        u64::try_from(counted(&self.latencies())).unwrap_or(u64::MAX)
    }

    /// Whether server and client were one process, so that its CPU and memory are of both.
    pub(super) fn is_together(&self) -> bool {
        self.samples.iter().all(|sample| sample.server.is_none())
    }

    /// Whether the network's delay was one of calls within the client, for want of packets, in any repetition.
    pub(super) fn is_delayed_in_process(&self) -> bool {
        self.is(Emulation::InProcess)
    }

    /// Whether there were packets between two namespaces, in every repetition.
    pub(super) fn is_emulated(&self) -> bool {
        let mut samples = self.samples.iter();
        samples.all(|sample| sample.emulation == Emulation::Tun)
    }

    /// How its network came about, by its name in the tables: `mixed` if not in the same way for all repetitions.
    pub(super) fn emulation(&self) -> &'static str {
        let all = |emulation| self.samples.iter().all(|it| it.emulation == emulation);
        [Emulation::None, Emulation::Tun, Emulation::InProcess]
            .into_iter()
            .find(|emulation| all(*emulation))
            .map_or("mixed", Emulation::name)
    }

    fn is(&self, emulation: Emulation) -> bool {
        let mut samples = self.samples.iter();
        samples.any(|sample| sample.emulation == emulation)
    }

    /// Repetitions whose first attempt failed.
    pub(super) fn retried(&self) -> u64 {
        let samples = self.samples.iter();
        samples.filter(|sample| sample.retried.is_some()).count() as u64
    }

    /// Repetitions in which the sender did not keep up with what arrived, so that the latency is that of a queue.
    pub(super) fn behind(&self) -> u64 {
        let samples = self.samples.iter();
        samples
            .filter(|sample| sample.outcome.note.is_some())
            .count() as u64
    }

    /// Whether it may be compared: no call failed, and the sender kept up.
    pub(super) fn is_sound(&self) -> bool {
        self.failures() == 0 && self.behind() == 0
    }

    pub(super) fn failures(&self) -> u64 {
        let failures = self.samples.iter().map(|sample| sample.outcome.failures);
        failures.fold(0, u64::saturating_add)
    }
}

/// Every cell that has a sample, in the order of the report: network, flow, scenario, then transports in the order of the parties.
pub(super) fn cells<'a>(results: &'a Results, order: &[Party]) -> Vec<Measured<'a>> {
    let mut cells: BTreeMap<_, Measured<'a>> = BTreeMap::new();
    for sample in &results.samples {
        let cell = &sample.cell;
        let network = NETWORKS
            .iter()
            .position(|network| network.name == cell.network);
        let transport = order.iter().position(|party| party.name == cell.transport);
        let key = (
            network.unwrap_or(NETWORKS.len()),
            &cell.network,
            cell.flow,
            cell.scenario,
            transport,
            &cell.transport,
        );
        let entry = cells.entry(key).or_insert(Measured {
            cell,
            samples: Vec::new(),
        });
        entry.samples.push(sample);
    }
    cells.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_occurred() {
        let histogram = [(10, 50), (20, 40), (30, 9), (1_000, 1)];
        assert_eq!(quantile(&histogram, 0.50), Some(10));
        assert_eq!(quantile(&histogram, 0.51), Some(20));
        assert_eq!(quantile(&histogram, 0.90), Some(20));
        assert_eq!(quantile(&histogram, 0.99), Some(30));
        assert_eq!(quantile(&histogram, 1.0), Some(1_000));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[(5, 0)], 0.5), None);
        assert_eq!(
            quantile(&[(u64::MAX, u64::MAX), (7, u64::MAX)], 0.5),
            Some(7)
        );
    }

    #[test]
    fn a_percentile_needs_one_beyond_it() {
        assert_eq!(latency(&[(10, 1)], 50), Some(10e-6));
        assert_eq!(latency(&[(10, 9)], 90), None);
        assert_eq!(latency(&[(10, 10)], 90), Some(10e-6));
        assert_eq!(latency(&[(10, 99)], 99), None);
        assert_eq!(latency(&[(10, 60), (20, 40)], 99), Some(20e-6));
    }

    #[test]
    fn a_median_lies_between_the_extremes() {
        let spread = Spread::of([3.0, 1.0, 10.0]);
        assert_eq!(
            spread,
            Some(Spread {
                median: 3.0,
                min: 1.0,
                max: 10.0
            })
        );
        let spread = Spread::of([3.0, 1.0, 10.0, 5.0]);
        assert_eq!(
            spread,
            Some(Spread {
                median: 4.0,
                min: 1.0,
                max: 10.0
            })
        );
        assert_eq!(Spread::of([]), None);
        let huge = Spread::of([f64::MAX, f64::MAX]).unwrap();
        assert_eq!(huge.median, f64::MAX);
    }
}
