//! The generated part of `docs/performance.md`.

mod missing;

use comity_core::shown::is_unseen;

use super::{
    PEERS,
    answers::{Better, Field, Lead},
    escape::markdown,
    figure::Signs,
    measure::{Measure, Measured, Spread},
    notices::{ended, is_refused, notices, passed, proven},
    summary::sentences,
    words::{Unit, count, date, emulation, flow, list, scenario, seconds, span, three},
};
use crate::model::{Flow, Results, Scenario};

/// Writes it.
pub(super) fn document(results: &Results, field: &Field<'_>) -> String {
    let mut out = String::new();
    for notice in notices(results, field.cells) {
        out.push_str(&format!("> **{}**\n>\n", markdown(&notice)));
    }
    run(&mut out, results, field);
    networks(&mut out, results);
    transports(&mut out, results, field);
    if results.samples.is_empty() {
        return out;
    }
    out.push_str("## The answers first\n\n");
    for sentence in sentences(field) {
        out.push_str(&format!("- {}\n", markdown(&sentence)));
    }
    leads(&mut out, field);
    latencies(&mut out, field);
    joins(&mut out, field);
    costs(&mut out, field);
    handshakes(&mut out, field);
    missing::losses(&mut out, field);
    missing::not_measured(&mut out, results);
    out
}

fn run(out: &mut String, results: &Results, field: &Field<'_>) {
    let machine = &results.machine;
    let seeds: Vec<String> = results.seeds.iter().map(u64::to_string).collect();
    out.push_str("## The run\n\n");
    let rows = [
        ("command", code(&results.command)),
        ("commit", code(&results.commit)),
        ("began", date(results.began)),
        ("took", span(results.seconds)),
        ("ended", ended(results)),
        ("seeds", list(&seeds)),
        (
            "samples",
            format!(
                "{} of {} cells",
                count(results.samples.len() as u64),
                count(field.cells.len() as u64)
            ),
        ),
        (
            "machine",
            format!(
                "{}, {} cores, {}, kernel {}",
                markdown(&machine.processor),
                machine.cores,
                Unit::Bytes.value(machine.memory as f64),
                markdown(&machine.kernel)
            ),
        ),
        ("compiler", markdown(&machine.compiler)),
        (
            "load before, after",
            format!("{}, {}", three(machine.load.0), three(machine.load.1)),
        ),
    ];
    let rows = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value]);
    table(out, &["", ""], rows);
    out.push_str(&format!("{PEERS}\n\n"));
}

fn networks(out: &mut String, results: &Results) {
    out.push_str(
        "## Networks, as their self-test found them\n\nOne way; each direction has it.\n\n",
    );
    let rows = results.networks.iter().map(|check| {
        let measured = check.measured.iter().map(|property| {
            let value = |value: f64| match &property.name[..] {
                "delay" => seconds(value),
                "loss" => format!("{} %", three(value * 100.0)),
                "rate" => format!("{} Mbit/s", three(value / 1e6)),
                _ => three(value),
            };
            format!(
                "{} {} for {}",
                markdown(&property.name),
                value(property.measured),
                value(property.wanted)
            )
        });
        let measured: Vec<String> = measured.collect();
        let verdict = match passed(check) {
            _ if check.measured.is_empty() => "nothing to test",
            true => "passed",
            false => "**failed**",
        };
        let note = check.note.as_deref().map(markdown).unwrap_or_default();
        vec![
            markdown(&check.network),
            emulation(check).to_owned(),
            measured.join("; "),
            verdict.to_owned(),
            note,
        ]
    });
    table(
        out,
        &["network", "how", "measured", "self-test", "note"],
        rows,
    );
}

fn transports(out: &mut String, results: &Results, field: &Field<'_>) {
    out.push_str("## Transports\n\n");
    let rows = field.parties.iter().map(|party| {
        let said = results
            .conformance
            .iter()
            .find(|said| said.transport == party.name);
        let verdict = match said {
            None => "not asked".to_owned(),
            Some(said) => match &said.exempt {
                Some(exempt) => format!("exempt: {}", markdown(exempt)),
                None if is_refused(said) => {
                    format!("**refused**: failed {}", markdown(&list(&said.failed)))
                }
                None => format!(
                    "passed {}, does not support {}{}",
                    count(said.passed),
                    count(said.unsupported),
                    markdown(&proven(said))
                ),
            },
        };
        let sides = if party.together {
            "one process"
        } else {
            "two processes"
        };
        vec![markdown(&party.name), sides.to_owned(), verdict]
    });
    table(out, &["transport", "sides", "conformance kit"], rows);
}

fn leads(out: &mut String, field: &Field<'_>) {
    let networks = field.networks();
    for each in Flow::ALL {
        if field
            .cells
            .iter()
            .all(|measured| measured.cell.flow != each)
        {
            continue;
        }
        out.push_str(&format!("\n### Lowest median latency, {}\n\n", flow(each)));
        let mut head = vec!["scenario".to_owned()];
        head.extend(networks.iter().map(|network| markdown(network)));
        let rows = field.contests(each).into_iter().map(|contest| {
            let (scenario_of, measure, latency_of) = contest;
            let cells = networks
                .iter()
                .map(|network| field.of(network, each, scenario_of));
            let mut row = vec![format!(
                "{}: {}",
                scenario(scenario_of),
                markdown(&latency_of)
            )];
            row.extend(
                cells.map(|cells| match field.lead(&cells, measure, Better::Lower) {
                    Lead::Clear(party, times) if times.is_finite() => {
                        format!("{} ({times:.2} ×)", markdown(&party.label))
                    }
                    Lead::Clear(party, _) => markdown(&party.label),
                    Lead::Tied(parties) => {
                        let names: Vec<String> =
                            parties.iter().map(|party| markdown(&party.label)).collect();
                        format!("level: {}", names.join("; "))
                    }
                    Lead::Level => "all level".to_owned(),
                    Lead::Few => "too few repetitions".to_owned(),
                    Lead::Alone(party) => format!("{} (alone)", markdown(&party.label)),
                    Lead::Nobody => "–".to_owned(),
                }),
            );
            row
        });
        let head: Vec<&str> = head.iter().map(|title| &title[..]).collect();
        table(out, &head, rows);
    }
}

/// Median and ninety-ninth percentile: a table for each scenario.
fn latencies(out: &mut String, field: &Field<'_>) {
    let networks = field.networks();
    out.push_str("## Latency\n\nThe median of the repetitions' medians, in brackets the least and the most of them; then the ninety-ninth percentile of all repetitions together, if they have a hundred latencies or more; then how many latencies there are.\n\n");
    let mut signs = Signs::default();
    for of in Scenario::ALL {
        let mut rows = Vec::new();
        for each in Flow::ALL {
            for party in field.parties {
                let cells: Vec<_> = networks
                    .iter()
                    .map(|network| {
                        let cells = field.of(network, each, of);
                        cells
                            .into_iter()
                            .find(|measured| measured.cell.transport == party.name)
                    })
                    .collect();
                if cells.iter().all(Option::is_none) {
                    continue;
                }
                for measured in cells.iter().flatten() {
                    signs.add(Signs::of(measured));
                }
                let mut row = vec![flow(each).to_owned(), markdown(&party.label)];
                let latencies = cells.into_iter().map(|measured| measured.and_then(latency));
                row.extend(latencies.map(|text| text.unwrap_or_else(|| "–".to_owned())));
                rows.push(row);
            }
        }
        if rows.is_empty() {
            continue;
        }
        out.push_str(&format!(
            "### {}\n\nThe latency is that of {}.\n\n",
            scenario(of),
            markdown(&field.latency_of(of))
        ));
        let names: Vec<String> = networks.iter().map(|network| markdown(network)).collect();
        let mut head = vec!["flow", "transport"];
        head.extend(names.iter().map(|name| &name[..]));
        table(out, &head, rows);
    }
    out.push_str(&format!("{}\n\n", signs.meaning()));
}

fn latency(measured: &Measured<'_>) -> Option<String> {
    let p50 = measured.spread(Measure::P50)?;
    let p99 = measured.spread(Measure::P99);
    let p99 = p99.map_or_else(String::new, |p99| format!("; {}", seconds(p99.median)));
    Some(format!(
        "{}{p99}; n = {}{}",
        value(p50, Unit::Seconds),
        count(measured.counted()),
        Signs::of(measured).text()
    ))
}

/// How long a join takes to its last event.
fn joins(out: &mut String, field: &Field<'_>) {
    let networks = field.networks();
    let mut rows = Vec::new();
    for of in Scenario::ALL {
        for party in field.parties {
            let times = networks.iter().map(|network| {
                let cells = field.of(network, Flow::OneInFlight, of);
                let mut cells = cells.into_iter();
                cells
                    .find(|measured| measured.cell.transport == party.name)?
                    .spread(Measure::JoinTime)
            });
            let times: Vec<Option<Spread>> = times.collect();
            if times.iter().any(Option::is_some) {
                let mut row = vec![scenario(of).to_owned(), markdown(&party.label)];
                row.extend(times.into_iter().map(|spread| {
                    spread.map_or_else(|| "–".to_owned(), |spread| value(spread, Unit::Seconds))
                }));
                rows.push(row);
            }
        }
    }
    if !rows.is_empty() {
        out.push_str("## A whole join, one in flight\n\nFrom its request to its last event: the time that was measured by the joins that ended in it.\n\n");
        let names: Vec<String> = networks.iter().map(|network| markdown(network)).collect();
        let mut head = vec!["scenario", "transport"];
        head.extend(names.iter().map(|name| &name[..]));
        table(out, &head, rows);
    }
}

/// What does not hang on the network much is shown on one, concurrent and in flight: a table for each measure.
fn costs(out: &mut String, field: &Field<'_>) {
    let networks = field.networks();
    let Some(first) = networks.first().copied() else {
        return;
    };
    let tables: [(&str, Measure, Unit); 6] = [
        (
            "Events delivered each second",
            Measure::EventRate,
            Unit::Plain(""),
        ),
        (
            "CPU of the client for each call, of media for each file",
            Measure::ClientCpu,
            Unit::Seconds,
        ),
        (
            "CPU of the server for each call, of media for each file",
            Measure::ServerCpu,
            Unit::Seconds,
        ),
        (
            "Peak of the client's memory over idle",
            Measure::ClientMemory,
            Unit::Bytes,
        ),
        (
            "Peak of the server's memory over idle",
            Measure::ServerMemory,
            Unit::Bytes,
        ),
        (
            "Bytes on the wire for each event, call or file",
            Measure::WireBytes,
            Unit::Bytes,
        ),
    ];
    for (title, measure, unit) in tables {
        // Bytes are those of packets of the size that networks have, where there are such.
        let network = match measure {
            Measure::WireBytes => field.packets(|_| true).unwrap_or(first),
            _ => first,
        };
        let mut rows = Vec::new();
        for of in Scenario::ALL {
            for each in Flow::ALL {
                let cells = field.of(network, each, of);
                let cell = |name: &str| {
                    cells
                        .iter()
                        .find(|measured| measured.cell.transport == name)?
                        .spread(measure)
                };
                let spreads: Vec<Option<Spread>> = field
                    .parties
                    .iter()
                    .map(|party| cell(&party.name))
                    .collect();
                if spreads.iter().all(Option::is_none) {
                    continue;
                }
                let mut row = vec![scenario(of).to_owned(), flow(each).to_owned()];
                row.extend(spreads.into_iter().map(|spread| {
                    spread.map_or_else(|| "–".to_owned(), |spread| value(spread, unit))
                }));
                rows.push(row);
            }
        }
        if rows.is_empty() {
            continue;
        }
        out.push_str(&format!("## {title}, on {}\n\n", markdown(network)));
        if measure == Measure::WireBytes
            && let Some(of_bytes) = field.of_bytes(network)
        {
            out.push_str(&format!("{of_bytes}\n\n"));
        }
        let names: Vec<String> = field
            .parties
            .iter()
            .map(|party| markdown(&party.label))
            .collect();
        let mut head = vec!["scenario", "flow"];
        head.extend(names.iter().map(|name| &name[..]));
        table(out, &head, rows);
    }
}

fn handshakes(out: &mut String, field: &Field<'_>) {
    let networks = field.networks();
    let gathered: Vec<Vec<Measured<'_>>> = networks
        .iter()
        .map(|network| field.handshakes(network))
        .collect();
    let mut rows = Vec::new();
    for party in field.parties {
        let times = gathered.iter().map(|of_network| {
            let mut cells = of_network.iter();
            cells
                .find(|measured| measured.cell.transport == party.name)?
                .spread(Measure::HandshakeTime)
        });
        let times: Vec<Option<Spread>> = times.collect();
        if times.iter().any(Option::is_some) {
            let mut row = vec![markdown(&party.label)];
            row.extend(times.into_iter().map(|spread| {
                spread.map_or_else(|| "–".to_owned(), |spread| value(spread, Unit::Seconds))
            }));
            rows.push(row);
        }
    }
    if !rows.is_empty() {
        out.push_str("## A new connection, until its first call is answered\n\n");
        let names: Vec<String> = networks.iter().map(|network| markdown(network)).collect();
        let mut head = vec!["transport"];
        head.extend(names.iter().map(|name| &name[..]));
        table(out, &head, rows);
    }
}

fn table(out: &mut String, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        out.push_str("None.\n\n");
        return;
    }
    out.push_str(&format!(
        "| {} |\n|{}\n",
        head.join(" | "),
        " --- |".repeat(head.len())
    ));
    for row in rows {
        out.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    out.push('\n');
}

/// As code, unless it has what code cannot have in a table.
fn code(text: &str) -> String {
    match text.contains(['`', '|', '<']) || text.trim().is_empty() || text.contains(is_unseen) {
        true => markdown(text),
        false => format!("`{text}`"),
    }
}

fn value(spread: Spread, unit: Unit) -> String {
    match spread.min < spread.max {
        true => format!(
            "{} ({} to {})",
            unit.value(spread.median),
            unit.value(spread.min),
            unit.value(spread.max)
        ),
        false => unit.value(spread.median),
    }
}
