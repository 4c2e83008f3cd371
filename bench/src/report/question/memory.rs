//! How much memory does it take, while a room arrives and at most?

use super::{Asked, Drawn, Question, Values};
use crate::{
    model::{Flow, Scenario},
    report::{
        escape::{network_name, slug},
        figure::Figure,
        lines::{self, Axes, Curve},
        measure::{Measure, Measured, Spread},
        panel::Form,
        scale::Scale,
        words::{Unit, flow, scenario},
    },
};

/// Places along the axis for which a value is drawn. More cannot be told apart.
const PLACES: usize = 40;

const JOINS: [Scenario; 3] = [Scenario::Join1k, Scenario::Join20k, Scenario::Join200k];

pub(super) fn question(asked: &Asked<'_>) -> Question {
    let figures = asked.field.networks().into_iter().take(1).flat_map(|name| {
        let figure = Figure::new(
            format!("memory-peak-{}", slug(name)),
            format!("Peak of memory over idle, on {}", network_name(name)),
            "Peak of resident memory from the beginning of the warm-up on, less what was resident before it.".to_owned(),
        );
        let peaks = asked.over_scenarios(figure, name, &Scenario::ALL, Measure::ClientMemory, |_| Drawn {
            of: "peak over idle, client above server".to_owned(),
            unit: Unit::Bytes,
            form: Form::Beside,
            values: &PEAKS,
        });
        let peaks = peaks.map(|mut figure| {
            figure.reading = format!("The client’s peak. {}", figure.reading);
            figure
        });
        [joins(asked, name), peaks]
    });
    Question {
        slug: "memory",
        title: "How much memory does it take?",
        about: "First the client's memory as a room's events arrive, over what it had when it asked: the line is the median of the repetitions, the band goes from their least to their most. Then the peaks of both sides over what they had before the warm-up, as bars from zero: the client's full, the server's pale. Pages that an allocator keeps count as held.",
        figures: figures.flatten().collect(),
    }
}

const PEAKS: fn(&Measured<'_>) -> Values = |measured| {
    let of = [Measure::ClientMemory, Measure::ServerMemory].map(|measure| measured.spread(measure));
    (of.into_iter().flatten().collect(), None)
};

fn joins(asked: &Asked<'_>, name: &str) -> Option<Figure> {
    let mut figure = Figure::new(
        format!("memory-joins-{}", slug(name)),
        format!("Memory while a room arrives, on {}", network_name(name)),
        "Memory of the client’s process as events arrive, over what was resident when the join was asked for, after the warm-up.".to_owned(),
    );
    figure.marks = "Lines: the median of the repetitions. Bands: from the least to the most of them. The kernel gives memory by pages, large ones of 2 MiB: a step of that size is one page. On a logarithmic axis, what is less than its foot lies on its foot.";
    let mut readings = Vec::new();
    for each in JOINS {
        for of_flow in Flow::ALL {
            let cells = asked.field.of(name, of_flow, each);
            let unsound = cells.iter().filter(|measured| !measured.is_sound());
            let unsound = unsound.filter_map(|measured| asked.field.party(measured));
            let unsound: Vec<&str> = unsound.map(|party| &party.label[..]).collect();
            let curves: Vec<Curve<'_>> = cells
                .into_iter()
                .filter_map(|measured| {
                    let party = asked.field.party(measured)?;
                    let signs = crate::report::figure::Signs::of(measured).text();
                    let curve = Curve::new(party, &signs, points(measured)?)?;
                    figure.add(measured);
                    Some(curve)
                })
                .collect();
            if curves.is_empty() {
                continue;
            }
            let title = format!("{}, {}", scenario(each), flow(of_flow));
            let axes = Axes {
                across: &|pixels| {
                    let events = curves
                        .iter()
                        .flat_map(Curve::points)
                        .map(|(events, _)| *events);
                    Scale::linear(events, Unit::Plain("events so far"), pixels, 4)
                },
                of: "memory over that before",
                up: &|pixels| upward(&curves, pixels),
            };
            figure
                .panels
                .push(lines::draw(&title, asked.warning(name), &axes, &curves));
            let by_peak = |a: &&Curve<'_>, b: &&Curve<'_>| a.peak().total_cmp(&b.peak());
            let sound = || {
                curves
                    .iter()
                    .filter(|curve| !unsound.contains(&curve.label()))
            };
            let (least, most) = (sound().min_by(by_peak), sound().max_by(by_peak));
            if let (Some(least), Some(most)) = (least, most) {
                let peak = |curve: &Curve<'_>| {
                    let bytes = match curve.peak() {
                        ..PAGES => format!("less than {}", Unit::Bytes.value(PAGES)),
                        bytes => Unit::Bytes.value(bytes),
                    };
                    format!("{bytes} ({})", curve.label())
                };
                readings.push(match sound().count() {
                    _ if most.peak() < PAGES => {
                        format!("{title}: less than {} each", Unit::Bytes.value(PAGES))
                    }
                    1 => format!("{title}: {}", peak(least)),
                    _ => format!("{title}: from {} to {}", peak(least), peak(most)),
                });
            }
        }
    }
    figure.reading = match readings.is_empty() {
        true => "Calls failed in every cell.".to_owned(),
        false => format!(
            "Most that any repetition held over what it had before, peers included: {}.",
            readings.join("; ")
        ),
    };
    (!figure.panels.is_empty()).then_some(figure)
}

/// Less than this over idle is nothing that could be told from the kernel's own steps, which are of 2 MiB where pages are large.
const PAGES: f64 = 2.2e6;

/// Events so far, and what the repetitions held.
///
/// Each repetition counts with the most that it held at each place: a peak between two places is not lost.
fn points(measured: &Measured<'_>) -> Option<Vec<(f64, Spread)>> {
    let samples = measured.samples.iter().map(|sample| &sample.outcome.memory);
    let all = samples.clone().flatten().map(|(events, _)| *events).max()?;
    let mut places: Vec<Vec<f64>> = vec![Vec::new(); PLACES];
    for sample in samples {
        let mut most: Vec<Option<u64>> = vec![None; PLACES];
        for (events, bytes) in sample {
            let share = *events as f64 / all.max(1) as f64;
            let place = ((share * PLACES as f64).ceil() as usize).clamp(1, PLACES) - 1;
            most[place] = most[place].max(Some(*bytes));
        }
        for (place, most) in places.iter_mut().zip(most) {
            place.extend(most.map(|bytes| bytes as f64));
        }
    }
    let points = (1..).zip(places).filter_map(|(place, values)| {
        let events = all as f64 * f64::from(place) / PLACES as f64;
        Some((events, Spread::of(values)?))
    });
    Some(points.collect())
}

/// From zero, unless the peaks are a decade apart: the lower curves would then be one line. What is below a tenth of the lowest peak is drawn at the foot.
fn upward(curves: &[Curve<'_>], pixels: (i32, i32)) -> Scale {
    let bytes = curves
        .iter()
        .flat_map(|curve| curve.points())
        .map(|(_, spread)| spread.max);
    let peaks = || curves.iter().map(Curve::peak).filter(|peak| *peak > 0.0);
    // What differs by less than a few pages does not differ.
    let (least, most) = (
        peaks().fold(f64::MAX, f64::min).max(PAGES),
        peaks().fold(0.0, f64::max),
    );
    match most / least >= 10.0 {
        true => {
            let drawn = bytes.filter(|bytes| *bytes >= least / 10.0);
            // The lowest curve is not to lie on the axis.
            let drawn = drawn.chain(std::iter::once(least / 2.0));
            Scale::fitting(drawn, Unit::Bytes, pixels, 5)
        }
        false => Scale::linear(bytes, Unit::Bytes, pixels, 5),
    }
}
