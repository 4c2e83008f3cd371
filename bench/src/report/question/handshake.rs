//! What does a connection cost?

use super::{Asked, Question};
use crate::report::{
    answers::Better,
    escape::network_name,
    figure::{Figure, Signs},
    measure::{Measure, Measured},
    panel::{Form, Group, Panel, Row},
    words::Unit,
};

pub(super) fn question(asked: &Asked<'_>) -> Question {
    let time = figure(
        asked,
        ("handshake-time", "Time until the first call is answered"),
        (Measure::HandshakeTime, &[Measure::HandshakeTime]),
        ("until the first answer", Unit::Seconds),
    );
    let cpu = figure(
        asked,
        ("handshake-cpu", "CPU of a connection with its first call"),
        (
            Measure::HandshakeClientCpu,
            &[Measure::HandshakeClientCpu, Measure::HandshakeServerCpu],
        ),
        ("CPU time, client above server", Unit::Seconds),
    );
    let bytes = figure(
        asked,
        (
            "handshake-bytes",
            "Bytes of a connection with its first call",
        ),
        (Measure::HandshakeBytes, &[Measure::HandshakeBytes]),
        ("both ways", Unit::Bytes),
    );
    Question {
        slug: "handshake",
        title: "What does a new connection cost?",
        about: "Setting up one connection and its first call, measured apart from everything else: TCP, TLS and the proof of origin. Bars from zero: the median of all that were measured on a network, and a line from the least to the most. Where there are two bars the full one is the client's, the pale one the server's, and what is written is the client's.",
        figures: [time, cpu, bytes].into_iter().flatten().collect(),
    }
}

/// A panel for each network. The first measure is the one that is compared.
fn figure(
    asked: &Asked<'_>,
    (slug, title): (&str, &str),
    (compared, measures): (Measure, &[Measure]),
    (of, unit): (&str, Unit),
) -> Option<Figure> {
    let about = "A handshake belongs to no flow and no scenario: those of all cells of a network count together, unless calls failed there.".to_owned();
    let mut figure = Figure::new(slug.to_owned(), title.to_owned(), about);
    figure.marks = Form::Beside.marks();
    let networks = asked.field.networks();
    let gathered: Vec<Vec<Measured<'_>>> = networks
        .iter()
        .map(|name| asked.field.handshakes(name))
        .collect();
    for (name, of_network) in networks.iter().zip(&gathered) {
        let rows = of_network.iter().filter_map(|measured| {
            let party = asked.field.party(measured)?;
            let values = measures
                .iter()
                .filter_map(|measure| measured.spread(*measure));
            let row = Row::new(party, &Signs::of(measured).text(), values.collect(), None)?;
            figure.add(measured);
            Some(row)
        });
        let rows: Vec<Row> = rows.collect();
        let (title, warning) = asked.network(name);
        let panel = Panel {
            title,
            warning,
            of: of.to_owned(),
            unit,
            form: Form::Beside,
            groups: vec![Group {
                heading: String::new(),
                rows,
            }],
        };
        if !panel.is_empty() {
            figure.panels.push(panel.draw());
        }
    }
    let comparisons: Vec<Vec<&Measured<'_>>> = gathered
        .iter()
        .map(|of_network| of_network.iter().collect())
        .collect();
    let places: Vec<String> = networks
        .iter()
        .map(|name| format!("on {}", network_name(name)))
        .collect();
    let tally = asked
        .field
        .tally(&comparisons, compared, Better::Lower, "networks");
    figure.reading = format!(
        "Least: {tally}. {}",
        asked.farthest(&comparisons, compared, Better::Lower, &places)
    );
    (!figure.panels.is_empty()).then_some(figure)
}
