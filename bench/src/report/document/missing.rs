//! What was lost, and what was not measured.

use std::collections::BTreeMap;

use super::table;
use crate::{
    model::Results,
    report::{
        answers::Field,
        escape::markdown,
        figure::Signs,
        losses::{Losses, MEANING},
        words::{count, flow, scenario},
    },
};

/// The cells in which something was lost, sent again, failed or tried twice.
pub(super) fn losses(out: &mut String, field: &Field<'_>) {
    let told = field.cells.iter().filter(|measured| {
        Losses::of(measured).any() || measured.failures() > 0 || measured.retried() > 0
    });
    let rows = told.map(|measured| {
        let cell = measured.cell;
        vec![
            markdown(&cell.network),
            scenario(cell.scenario).to_owned(),
            flow(cell.flow).to_owned(),
            format!(
                "{}{}",
                markdown(&cell.transport),
                Signs::of(measured).text()
            ),
            Losses::of(measured).text(),
            count(measured.failures()),
            count(measured.retried()),
        ]
    });
    out.push_str(&format!(
        "## What was lost\n\n{MEANING} Cells without any are left out, and so are those of which nobody counted.\n\n"
    ));
    let head = [
        "network",
        "scenario",
        "flow",
        "transport",
        "lost, and again",
        "failed calls",
        "repetitions tried twice",
    ];
    table(out, &head, rows);
}

pub(super) fn not_measured(out: &mut String, results: &Results) {
    out.push_str("## What was not measured\n\n");
    let mut reasons = BTreeMap::<(&str, &str), u64>::new();
    for skipped in &results.skipped {
        *reasons
            .entry((&skipped.cell.transport, &skipped.why))
            .or_default() += 1;
    }
    let failed = results
        .samples
        .iter()
        .filter(|sample| sample.outcome.failures > 0)
        .count();
    out.push_str(&format!(
        "Repetitions that gave no sample: {}. Samples with failed calls: {}. Cells that were skipped:",
        count(results.failed.len() as u64),
        count(failed as u64)
    ));
    if reasons.is_empty() {
        out.push_str(" none.\n");
        return;
    }
    out.push_str("\n\n");
    let rows = reasons
        .into_iter()
        .map(|((transport, why), cells)| vec![markdown(transport), markdown(why), count(cells)]);
    table(out, &["transport", "why", "cells"], rows);
}
