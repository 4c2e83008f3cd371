//! What is read off a sample, and what came of it over the repetitions of a cell.

use std::collections::BTreeMap;

use super::parties::Party;
use crate::model::{Cell, NETWORKS, Results, Sample, Scenario};

/// A figure of one sample. Times are in seconds, sizes in bytes, rates by the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    P50,
    P90,
    P99,
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
    pub(super) const ALL: [Self; 18] = [
        Self::P50,
        Self::P90,
        Self::P99,
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
            Self::CallRate => "calls_per_s",
            Self::EventRate => "events_per_s",
            Self::ContentRate => "content_bytes_per_s",
            Self::ClientCpu => "client_cpu_s_per_call",
            Self::ServerCpu => "server_cpu_s_per_call",
            Self::Cpu => "cpu_s_per_call",
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

    /// None where there is nothing to divide by, nothing was measured, or what was measured is no quantity.
    pub(super) fn of(self, sample: &Sample) -> Option<f64> {
        let outcome = &sample.outcome;
        let by = |value: f64, count: u64| (count > 0).then(|| value / count as f64);
        let rate = |count: u64| (count > 0).then(|| count as f64 / outcome.seconds);
        let quantile =
            |percent| quantile(&outcome.latencies, percent).map(|micros| micros as f64 / 1e6);
        let deliveries = match per_event(sample.cell.scenario) {
            true => outcome.events,
            false => outcome.calls,
        };
        let value = match self {
            Self::P50 => quantile(50)?,
            Self::P90 => quantile(90)?,
            Self::P99 => quantile(99)?,
            Self::CallRate => rate(outcome.calls)?,
            Self::EventRate => rate(outcome.events)?,
            Self::ContentRate => rate(outcome.content)?,
            Self::ClientCpu => by(sample.client.cpu, outcome.calls)?,
            Self::ServerCpu => by(sample.server?.cpu, outcome.calls)?,
            Self::Cpu => {
                let server = sample.server.map_or(0.0, |server| server.cpu);
                by(sample.client.cpu + server, outcome.calls)?
            }
            Self::ClientMemory => sample.client.peak.saturating_sub(sample.client.idle) as f64,
            Self::ServerMemory => {
                let server = sample.server?;
                server.peak.saturating_sub(server.idle) as f64
            }
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

/// Whether what is delivered are events; otherwise answers to calls are.
pub(super) fn per_event(scenario: Scenario) -> bool {
    use Scenario::{
        Backfill, Burst, ColdStart, Join1k, Join20k, Join200k, Media, SmallQuery, Steady,
        Transaction,
    };
    match scenario {
        Transaction | Steady | Burst | Join1k | Join20k | Join200k | Backfill => true,
        SmallQuery | Media | ColdStart => false,
    }
}

/// The least of the values that at least so many of a hundred do not exceed.
fn quantile(histogram: &[(u64, u64)], percent: u128) -> Option<u64> {
    // Whatever a file says, sums do not overflow.
    let total: u128 = histogram.iter().map(|(_, count)| u128::from(*count)).sum();
    if total == 0 {
        return None;
    }
    let mut sorted = histogram.to_vec();
    sorted.sort_unstable();
    let rank = (total * percent).div_ceil(100);
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
    pub(super) fn spread(&self, measure: Measure) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(|sample| measure.of(sample)))
    }

    /// Whether server and client were one process, so that its CPU and memory are of both.
    pub(super) fn is_together(&self) -> bool {
        self.samples.iter().all(|sample| sample.server.is_none())
    }

    /// Whether the network's delay was one of calls within the client, for want of packets.
    pub(super) fn is_delayed_in_process(&self) -> bool {
        self.is_together()
            && NETWORKS
                .iter()
                .any(|network| network.name == self.cell.network && network.delay > 0.0)
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
        let samples = Vec::new();
        let entry = cells.entry(key).or_insert(Measured { cell, samples });
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
        assert_eq!(quantile(&histogram, 50), Some(10));
        assert_eq!(quantile(&histogram, 51), Some(20));
        assert_eq!(quantile(&histogram, 90), Some(20));
        assert_eq!(quantile(&histogram, 99), Some(30));
        assert_eq!(quantile(&histogram, 100), Some(1_000));
        assert_eq!(quantile(&[], 50), None);
        assert_eq!(quantile(&[(5, 0)], 50), None);
        assert_eq!(
            quantile(&[(u64::MAX, u64::MAX), (7, u64::MAX)], 50),
            Some(7)
        );
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
