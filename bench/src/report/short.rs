//! The end of a run in a terminal: a few figures of each cell.

use std::fmt::Write as _;

use super::{
    measure::{Measure, Measured, Spread, cells},
    parties::parties,
    words,
};
use crate::model::Results;

/// A table for each network, flow and scenario: median and spread of the repetitions.
#[must_use]
pub fn short(results: &Results) -> String {
    let parties = parties(results);
    let mut text = String::new();
    let mut last = None;
    for measured in cells(results, &parties) {
        let cell = measured.cell;
        let group = (&cell.network, cell.scenario, cell.flow);
        if last != Some(group) {
            last = Some(group);
            let latency = &measured.samples[0].outcome.latency_of;
            let (scenario, flow) = (cell.scenario.name(), cell.flow.name());
            let title = format!(
                "{}, {scenario}, {flow} (p50 and p99 of {latency})",
                cell.network
            );
            if !text.is_empty() {
                text.push('\n');
            }
            put(
                &mut text,
                format_args!(
                    "{title}\n  {:<16} {:>28} {:>28} {:>9} {:>11} {:>12}\n",
                    "", "p50 (min to max)", "p99 (all)", "calls/s", "CPU/call", "wire/event"
                ),
            );
        }
        row(&mut text, &measured);
    }
    text
}

fn row(text: &mut String, measured: &Measured<'_>) {
    let time = |measure| measured.spread(measure).map_or_else(none, spread);
    let median = |measure, write: fn(f64) -> String| {
        let spread = measured.spread(measure);
        spread.map_or_else(none, |spread| write(spread.median))
    };
    let failures = match measured.failures() {
        0 => String::new(),
        failures => format!("  {failures} FAILED"),
    };
    put(
        text,
        format_args!(
            "  {:<16} {:>28} {:>28} {:>9} {:>11} {:>12}{failures}\n",
            measured.cell.transport,
            time(Measure::P50),
            median(Measure::P99, words::seconds),
            median(Measure::CallRate, words::three),
            median(Measure::Cpu, words::seconds),
            median(Measure::WireBytes, |bytes| words::Unit::Bytes.value(bytes)),
        ),
    );
}

/// `1.25 ms (1.2 to 1.31)`: the extremes in the median's unit.
fn spread(spread: Spread) -> String {
    let (by, unit) = words::Unit::Seconds.scale(spread.median);
    let three = |value: f64| words::three(value / by);
    format!(
        "{} {unit} ({} to {})",
        three(spread.median),
        three(spread.min),
        three(spread.max)
    )
}

fn none() -> String {
    "–".to_owned()
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what)
        .expect("writing to a string cannot fail");
}
