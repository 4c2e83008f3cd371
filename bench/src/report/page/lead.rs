//! The answers that a reader wants first: which transport, for which flow and network.

use super::{escaped, table};
use crate::{
    model::{Flow, Scenario},
    report::{
        answers::{Better, Field, Lead},
        escape::network_name,
        measure::Measure,
        parties::Party,
        summary::sentences,
        words::{flow, scenario},
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
    out.push_str("<p>A name means that every one of five repetitions or more of this transport was better than every repetition of all others, and how many times as much the next one takes. What a latency is of stands below the scenario: a join’s is the time to its first event, and its whole duration is compared apart. “Level” are those whose repetitions overlap with those of the one with the best median, which comes first. Peers, transports within one process and cells with failures do not take part. A dash means that nothing is left to compare.</p>\n");
    let networks = field.networks();
    let mut head = vec!["Scenario"];
    head.extend(&networks);
    for each in Flow::ALL {
        let of = |scenario: Scenario| {
            networks
                .iter()
                .map(move |network| field.of(network, each, scenario))
        };
        let contests = field.contests(each);
        if contests.is_empty() {
            continue;
        }
        let title = format!("Lowest median latency, {}", flow(each));
        out.push_str(&format!("<h3>{title}</h3>\n"));
        let rows = contests.into_iter().map(|each| {
            let (of_what, measure, latency_of) = each;
            let leads = of(of_what).map(|cells| lead(&field.lead(&cells, measure, Better::Lower)));
            let row = format!(
                "{} <small class=\"of\">{}</small>",
                scenario(of_what),
                escaped(&latency_of)
            );
            std::iter::once(row).chain(leads).collect()
        });
        table(out, &title, &head, rows);
    }
    cpu(out, field, networks.first().copied());
    out.push_str("</section>\n");
}

/// CPU is compared on one network.
fn cpu(out: &mut String, field: &Field<'_>, network: Option<&str>) {
    let Some(network) = network else {
        return;
    };
    let title = format!("Least CPU for a call, on {}", network_name(network));
    out.push_str(&format!("<h3>{}</h3>\n", escaped(&title)));
    let any = |scenario: &Scenario| {
        Flow::ALL
            .iter()
            .any(|flow| !field.of(network, *flow, *scenario).is_empty())
    };
    let rows = Scenario::ALL.into_iter().filter(any).map(|each| {
        let leads = Flow::ALL.iter().map(|flow| {
            let cells = field.of(network, *flow, each);
            lead(&field.lead(&cells, Measure::Cpu, Better::Lower))
        });
        std::iter::once(scenario(each).to_owned())
            .chain(leads)
            .collect()
    });
    let mut head = vec!["Scenario"];
    head.extend(Flow::ALL.map(flow));
    table(out, &title, &head, rows);
}

fn lead(lead: &Lead<'_>) -> String {
    match lead {
        Lead::Clear(party, times) if times.is_finite() => {
            format!("{} <small class=\"name\">{times:.2} ×</small>", name(party))
        }
        Lead::Clear(party, _) => name(party),
        Lead::Tied(parties) => {
            let names: Vec<String> = parties.iter().map(|party| name(party)).collect();
            format!("<small>level:</small> {}", names.join("<br/>"))
        }
        Lead::Level => "<small>all level</small>".to_owned(),
        Lead::Few => "<small>too few repetitions</small>".to_owned(),
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
