//! How latencies are distributed: every percentile, from the histograms of all repetitions together.

use super::Asked;
use crate::{
    model::{Flow, Scenario},
    report::{
        figure::{Figure, Signs},
        lines::{self, Axes, Curve},
        measure::{Measure, Measured, Spread, quantile},
        scale::Scale,
        words::{Unit, flow, known_network, scenario, three},
    },
};

/// Places along the axis for which a value is drawn.
const PLACES: u32 = 40;

/// How many nines the axis goes to: 99.99 %.
const NINES: f64 = 4.0;

/// A curve of each transport, for each flow: on the first network and on one far away.
pub(super) fn figure(asked: &Asked<'_>, each: Scenario, of: &str) -> Option<Figure> {
    let mut figure = Figure::new(
        format!("distribution-{}", each.name()),
        format!("Distribution of latency: {}", scenario(each)),
        format!(
            "The {of}: how long the quickest so many of a hundred take at most, of all repetitions together. The lower axis is logarithmic in what is left of a hundred, the other one where latencies span a decade. A curve ends where no latency lies beyond it, so that more calls reach farther to the right."
        ),
    );
    figure.marks = "Lines: of all repetitions together, without a spread; dashed: peers.";
    let mut widest: Option<(f64, String)> = None;
    for name in networks(asked) {
        for of_flow in Flow::ALL {
            let cells = asked.field.of(name, of_flow, each);
            let curves: Vec<Curve<'_>> = cells
                .into_iter()
                .filter_map(|measured| {
                    let party = asked.field.party(measured)?;
                    let signs = Signs::of(measured).text();
                    let curve = Curve::new(party, &signs, points(measured))?;
                    figure.add(measured);
                    let place = format!("{}, {}, {name}", party.label, flow(of_flow));
                    if !party.peer
                        && !party.together
                        && let Some(tail) = tail(measured)
                        && widest.as_ref().is_none_or(|(most, _)| tail > *most)
                    {
                        widest = Some((tail, place));
                    }
                    Some(curve)
                })
                .collect();
            if curves.is_empty() {
                continue;
            }
            let axes = Axes {
                across: &|pixels| {
                    let ends = curves
                        .iter()
                        .flat_map(Curve::points)
                        .map(|(place, _)| *place);
                    Scale::nines(ends.fold(1.0, f64::max), pixels)
                },
                of: "latency",
                up: &|pixels| {
                    let values = curves.iter().flat_map(Curve::points);
                    let values = values.map(|(_, spread)| spread.median);
                    Scale::fitting(values, Unit::Seconds, pixels, 5)
                },
            };
            let title = format!("{name}, {}", flow(of_flow));
            let warning = asked.warning(name);
            figure
                .panels
                .push(lines::draw(&title, warning, &axes, &curves));
        }
    }
    figure.reading = match widest {
        Some((times, place)) => format!(
            "Longest tail: the ninety-ninth percentile is {} times the median ({place}).",
            three(times)
        ),
        None => "Too few latencies for a ninety-ninth percentile.".to_owned(),
    };
    (!figure.panels.is_empty()).then_some(figure)
}

/// The first, and the first that loses packets: there the tail is what differs. Without such a one, the one that is farthest away.
fn networks<'a>(asked: &Asked<'a>) -> Vec<&'a str> {
    let networks = asked.field.networks();
    let known = || networks.iter().filter_map(|name| known_network(name));
    let far = known()
        .find(|network| network.loss > 0.0)
        .or_else(|| known().max_by(|a, b| a.delay.total_cmp(&b.delay)));
    let first = networks.first().copied();
    let far = far
        .map(|network| network.name)
        .filter(|far| Some(*far) != first);
    first.into_iter().chain(far).collect()
}

/// How many nines, and the latency there.
fn points(measured: &Measured<'_>) -> Vec<(f64, Spread)> {
    let latencies = measured.latencies();
    let most = (measured.counted() as f64).log10().min(NINES);
    let points = (0..=PLACES).filter_map(|place| {
        let nines = NINES * f64::from(place) / f64::from(PLACES);
        let seconds = quantile(&latencies, 1.0 - 10_f64.powf(-nines))?;
        let spread = Spread::of([seconds as f64 / 1e6])?;
        (nines <= most).then_some((nines, spread))
    });
    let points: Vec<(f64, Spread)> = points.collect();
    // One call has no distribution.
    if points.len() > 1 { points } else { Vec::new() }
}

/// The ninety-ninth percentile by the median.
fn tail(measured: &Measured<'_>) -> Option<f64> {
    if measured.failures() > 0 {
        return None;
    }
    let times = measured.spread(Measure::P99)?.median / measured.spread(Measure::P50)?.median;
    times.is_finite().then_some(times)
}
