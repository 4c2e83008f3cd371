//! A panel of curves, each with its name at its end.

use plotters::style::RGBColor;

use super::{
    canvas::{Align, Canvas, Drawing, INK, Text, width},
    measure::Spread,
    panel::WIDTH,
    parties::Party,
    scale::Scale,
};

const HEIGHT: i32 = 260;
const TICK: f64 = 10.0;

/// One transport's values.
#[derive(Clone, Debug)]
pub(super) struct Curve<'a> {
    party: &'a Party,
    signs: String,
    /// From left to right.
    points: Vec<(f64, Spread)>,
}

/// What a panel's axes are of.
pub(super) struct Axes<'a> {
    /// The horizontal one, between two pixels.
    pub(super) across: &'a dyn Fn((i32, i32)) -> Scale,
    /// What the vertical one is of.
    pub(super) of: &'a str,
    /// And where it is put.
    pub(super) up: &'a dyn Fn((i32, i32)) -> Scale,
}

impl<'a> Curve<'a> {
    /// None if there is no point. `signs` stand behind the name.
    pub(super) fn new(party: &'a Party, signs: &str, points: Vec<(f64, Spread)>) -> Option<Self> {
        (!points.is_empty()).then(|| Self {
            party,
            signs: signs.to_owned(),
            points,
        })
    }

    pub(super) fn points(&self) -> &[(f64, Spread)] {
        &self.points
    }

    /// The most of any repetition.
    pub(super) fn peak(&self) -> f64 {
        self.points
            .iter()
            .map(|(_, spread)| spread.max)
            .fold(0.0, f64::max)
    }

    pub(super) fn label(&self) -> &str {
        &self.party.label
    }

    fn name(&self) -> String {
        format!("{}{}", self.party.label, self.signs)
    }
}

/// Draws them, each with its name at its end.
pub(super) fn draw(
    title: &str,
    warning: Option<&'static str>,
    axes: &Axes<'_>,
    curves: &[Curve<'_>],
) -> Drawing {
    // Every name has a line of its own, whatever it takes.
    let height = HEIGHT.max(90 + 13 * curves.len() as i32);
    Drawing::new(WIDTH, height, |canvas| {
        canvas.text((4, 10), title, 12.0, Text::bold(Align::Left));
        if let Some(warning) = warning {
            canvas.text((WIDTH - 4, 28), warning, 10.5, Text::bold(Align::Right));
        }
        let names = curves.iter().map(|curve| width(&curve.name(), TICK)).max();
        let right = WIDTH - names.unwrap_or(0).min(140) - 20;
        let (left, top, bottom) = (50, 42, height - 36);
        let across = (axes.across)((left, right));
        let up = (axes.up)((bottom, top));
        let label = format!("{}, {}", axes.of, up.label);
        canvas.text((4, 28), &label, TICK, Text::faint(Align::Left));
        for (value, text) in &up.ticks {
            let y = up.at(*value);
            canvas.line(&[(left, y), (right, y)], INK, 0.16, 1);
            canvas.text((left - 4, y), text, TICK, Text::faint(Align::Right));
        }
        let mut free = i32::MIN;
        for (value, text) in &across.ticks {
            let x = across.at(*value);
            canvas.line(&[(x, bottom), (x, bottom + 3)], INK, 0.5, 1);
            let half = width(text, TICK) / 2;
            if x - half > free {
                canvas.text((x, bottom + 11), text, TICK, Text::faint(Align::Middle));
                free = x + half + 2;
            }
        }
        canvas.text(
            (right, bottom + 27),
            &across.label,
            TICK,
            Text::faint(Align::Right),
        );
        for curve in curves {
            one(canvas, curve, &across, &up);
        }
        named(canvas, curves, (&across, &up), right, (top, bottom - 9));
    })
}

fn one(canvas: &Canvas<'_>, curve: &Curve<'_>, across: &Scale, up: &Scale) {
    let colour = curve.party.colour;
    let along = |value: fn(&Spread) -> f64| -> Vec<(i32, i32)> {
        let points = curve.points.iter();
        points
            .map(|(events, spread)| (across.at(*events), up.at(value(spread))))
            .collect()
    };
    let mut band = along(|spread| spread.min);
    band.extend(along(|spread| spread.max).into_iter().rev());
    if curve
        .points
        .iter()
        .any(|(_, spread)| spread.min < spread.max)
    {
        canvas.polygon(&band, colour, 0.12);
    }
    let median = along(|spread| spread.median);
    match curve.party.peer {
        false => canvas.line(&median, colour, 1.0, 2),
        // Dashed.
        true => {
            for pair in median.chunks_exact(2) {
                canvas.line(pair, colour, 1.0, 2);
            }
        }
    }
    for point in median.iter().skip(4).step_by(10) {
        canvas.mark(*point, curve.party.shape, colour, !curve.party.peer);
    }
}

/// Names in the order of the curves' ends, moved apart where they would touch.
fn named(
    canvas: &Canvas<'_>,
    curves: &[Curve<'_>],
    (across, up): (&Scale, &Scale),
    x: i32,
    (top, bottom): (i32, i32),
) {
    let ends = curves
        .iter()
        .filter_map(|curve| Some((curve.points.last()?, curve)));
    let mut ends: Vec<(i32, i32, &Curve<'_>)> = ends
        .map(|((place, spread), curve)| (up.at(spread.median), across.at(*place), curve))
        .collect();
    ends.sort_by_key(|(y, _, _)| *y);
    let mut places: Vec<i32> = Vec::new();
    for (y, _, _) in &ends {
        let above = places.last().map_or(top, |above| above + 13);
        places.push((*y).max(above));
    }
    // Those that went below the axis push the ones above them up again.
    let mut below = bottom;
    for place in places.iter_mut().rev() {
        *place = (*place).min(below);
        below = *place - 13;
    }
    for ((end, last, curve), y) in ends.into_iter().zip(places) {
        let colour: RGBColor = curve.party.colour;
        // A curve that ends before the others is led to its name.
        if last < x {
            canvas.line(&[(last, end), (x, end)], colour, 0.35, 1);
        }
        canvas.line(&[(x + 1, end), (x + 6, y)], colour, 0.8, 1);
        canvas.mark((x + 11, y), curve.party.shape, colour, !curve.party.peer);
        canvas.text((x + 18, y), &curve.name(), TICK, Text::new(Align::Left));
    }
}
