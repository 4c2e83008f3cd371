//! Who is compared, and how each is drawn: the same everywhere.

use plotters::style::RGBColor;

use super::escape::{SHORT, short, slug};
use crate::model::Results;

/// Colours that differ with any kind of colour blindness (after Okabe and Ito), of a lightness that stands out from a white page and from a dark one.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0xc2, 0x6a, 0x9b),
    RGBColor(0xa8, 0x84, 0x00),
    RGBColor(0x2e, 0x95, 0xcf),
    RGBColor(0x8c, 0x6b, 0xc9),
    RGBColor(0xa6, 0x5b, 0x4b),
];

/// Peers have none.
const GREY: RGBColor = RGBColor(0x80, 0x80, 0x80);

/// Ours, so that each has its colour whatever else takes part.
const OURS: [&str; 5] = ["HTTPS/1.1", "HTTP/2", "gRPC", "gRPC, session", "memory"];

/// What marks a value in a plot: the second sign beside the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
}

const SHAPES: [Shape; 5] = [
    Shape::Circle,
    Shape::Square,
    Shape::Triangle,
    Shape::Diamond,
    Shape::Cross,
];

/// A transport in this report.
#[derive(Clone, Debug)]
pub(super) struct Party {
    /// As it calls itself.
    pub(super) name: String,
    /// As it is called in plots: short, and nobody else's.
    pub(super) label: String,
    /// For file names and anchors.
    pub(super) slug: String,
    /// A peer or a floor: no binding of Comity's.
    pub(super) peer: bool,
    /// Server and client are one process in every sample.
    pub(super) together: bool,
    pub(super) colour: RGBColor,
    pub(super) shape: Shape,
}

/// Those that the kit was asked about, in its order, then those that only samples name.
pub(super) fn parties(results: &Results) -> Vec<Party> {
    let mut names: Vec<&str> = Vec::new();
    let named = results.conformance.iter().map(|said| &said.transport);
    let sampled = results.samples.iter().map(|sample| &sample.cell.transport);
    let failed = results.failed.iter().map(|failed| &failed.cell.transport);
    let skipped = results
        .skipped
        .iter()
        .map(|skipped| &skipped.cell.transport);
    for name in named.chain(sampled).chain(failed).chain(skipped) {
        if !names.contains(&&name[..]) {
            names.push(name);
        }
    }
    let exempt = |name: &str| {
        let mut said = results.conformance.iter();
        said.any(|said| said.transport == name && said.exempt.is_some())
    };
    // Ours, third parties', peers.
    names.sort_by_key(|name| {
        let ours = OURS.iter().position(|ours| ours == name);
        (exempt(name), ours.unwrap_or(OURS.len()))
    });
    let mut parties: Vec<Party> = Vec::new();
    let (mut others, mut peers) = (0, 0);
    for name in names {
        let peer = exempt(name);
        let place = match OURS.iter().position(|ours| *ours == name && !peer) {
            Some(place) => place,
            None if peer => {
                peers += 1;
                peers - 1
            }
            None => {
                others += 1;
                OURS.len() + others - 1
            }
        };
        let mut of = results
            .samples
            .iter()
            .filter(|sample| sample.cell.transport == name);
        let unlike = |text: String, taken: &dyn Fn(&Party) -> &String| {
            let is_taken = |text: &String| parties.iter().any(|party| taken(party) == text);
            let numbered = (2..).map(|number| format!("{text}-{number}"));
            let mut candidates = std::iter::once(text.clone()).chain(numbered);
            candidates
                .find(|text| !is_taken(text))
                .expect("numbers do not end")
        };
        parties.push(Party {
            name: name.to_owned(),
            label: unlike(
                short(if name.is_empty() { "(no name)" } else { name }, SHORT),
                &|party| &party.label,
            ),
            slug: unlike(slug(name), &|party| &party.slug),
            peer,
            together: of.clone().next().is_some() && of.all(|sample| sample.server.is_none()),
            colour: if peer {
                GREY
            } else {
                COLOURS[place % COLOURS.len()]
            },
            shape: SHAPES[place % SHAPES.len()],
        });
    }
    parties
}
