//! Who is ahead: computed from the medians, and said only where there are repetitions enough and they do not overlap.

use std::collections::BTreeMap;

use super::{
    ABOVE_TCP, LARGE_PACKETS,
    escape::short,
    measure::{LEAST_SEEDS, Measure, Measured, Spread, is_join},
    parties::Party,
    words::{list, three},
};
use crate::model::{Flow, Scenario};

/// Which end of a measure is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Lower,
    Higher,
}

/// Cells and parties, to be asked.
#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) cells: &'a [Measured<'a>],
    pub(super) parties: &'a [Party],
}

/// How a comparison of transports ended.
#[derive(Clone, Debug)]
pub(super) enum Lead<'a> {
    /// Every repetition of it was better than every repetition of the others. By how much the next one's median is worse.
    Clear(&'a Party, f64),
    /// The repetitions of these overlap with those of the best, which comes first.
    Tied(Vec<&'a Party>),
    /// So do those of all.
    Level,
    /// Nothing overlaps, and there are fewer than [`LEAST_SEEDS`] repetitions of some.
    Few,
    /// Nobody to compare with.
    Alone(&'a Party),
    /// Nothing was measured.
    Nobody,
}

impl<'a> Field<'a> {
    pub(super) fn party(&self, measured: &Measured<'_>) -> Option<&'a Party> {
        let name = &measured.cell.transport;
        self.parties.iter().find(|party| party.name == *name)
    }

    /// The cells of one comparison, in the order of the transports.
    pub(super) fn of(
        &self,
        network: &str,
        flow: Flow,
        scenario: Scenario,
    ) -> Vec<&'a Measured<'a>> {
        let cells = self.cells.iter().filter(|measured| {
            let cell = measured.cell;
            cell.network == network && cell.flow == flow && cell.scenario == scenario
        });
        cells.collect()
    }

    /// Networks with samples, in the order of the report.
    pub(super) fn networks(&self) -> Vec<&'a str> {
        let mut networks: Vec<&str> = self
            .cells
            .iter()
            .map(|measured| &measured.cell.network[..])
            .collect();
        networks.dedup();
        networks
    }

    /// Those that an operator could choose for two servers: no peer, nothing within one process, nothing that failed or did not keep up.
    fn choice(&self, cells: &[&Measured<'_>], measure: Measure) -> Vec<Candidate<'a>> {
        let cells = cells
            .iter()
            .filter(|measured| !measured.is_together() && measured.is_sound());
        let candidates = cells.filter_map(|measured| {
            Some(Candidate {
                party: self.party(measured)?,
                spread: measured.spread(measure)?,
                enough: is_enough(measured, measure),
            })
        });
        candidates
            .filter(|candidate| !candidate.party.peer)
            .collect()
    }

    pub(super) fn lead(
        &self,
        cells: &[&Measured<'_>],
        measure: Measure,
        better: Better,
    ) -> Lead<'a> {
        let mut choice = self.choice(cells, measure);
        choice.sort_by(|a, b| match better {
            Better::Lower => a.spread.median.total_cmp(&b.spread.median),
            Better::Higher => b.spread.median.total_cmp(&a.spread.median),
        });
        let Some((best, others)) = choice.split_first() else {
            return Lead::Nobody;
        };
        let Some(next) = others.first() else {
            return Lead::Alone(best.party);
        };
        let is_better = |other: &Spread| match better {
            Better::Lower => best.spread.is_below(other),
            Better::Higher => other.is_below(&best.spread),
        };
        let mut tied = vec![best.party];
        let overlapping = others.iter().filter(|other| !is_better(&other.spread));
        tied.extend(overlapping.map(|other| other.party));
        match tied.len() {
            1 if choice.iter().all(|candidate| candidate.enough) => {
                Lead::Clear(best.party, ratio(best.spread.median, next.spread.median))
            }
            1 => Lead::Few,
            all if all == choice.len() => Lead::Level,
            _ => Lead::Tied(tied),
        }
    }

    /// `lowest: gRPC in 4 of 6, HTTP/2 in 1; in 1 the repetitions overlap`. `places` is what is counted.
    pub(super) fn tally(
        &self,
        comparisons: &[Vec<&Measured<'_>>],
        measure: Measure,
        better: Better,
        places: &str,
    ) -> String {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        let (mut tied, mut few, mut all) = (0, 0, 0);
        for cells in comparisons {
            match self.lead(cells, measure, better) {
                Lead::Clear(party, _) => {
                    let place = self
                        .parties
                        .iter()
                        .position(|other| other.name == party.name);
                    *counts.entry(place.unwrap_or(usize::MAX)).or_default() += 1;
                    all += 1;
                }
                Lead::Tied(_) | Lead::Level => {
                    tied += 1;
                    all += 1;
                }
                Lead::Few => {
                    few += 1;
                    all += 1;
                }
                Lead::Alone(_) | Lead::Nobody => {}
            }
        }
        if all == 0 {
            return "nothing to compare".to_owned();
        }
        let one = match all {
            1 => places
                .replacen("networks", "network", 1)
                .replacen("comparisons", "comparison", 1),
            _ => places.to_owned(),
        };
        let places = &one[..];
        let mut counts: Vec<(usize, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|(place, count)| (std::cmp::Reverse(*count), *place));
        let mut first = true;
        let mut said: Vec<String> = Vec::new();
        for (place, count) in counts {
            let name = self.parties.get(place).map_or("", |party| &party.label);
            said.push(match first {
                true => format!("{name} in {count} of {all} {places}"),
                false => format!("{name} in {count}"),
            });
            first = false;
        }
        let mut open = Vec::new();
        if tied > 0 {
            open.push(format!("in {tied} {OVERLAPPING}"));
        }
        if few > 0 {
            open.push(format!(
                "in {few} there are fewer than {LEAST_SEEDS} repetitions of some"
            ));
        }
        match (said.is_empty(), tied) {
            (true, tied) if tied == all => match all {
                1 => format!("nobody clearly: in the one {places} {OVERLAPPING}"),
                _ => format!("nobody clearly: in all {all} {places} {OVERLAPPING}"),
            },
            (true, _) => format!("nobody clearly: of {all} {places}, {}", open.join(", ")),
            (false, _) if open.is_empty() => list(&said),
            (false, _) => format!("{}; {}", list(&said), open.join(", ")),
        }
    }

    /// The two that are farthest apart in any of the comparisons, of those whose repetitions do not overlap: the index of the comparison, the better, the worse, and how many times.
    pub(super) fn farthest(
        &self,
        comparisons: &[Vec<&Measured<'_>>],
        measure: Measure,
        better: Better,
    ) -> Option<(usize, &'a Party, &'a Party, f64)> {
        let apart = comparisons.iter().enumerate().filter_map(|(index, cells)| {
            let mut choice = self.choice(cells, measure);
            choice.retain(|candidate| candidate.enough);
            let pairs = choice
                .iter()
                .flat_map(|low| choice.iter().map(move |high| (low, high)));
            let apart = pairs.filter(|(low, high)| low.spread.is_below(&high.spread));
            let apart = apart.map(|(low, high)| {
                let times = ratio(low.spread.median, high.spread.median);
                match better {
                    Better::Lower => (index, low.party, high.party, times),
                    Better::Higher => (index, high.party, low.party, times),
                }
            });
            apart
                .filter(|(_, _, _, times)| times.is_finite())
                .max_by(|a, b| a.3.total_cmp(&b.3))
        });
        apart.max_by(|a, b| a.3.total_cmp(&b.3))
    }

    /// The medians of one transport, by another's; none if calls of either failed.
    pub(super) fn share(
        &self,
        (one, other): (&str, &str),
        cells: &[&Measured<'_>],
        measure: Measure,
    ) -> Option<Share> {
        let of = |name: &str| {
            let mut of = cells
                .iter()
                .filter(|measured| measured.cell.transport == name);
            of.next().copied()
        };
        share(of(one)?, of(other)?, measure)
    }

    /// What is compared by its latency, and each join by its whole duration too: the measure, and how a row of it is called.
    pub(super) fn contests(&self, each: Flow) -> Vec<(Scenario, Measure, String)> {
        let of_flow = |scenario: &Scenario| {
            let mut cells = self.cells.iter().map(|measured| measured.cell);
            cells.any(|cell| cell.flow == each && cell.scenario == *scenario)
        };
        let mut contests = Vec::new();
        for of in Scenario::ALL.into_iter().filter(of_flow) {
            contests.push((of, Measure::P50, self.latency_of(of)));
            if is_join(of) && each == Flow::OneInFlight {
                contests.push((of, Measure::JoinTime, "the whole join".to_owned()));
            }
        }
        contests
    }

    /// What the latencies of a scenario are of: `the first event`. Empty if no sample says it.
    pub(super) fn latency_of(&self, of: Scenario) -> String {
        let cells = self.cells.iter();
        let samples = cells
            .filter(|measured| measured.cell.scenario == of)
            .flat_map(|measured| &measured.samples);
        let mut said = samples
            .map(|sample| &sample.outcome.latency_of)
            .filter(|said| !said.is_empty());
        said.next().map_or_else(String::new, |said| short(said, 44))
    }

    /// The samples of a network with a handshake, by transport: those of all its flows and scenarios, unless calls failed.
    pub(super) fn handshakes(&self, network: &str) -> Vec<Measured<'a>> {
        let mut gathered: Vec<Measured<'a>> = Vec::new();
        for party in self.parties {
            let mut of: Option<Measured<'a>> = None;
            let cells = self.cells.iter().filter(|measured| {
                measured.cell.network == network && measured.cell.transport == party.name
            });
            for measured in cells {
                let samples =
                    measured.samples.iter().copied().filter(|sample| {
                        sample.handshake.is_some() && sample.outcome.failures == 0
                    });
                let entry = of.get_or_insert(Measured {
                    samples: Vec::new(),
                    ..measured.clone()
                });
                entry.samples.extend(samples);
            }
            gathered.extend(of.filter(|of| !of.samples.is_empty()));
        }
        gathered
    }

    /// Where bytes are best compared: the first network that `may` be and whose packets were emulated, of the size that networks have. Otherwise the first that may be.
    pub(super) fn packets(&self, may: impl Fn(&str) -> bool) -> Option<&'a str> {
        let mut networks = self.networks();
        networks.retain(|name| may(name));
        let emulated = networks.iter().find(|name| self.is_emulated(name));
        emulated.or(networks.first()).copied()
    }

    /// What is to be known of the bytes of a network, unless they are those of packets of the size that networks have.
    pub(super) fn of_bytes(&self, network: &str) -> Option<&'static str> {
        match self.is_above_tcp(network) {
            true => Some(ABOVE_TCP),
            false => (!self.is_emulated(network)).then_some(LARGE_PACKETS),
        }
    }

    /// Whether a client counted bytes by itself, in any repetition, as nobody counted packets.
    pub(super) fn is_above_tcp(&self, network: &str) -> bool {
        let here = self.cells.iter();
        let here = here.filter(|measured| measured.cell.network == network);
        let mut wires = here
            .flat_map(|measured| &measured.samples)
            .filter_map(|sample| sample.wire);
        wires.any(|wire| wire.packets_sent.is_none())
    }

    /// Whether there were packets between two namespaces, and not the loopback's.
    pub(super) fn is_emulated(&self, network: &str) -> bool {
        let mut cells = self.cells.iter();
        cells.any(|measured| measured.cell.network == network && measured.is_emulated())
    }
}

/// Why nobody is ahead. Others may be apart all the same: what is said of these says so.
const OVERLAPPING: &str = "the best one’s repetitions overlap with another’s";

/// A transport that could be chosen, and what was measured of it.
struct Candidate<'a> {
    party: &'a Party,
    spread: Spread,
    /// Whether its repetitions are [`LEAST_SEEDS`] at least.
    enough: bool,
}

fn is_enough(measured: &Measured<'_>, measure: Measure) -> bool {
    let samples = measured.samples.iter();
    let with_it = samples.filter(|sample| measure.of(sample).is_some());
    with_it.count() >= LEAST_SEEDS
}

/// One median by another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// `0.21` where the first is a fifth.
    pub(super) of: f64,
    /// Whether no repetition of the one reaches into those of the other, and there are [`LEAST_SEEDS`] of each.
    pub(super) apart: bool,
}

/// The medians of one cell by another's; none if calls of either failed, or it did not keep up.
pub(super) fn share(one: &Measured<'_>, other: &Measured<'_>, measure: Measure) -> Option<Share> {
    let (a, b) = (one.spread(measure)?, other.spread(measure)?);
    let of = a.median / b.median;
    let enough = is_enough(one, measure) && is_enough(other, measure);
    let share = Share {
        of,
        apart: enough && (a.is_below(&b) || b.is_below(&a)),
    };
    let sound = one.is_sound() && other.is_sound();
    (sound && of.is_finite()).then_some(share)
}

/// The larger by the smaller.
fn ratio(a: f64, b: f64) -> f64 {
    a.max(b) / a.min(b)
}

/// `1.4 times as much`, or that it is less than a hundredth more. `much` is what is compared: much, long.
pub(super) fn times(ratio: f64, much: &str) -> String {
    match ratio {
        ..1.01 => format!("about as {much}"),
        ..10.0 => format!("{ratio:.2} times as {much}"),
        _ => format!("{} times as {much}", three(ratio)),
    }
}
