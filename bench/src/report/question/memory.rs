//! How much memory does it take, while a room arrives and at most?

use super::{Asked, Drawn, Question, Values};
use crate::{
    model::{Flow, Scenario},
    report::{
        escape::{short, slug},
        figure::Figure,
        lines::{self, Curve},
        measure::{Measure, Measured},
        panel::Form,
        words::{Unit, flow, scenario},
    },
};

const JOINS: [Scenario; 3] = [Scenario::Join1k, Scenario::Join20k, Scenario::Join200k];

pub(super) fn question(asked: &Asked<'_>) -> Question {
    let figures = asked.field.networks().into_iter().take(1).flat_map(|name| {
        let figure = Figure::new(
            format!("memory-peak-{}", slug(name)),
            format!("Peak of memory over idle, on {}", short(name, 40)),
            "Peak of resident memory while it was measured, less what was resident after the warm-up.".to_owned(),
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
        about: "First the client's memory over idle as a room's events arrive: the line is the median of the repetitions, the band goes from their least to their most. Then the peaks of both sides, as bars from zero: the client's full, the server's pale. Pages that an allocator keeps count as held.",
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
        format!("Memory while a room arrives, on {}", short(name, 40)),
        "Memory over idle of the client's process, read as events arrive.".to_owned(),
    );
    let mut readings = Vec::new();
    for each in JOINS {
        for of_flow in Flow::ALL {
            let cells = asked.field.of(name, of_flow, each);
            let curves: Vec<Curve<'_>> = cells
                .into_iter()
                .filter_map(|measured| {
                    let party = asked.field.party(measured)?;
                    let signs = crate::report::figure::Signs::of(measured).text();
                    let curve = Curve::new(party, &signs, measured)?;
                    figure.add(measured);
                    Some(curve)
                })
                .collect();
            if curves.is_empty() {
                continue;
            }
            let title = format!("{}, {}", scenario(each), flow(of_flow));
            figure
                .panels
                .push(lines::draw(&title, asked.warning(name), &curves));
            let by_peak = |a: &&Curve<'_>, b: &&Curve<'_>| a.peak().total_cmp(&b.peak());
            let (least, most) = (curves.iter().min_by(by_peak), curves.iter().max_by(by_peak));
            if let (Some(least), Some(most)) = (least, most) {
                let peak = |curve: &Curve<'_>| {
                    format!("{} ({})", Unit::Bytes.value(curve.peak()), curve.label())
                };
                readings.push(match curves.len() {
                    1 => format!("{title}: {}", peak(least)),
                    _ => format!("{title}: from {} to {}", peak(least), peak(most)),
                });
            }
        }
    }
    figure.reading = format!(
        "Most that was held over idle, peers included: {}.",
        readings.join("; ")
    );
    (!figure.panels.is_empty()).then_some(figure)
}
