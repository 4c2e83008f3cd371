//! What would be measured, for a person.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{model::Cell, plan::Plan};

/// Network, scenario and flow, by their names.
type What<'a> = (&'a str, &'a str, &'a str);

/// The cells of a plan, their times, and what is left out.
pub(super) fn list(plan: &Plan) -> String {
    let mut text = format!(
        "{:<15} {:<12} {:<14} {:>9}  transports\n",
        "network", "scenario", "flow", "each"
    );
    let mut last: Option<&Cell> = None;
    for planned in &plan.cells {
        let cell = &planned.cell;
        let same = last.is_some_and(|last| {
            (&last.network, last.scenario, last.flow) == (&cell.network, cell.scenario, cell.flow)
        });
        match same {
            true => put(&mut text, format_args!("; {}", cell.transport)),
            false => {
                if last.is_some() {
                    text.push('\n');
                }
                let each = format!("{:.1} s", planned.estimate.as_secs_f64());
                let (scenario, flow) = (cell.scenario.name(), cell.flow.name());
                put(
                    &mut text,
                    format_args!(
                        "{:<15} {scenario:<12} {flow:<14} {each:>9}  {}",
                        cell.network, cell.transport
                    ),
                );
            }
        }
        last = Some(cell);
    }
    let (cells, seeds) = (plan.cells.len(), plan.seeds.len());
    let time = plan.estimate_in_words();
    put(
        &mut text,
        format_args!(
            "\n\n{cells} cells, each {seeds} times: {time}, and the conformance kit before\n"
        ),
    );
    let mut reasons: BTreeMap<&str, BTreeMap<What<'_>, Vec<&str>>> = BTreeMap::new();
    for skipped in &plan.skipped {
        let cell = &skipped.cell;
        let what = (&*cell.network, cell.scenario.name(), cell.flow.name());
        let cells = reasons.entry(&skipped.why).or_default();
        cells.entry(what).or_default().push(&cell.transport);
    }
    if !reasons.is_empty() {
        put(
            &mut text,
            format_args!(
                "\n{} cells are left out, unless --all:\n",
                plan.skipped.len()
            ),
        );
    }
    for (why, cells) in reasons {
        put(&mut text, format_args!("  {why}:\n"));
        for ((network, scenario, flow), transports) in cells {
            let transports = transports.join("; ");
            put(
                &mut text,
                format_args!("    {network:<15} {scenario:<12} {flow:<14} {transports}\n"),
            );
        }
    }
    text
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what)
        .expect("writing to a string cannot fail");
}
