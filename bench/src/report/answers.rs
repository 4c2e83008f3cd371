//! Who is ahead: computed from the medians, and said only where the repetitions do not overlap.

use std::collections::BTreeMap;

use super::{
    measure::{Measure, Measured, Spread},
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

    /// Those that an operator could choose for two servers: no peer, nothing within one process, and nothing that failed.
    fn choice(&self, cells: &[&Measured<'_>], measure: Measure) -> Vec<(&'a Party, Spread)> {
        let cells = cells
            .iter()
            .filter(|measured| !measured.is_together() && measured.failures() == 0);
        let with_party =
            cells.filter_map(|measured| Some((self.party(measured)?, measured.spread(measure)?)));
        with_party.filter(|(party, _)| !party.peer).collect()
    }

    pub(super) fn lead(
        &self,
        cells: &[&Measured<'_>],
        measure: Measure,
        better: Better,
    ) -> Lead<'a> {
        let mut choice = self.choice(cells, measure);
        choice.sort_by(|(_, a), (_, b)| match better {
            Better::Lower => a.median.total_cmp(&b.median),
            Better::Higher => b.median.total_cmp(&a.median),
        });
        let Some(((best, spread), others)) = choice.split_first() else {
            return Lead::Nobody;
        };
        let Some((_, next)) = others.first() else {
            return Lead::Alone(best);
        };
        let is_better = |other: &Spread| match better {
            Better::Lower => spread.is_below(other),
            Better::Higher => other.is_below(spread),
        };
        let mut tied = vec![*best];
        let overlapping = others.iter().filter(|(_, other)| !is_better(other));
        tied.extend(overlapping.map(|(party, _)| *party));
        match tied.len() {
            1 => Lead::Clear(best, ratio(spread.median, next.median)),
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
        let (mut tied, mut all) = (0, 0);
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
                Lead::Alone(_) | Lead::Nobody => {}
            }
        }
        if all == 0 {
            return "nothing to compare".to_owned();
        }
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
        match (said.is_empty(), tied) {
            (true, _) => format!("nobody clearly: in all {all} {places} the repetitions overlap"),
            (false, 0) => list(&said),
            (false, tied) => format!("{}; in {tied} the repetitions overlap", list(&said)),
        }
    }

    /// The comparison in which the best and the worst are farthest apart: its index, the best, the worst, and how many times.
    pub(super) fn farthest(
        &self,
        comparisons: &[Vec<&Measured<'_>>],
        measure: Measure,
        better: Better,
    ) -> Option<(usize, &'a Party, &'a Party, f64)> {
        let apart = comparisons.iter().enumerate().filter_map(|(index, cells)| {
            let choice = self.choice(cells, measure);
            let by_median = |(_, a): &&(&Party, Spread), (_, b): &&(&Party, Spread)| {
                a.median.total_cmp(&b.median)
            };
            let least = choice.iter().min_by(by_median)?;
            let most = choice.iter().max_by(by_median)?;
            let times = ratio(least.1.median, most.1.median);
            let (best, worst) = match better {
                Better::Lower => (least.0, most.0),
                Better::Higher => (most.0, least.0),
            };
            (times > 1.0 && times.is_finite()).then_some((index, best, worst, times))
        });
        apart.max_by(|a, b| a.3.total_cmp(&b.3))
    }

    /// The medians of one transport, by another's: `0.21` where the first takes a fifth.
    pub(super) fn share(
        &self,
        (one, other): (&str, &str),
        cells: &[&Measured<'_>],
        measure: Measure,
    ) -> Option<f64> {
        let median = |name: &str| {
            let mut of = cells
                .iter()
                .filter(|measured| measured.cell.transport == name);
            of.next()?.spread(measure).map(|spread| spread.median)
        };
        let share = median(one)? / median(other)?;
        share.is_finite().then_some(share)
    }
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
