//! What a reader has to know before any figure: why they may not be what they seem.

use std::collections::BTreeSet;

use super::{
    losses::Losses,
    measure::{LEAST_SEEDS, Measured, peak_of_life},
    words::{count, list, three},
};
use crate::model::{Cell, Results};

/// Plain sentences, the worst first.
pub(super) fn notices(results: &Results, cells: &[Measured<'_>]) -> Vec<String> {
    let mut notices = Vec::new();
    if results.samples.is_empty() {
        notices.push("Nothing was measured.".to_owned());
    }
    if let Some(unfinished) = &results.unfinished {
        notices.push(format!(
            "The run had not ended when this was written, {unfinished}. What is missing may change every comparison: it is not to be quoted."
        ));
    }
    if results.quick {
        notices.push(
            "A quick run: it shows that everything works. Its figures are not to be quoted."
                .to_owned(),
        );
    }
    let fewest = cells.iter().map(|measured| measured.samples.len()).min();
    match fewest {
        Some(1) => notices.push("Some figures are of a single repetition: they have no spread, and are not to be quoted.".to_owned()),
        Some(fewest @ 2..LEAST_SEEDS) => notices.push(format!("Some figures are of {fewest} repetitions only. Nobody is said to be ahead by fewer than {LEAST_SEEDS}.")),
        _ => {}
    }
    let refused = results.conformance.iter().filter(|said| is_refused(said));
    let refused: Vec<String> = refused.map(|said| said.transport.clone()).collect();
    if !refused.is_empty() {
        notices.push(format!(
            "Refused, because the conformance kit failed them: {}.",
            list(&refused)
        ));
    }
    let failed = results.networks.iter().filter(|check| !passed(check));
    let failed: Vec<String> = failed.map(|check| check.network.clone()).collect();
    if !failed.is_empty() {
        notices.push(format!("Not as they should be, by their self-test: {}. Figures there are of another network than its name says.", list(&failed)));
    }
    // Those within one process have their sign; the others should have had packets.
    let delayed = cells
        .iter()
        .filter(|measured| measured.is_delayed_in_process() && !measured.is_together());
    let mut delayed: Vec<String> = delayed
        .map(|measured| measured.cell.network.clone())
        .collect();
    delayed.dedup();
    if !delayed.is_empty() {
        notices.push(format!("Not emulated, but a delay of each call within the client, without handshake, loss or rate: {}.", list(&delayed)));
    }
    let in_cells = |is: fn(&Measured<'_>) -> bool, what: &str| {
        let some = cells.iter().filter(|measured| is(measured)).count();
        in_some((some, cells.len(), "cells"), what)
    };
    notices.extend(in_cells(
        |measured| Losses::of(measured).overrun > Some(0),
        "the emulator was too slow for some packets, which were lost in a way that no network loses them; “overrun” in the tables says how many.",
    ));
    notices.extend(in_cells(
        |measured| measured.failures() > 0,
        "some calls failed. These cells take no part in comparisons.",
    ));
    notices.extend(in_cells(
        |measured| measured.behind() > 0,
        "events arrived faster than they were delivered: their latency is that of a queue, and they take no part in comparisons.",
    ));
    let lives = results.samples.iter().filter(|sample| peak_of_life(sample));
    notices.extend(in_some(
        (lives.count(), results.samples.len(), "repetitions"),
        "the peak of memory could not be begun anew (`/proc/self/clear_refs`): there is no figure of it.",
    ));
    let retried = cells.iter().map(Measured::retried).sum::<u64>();
    if retried > 0 {
        notices.push(format!(
            "{} of {} repetitions were tried twice: their first attempt gave no sample.",
            count(retried),
            count(results.samples.len() as u64)
        ));
    }
    if !results.failed.is_empty() {
        let tried: BTreeSet<&Cell> = results.failed.iter().map(|failed| &failed.cell).collect();
        let without = tried
            .iter()
            .filter(|cell| !cells.iter().any(|measured| measured.cell == **cell));
        notices.push(format!(
            "{} repetitions, of {} cells, were tried and gave no sample; {} of these cells have no figure at all.",
            count(results.failed.len() as u64),
            count(tried.len() as u64),
            count(without.count() as u64)
        ));
    }
    if results.commit.ends_with("-dirty") {
        notices.push("Built from a tree with changes that no commit has.".to_owned());
    }
    let cores = results.machine.cores.max(1) as f64;
    if results.machine.load.0 > cores / 2.0 {
        notices.push(format!(
            "The machine was busy before it began: load average {} on {} cores.",
            three(results.machine.load.0),
            results.machine.cores
        ));
    }
    notices
}

/// `In 3 of 211 cells some calls failed.`, unless it is none.
fn in_some((some, all, of): (usize, usize, &str), what: &str) -> Option<String> {
    let (some, all) = (some as u64, count(all as u64));
    (some > 0).then(|| format!("In {} of {all} {of} {what}", count(some)))
}

/// Whether the run did all that it was to do.
pub(super) fn ended(results: &Results) -> String {
    match &results.unfinished {
        Some(unfinished) => unfinished.to_string(),
        None => "yes".to_owned(),
    }
}

/// How the calls of the kit proved their origin: `; proven: 900 calls by session, 20 by X-Matrix`.
pub(super) fn proven(said: &crate::model::Conformance) -> String {
    let mut schemes: Vec<_> = said.proven.iter().collect();
    schemes.sort_by_key(|(_, calls)| std::cmp::Reverse(**calls));
    let schemes: Vec<String> = schemes
        .into_iter()
        .map(|(scheme, calls)| format!("{} by {scheme}", count(*calls)))
        .collect();
    match schemes.is_empty() {
        true => String::new(),
        false => format!("; calls proven: {}", schemes.join(", ")),
    }
}

/// Whether the kit found something, so that it was not measured.
pub(super) fn is_refused(said: &crate::model::Conformance) -> bool {
    said.exempt.is_none() && !said.failed.is_empty()
}

/// Whether a network has every property that was asked for.
pub(super) fn passed(check: &crate::model::NetworkCheck) -> bool {
    check.measured.iter().all(|property| property.passed)
}
