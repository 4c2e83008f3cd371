//! What was not measured, and every cell that was.

use std::collections::{BTreeMap, BTreeSet};

use super::{escaped, lead::name, table};
use crate::{
    model::{Cell, Results, Skipped},
    report::{
        answers::Field,
        figure::Signs,
        losses::{Losses, MEANING},
        measure::{Measure, Measured, Spread, delivery},
        notices::is_refused,
        words::{Unit, count, flow, scenario},
    },
};

pub(super) fn not_measured(out: &mut String, results: &Results, field: &Field<'_>) {
    out.push_str("<section aria-labelledby=\"not-measured\">\n<h2 id=\"not-measured\">What was not measured</h2>\n<h3>Refused transports</h3>\n");
    let refused = results.conformance.iter().filter(|said| is_refused(said));
    let refused = refused.map(|said| {
        let failed: Vec<String> = said.failed.iter().map(|name| escaped(name)).collect();
        vec![escaped(&said.transport), failed.join("<br/>")]
    });
    table(
        out,
        "Refused transports",
        &["Transport", "Cases that it failed"],
        refused,
    );
    out.push_str("<h3>Skipped cells</h3>\n");
    // What is left out is so for one reason in many cells, and mostly of every transport.
    let mut reasons = BTreeMap::<&str, BTreeMap<_, Vec<&Cell>>>::new();
    for Skipped { cell, why } in &results.skipped {
        let like = (&cell.network, cell.scenario, cell.flow);
        let cells = reasons.entry(why).or_default();
        cells.entry(like).or_default().push(cell);
    }
    let names = |cells: &mut dyn Iterator<Item = &&Cell>| {
        let names: BTreeSet<&str> = cells.map(|cell| &cell.transport[..]).collect();
        let parties = field.parties.iter();
        let parties = parties.filter(|party| names.contains(&party.name[..]));
        let labels: Vec<&str> = parties.map(|party| &party.label[..]).collect();
        escaped(&labels.join("; "))
    };
    let skipped = reasons.into_iter().map(|(why, cells)| {
        let each = cells.values().map(|like| {
            let transports = names(&mut like.iter());
            format!("{}: {transports}", place(like[0]))
        });
        vec![
            escaped(why),
            names(&mut cells.values().flatten()),
            format!(
                "<details><summary>{}</summary>{}</details>",
                count(cells.values().map(Vec::len).sum::<usize>() as u64),
                each.collect::<Vec<_>>().join("<br/>")
            ),
        ]
    });
    table(
        out,
        "Skipped cells",
        &["Why", "Transports", "Cells"],
        skipped,
    );
    out.push_str("<h3>Repetitions that failed</h3>\n");
    let tried = results.failed.iter().map(|failed| {
        vec![
            escaped(&failed.cell.transport),
            place(&failed.cell),
            failed.seed.to_string(),
            escaped(&failed.why),
            format!("<code>{}</code>", escaped(&failed.command)),
        ]
    });
    table(
        out,
        "Repetitions that failed",
        &["Transport", "Cell", "Seed", "What happened", "Command"],
        tried,
    );
    out.push_str("<h3>Cells with failed calls</h3>\n");
    let failed = field
        .cells
        .iter()
        .filter(|measured| measured.failures() > 0);
    let failed = failed.map(|measured| {
        let calls = measured.samples.iter().map(|sample| sample.outcome.calls);
        let first = measured
            .samples
            .iter()
            .find(|sample| sample.outcome.failures > 0);
        let words = first.and_then(|sample| sample.outcome.first_failure.as_deref());
        vec![
            escaped(&measured.cell.transport),
            place(measured.cell),
            count(measured.failures()),
            count(calls.fold(0, u64::saturating_add)),
            escaped(words.unwrap_or("no words")),
            first
                .map(|sample| format!("<code>{}</code>", escaped(&sample.command)))
                .unwrap_or_default(),
        ]
    });
    table(
        out,
        "Cells with failed calls",
        &[
            "Transport",
            "Cell",
            "Failed calls",
            "Answered calls",
            "First failure",
            "Command",
        ],
        failed,
    );
    out.push_str("</section>\n");
}

fn place(cell: &Cell) -> String {
    format!(
        "{}, {}, {}",
        scenario(cell.scenario),
        flow(cell.flow),
        escaped(&cell.network)
    )
}

pub(super) fn every_cell(out: &mut String, field: &Field<'_>) {
    out.push_str("<section aria-labelledby=\"cells\">\n<h2 id=\"cells\">Every cell</h2>\n<p>The median of the repetitions, and in brackets the least and the most of them. Runs are repetitions; n is how many latencies these have together, of which p90 and p99 are: p90 is there if n is 10 or more, p99 if it is 100 or more. A join’s latency is that of its first event. CPU is that of a call, of media that of a file.</p>\n");
    out.push_str(&format!("<p>{}</p>\n", escaped(MEANING)));
    for network in field.networks() {
        let cells: Vec<&Measured<'_>> = field
            .cells
            .iter()
            .filter(|measured| measured.cell.network == network)
            .collect();
        out.push_str(&format!(
            "<details class=\"wide\">\n<summary>{}: {} cells</summary>\n",
            escaped(network),
            count(cells.len() as u64)
        ));
        let rows = cells.into_iter().map(|measured| row(field, measured));
        let head = [
            "Transport",
            "Scenario",
            "Flow",
            "Runs",
            "n",
            "p50",
            "p90",
            "p99",
            "Whole join",
            "Throughput",
            "CPU, client",
            "CPU, server",
            "Peak, client",
            "Peak, server",
            "Bytes",
            "Packets",
            "Lost, and again",
            "Failed calls",
        ];
        table(out, network, &head, rows);
        out.push_str("</details>\n");
    }
    out.push_str("</section>\n");
}

fn row(field: &Field<'_>, measured: &Measured<'_>) -> Vec<String> {
    let cell = measured.cell;
    let signs = Signs::of(measured).text();
    let transport = field
        .party(measured)
        .map_or_else(|| escaped(&cell.transport), name);
    let value = |measure, unit| value(measured.spread(measure), unit);
    let each = delivery(cell.scenario);
    let throughput = match each {
        "event" => value(Measure::EventRate, Unit::Rate("events")),
        "file" => value(Measure::ContentRate, Unit::ByteRate),
        _ => value(Measure::CallRate, Unit::Rate("calls")),
    };
    vec![
        format!("{transport}{signs}"),
        scenario(cell.scenario).to_owned(),
        flow(cell.flow).to_owned(),
        measured.samples.len().to_string(),
        count(measured.counted()),
        value(Measure::P50, Unit::Seconds),
        value(Measure::P90, Unit::Seconds),
        value(Measure::P99, Unit::Seconds),
        value(Measure::JoinTime, Unit::Seconds),
        throughput,
        value(Measure::ClientCpu, Unit::Seconds),
        value(Measure::ServerCpu, Unit::Seconds),
        value(Measure::ClientMemory, Unit::Bytes),
        value(Measure::ServerMemory, Unit::Bytes),
        value_for(
            measured.spread(Measure::WireBytes),
            Unit::Bytes,
            &format!(" <small>for each {each}</small>"),
        ),
        value(Measure::WirePackets, Unit::Plain("")),
        Losses::of(measured).text(),
        failed(measured),
    ]
}

/// Calls that failed, and repetitions whose first attempt gave no sample.
fn failed(measured: &Measured<'_>) -> String {
    let failures = count(measured.failures());
    match measured.retried() {
        0 => failures,
        retried => format!(
            "{failures} <small class=\"of\">({} runs were tried twice)</small>",
            count(retried)
        ),
    }
}

fn value(spread: Option<Spread>, unit: Unit) -> String {
    value_for(spread, unit, "")
}

/// The median, what it is for, and the extremes below it.
fn value_for(spread: Option<Spread>, unit: Unit, of: &str) -> String {
    match spread {
        Some(spread) if spread.min < spread.max => format!(
            "{}{of} <small class=\"of\">({} to {})</small>",
            unit.value(spread.median),
            unit.value(spread.min),
            unit.value(spread.max)
        ),
        Some(spread) => format!("{}{of}", unit.value(spread.median)),
        None => "–".to_owned(),
    }
}
