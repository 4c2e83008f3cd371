//! A panel of curves: memory while a room arrives.

use plotters::style::RGBColor;

use super::{
    canvas::{Align, Canvas, Drawing, INK, Text, width},
    measure::{Measured, Spread},
    panel::WIDTH,
    parties::Party,
    scale::Scale,
    words::Unit,
};

/// Places along the axis for which a value is drawn. More cannot be told apart.
const PLACES: usize = 40;

const HEIGHT: i32 = 260;
const TICK: f64 = 10.0;

/// One transport's memory.
#[derive(Clone, Debug)]
pub(super) struct Curve<'a> {
    party: &'a Party,
    signs: String,
    /// Events so far, and what the repetitions held.
    points: Vec<(f64, Spread)>,
}

impl<'a> Curve<'a> {
    /// None if no repetition says anything.
    ///
    /// Each repetition counts with the most that it held at each place: a peak between two places is not lost.
    pub(super) fn new(party: &'a Party, signs: &str, measured: &Measured<'_>) -> Option<Self> {
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
        Some(Self {
            party,
            signs: signs.to_owned(),
            points: points.collect(),
        })
    }

    /// The most that the median repetition held.
    pub(super) fn peak(&self) -> f64 {
        self.points
            .iter()
            .map(|(_, spread)| spread.median)
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
pub(super) fn draw(title: &str, warning: Option<&'static str>, curves: &[Curve<'_>]) -> Drawing {
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
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let events = points().map(|(events, _)| *events);
        let across = Scale::linear(events, Unit::Plain("events so far"), (left, right), 4);
        let up = upward(curves, (bottom, top));
        let label = format!("memory over idle, {}", up.label);
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
        named(canvas, curves, &up, right, (top, bottom - 9));
    })
}

/// From zero, unless the peaks are a decade apart: the lower curves would then be one line. What is below a tenth of the lowest peak is drawn at the foot.
fn upward(curves: &[Curve<'_>], pixels: (i32, i32)) -> Scale {
    let bytes = curves
        .iter()
        .flat_map(|curve| &curve.points)
        .map(|(_, spread)| spread.max);
    let peaks = || curves.iter().map(Curve::peak).filter(|peak| *peak > 0.0);
    let (least, most) = (
        peaks().fold(f64::MAX, f64::min),
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
    canvas.polygon(&band, colour, 0.2);
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
fn named(canvas: &Canvas<'_>, curves: &[Curve<'_>], up: &Scale, x: i32, (top, bottom): (i32, i32)) {
    let mut ends: Vec<(i32, &Curve<'_>)> = curves
        .iter()
        .filter_map(|curve| Some((up.at(curve.points.last()?.1.median), curve)))
        .collect();
    ends.sort_by_key(|(y, _)| *y);
    let mut places: Vec<i32> = Vec::new();
    for (y, _) in &ends {
        let above = places.last().map_or(top, |above| above + 13);
        places.push((*y).max(above));
    }
    // Those that went below the axis push the ones above them up again.
    let mut below = bottom;
    for place in places.iter_mut().rev() {
        *place = (*place).min(below);
        below = *place - 13;
    }
    for ((end, curve), y) in ends.into_iter().zip(places) {
        let colour: RGBColor = curve.party.colour;
        canvas.line(&[(x + 1, end), (x + 6, y)], colour, 0.8, 1);
        canvas.mark((x + 11, y), curve.party.shape, colour, !curve.party.peer);
        canvas.text((x + 18, y), &curve.name(), TICK, Text::new(Align::Left));
    }
}
