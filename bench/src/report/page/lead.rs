//! The answers that a reader wants first: which transport, for which flow and network.

use super::{escaped, table};
use crate::{
    model::Scenario,
    report::{
        answers::{Better, Field, Lead},
        measure::Measure,
        parties::Party,
        summary::sentences,
        words::{FLOWS, SCENARIOS, flow, scenario},
    },
};

pub(super) fn section(out: &mut String, field: &Field<'_>) {
    out.push_str(
        "<section aria-labelledby=\"answers\">\n<h2 id=\"answers\">The answers first</h2>\n",
    );
    let sentences = sentences(field);
    if !sentences.is_empty() {
        out.push_str("<ul>\n");
        for sentence in sentences {
            out.push_str(&format!("<li>{}</li>\n", escaped(&sentence)));
        }
        out.push_str("</ul>\n");
    }
    out.push_str("<p>A name means that every repetition of this transport was better than every repetition of all others, and how many times as much the next one takes. “Level” means that repetitions overlap with those of the one with the best median, which comes first. Peers, transports within one process and cells with failures do not take part.</p>\n");
    let networks = field.networks();
    let mut head = vec!["Scenario"];
    head.extend(&networks);
    for each in FLOWS {
        let of = |scenario: Scenario| {
            networks
                .iter()
                .map(move |network| field.of(network, each, scenario))
        };
        let any = |scenario: &Scenario| of(*scenario).any(|cells| !cells.is_empty());
        let scenarios: Vec<Scenario> = SCENARIOS.into_iter().filter(any).collect();
        if scenarios.is_empty() {
            continue;
        }
        let title = format!("Lowest median latency, {}", flow(each));
        out.push_str(&format!("<h3>{title}</h3>\n"));
        let rows = scenarios.into_iter().map(|each| {
            let leads =
                of(each).map(|cells| lead(&field.lead(&cells, Measure::P50, Better::Lower)));
            std::iter::once(scenario(each).to_owned())
                .chain(leads)
                .collect()
        });
        table(out, &title, &head, rows);
    }
    out.push_str("</section>\n");
}

fn lead(lead: &Lead<'_>) -> String {
    match lead {
        Lead::Clear(party, times) if times.is_finite() => {
            format!("{} <small>{times:.2} ×</small>", name(party))
        }
        Lead::Clear(party, _) => name(party),
        Lead::Tied(parties) => {
            let names: Vec<String> = parties.iter().map(|party| name(party)).collect();
            format!("<small>level:</small> {}", names.join(", "))
        }
        Lead::Alone(party) => format!("{} <small>alone</small>", name(party)),
        Lead::Nobody => "–".to_owned(),
    }
}

/// The name with its colour.
pub(super) fn name(party: &Party) -> String {
    let plotters::style::RGBColor(red, green, blue) = party.colour;
    format!(
        "<span class=\"name\"><svg class=\"chip\" viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect width=\"10\" height=\"10\" fill=\"{}\"/></svg>{}</span>",
        if party.peer {
            "url(#hatch) #808080".to_owned()
        } else {
            format!("#{red:02x}{green:02x}{blue:02x}")
        },
        escaped(&party.label)
    )
}
