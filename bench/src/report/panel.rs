//! A panel: rows of values with their transports' names beside them, as dots or as bars.

use plotters::style::RGBColor;

use super::{
    canvas::{Align, Canvas, Drawing, HATCH, INK, Text, width},
    measure::Spread,
    parties::{Party, Shape},
    scale::Scale,
    words::Unit,
};

/// Width of every panel.
pub(super) const WIDTH: i32 = 360;

const ROW: i32 = 15;
const NAME: f64 = 10.5;
const TICK: f64 = 10.0;

/// Ticks for which an axis has room.
const TICKS: usize = 4;

/// How values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Median, ninetieth and ninety-ninth percentile on a line.
    Dots,
    /// The first value's bar, and the second's at its end: parts of a sum. The third is the sum.
    Stacked,
    /// Each value has a bar of its own, one below the other.
    Beside,
}

impl Form {
    /// What its marks mean.
    pub(super) fn marks(self) -> &'static str {
        match self {
            Self::Dots => {
                "First mark: the median of the repetitions’ medians, which is also written; the band around it: the least to the most of them. Tick and hollow mark: the ninetieth and the ninety-ninth percentile of all repetitions together, if there are latencies beyond them. Grey: peers."
            }
            Self::Stacked => {
                "Full: the client’s share; pale: the server’s; line: from the least to the most of the repetitions’ sums. Medians of the repetitions. Grey: peers."
            }
            Self::Beside => {
                "Bars: the median of the repetitions, a client’s full and a server’s, if there is one, pale; line: from the least to the most of them. Grey: peers."
            }
        }
    }
}

/// What is drawn.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    /// Stands below the title: why to be careful.
    pub(super) warning: Option<&'static str>,
    /// What the axis is of.
    pub(super) of: String,
    pub(super) unit: Unit,
    pub(super) form: Form,
    pub(super) groups: Vec<Group>,
}

/// Rows under one heading.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) heading: String,
    pub(super) rows: Vec<Row>,
}

/// A transport's values.
#[derive(Clone, Debug)]
pub(super) struct Row {
    name: String,
    colour: RGBColor,
    shape: Shape,
    peer: bool,
    values: Vec<Spread>,
    /// What is written at the end: the value that counts.
    written: f64,
}

impl Row {
    /// None if there is nothing to draw. `signs` stand behind the name.
    pub(super) fn new(
        party: &Party,
        signs: &str,
        values: Vec<Spread>,
        written: Option<f64>,
    ) -> Option<Self> {
        let written = written.or(values.first().map(|spread| spread.median))?;
        Some(Self {
            name: format!("{}{signs}", party.label),
            colour: party.colour,
            shape: party.shape,
            peer: party.peer,
            values,
            written,
        })
    }

    fn fill(&self) -> RGBColor {
        if self.peer { HATCH } else { self.colour }
    }
}

impl Panel {
    pub(super) fn is_empty(&self) -> bool {
        self.groups.iter().all(|group| group.rows.is_empty())
    }

    pub(super) fn draw(&self) -> Drawing {
        let groups = || self.groups.iter().filter(|group| !group.rows.is_empty());
        let rows: usize = groups().map(|group| group.rows.len()).sum();
        let headings = groups().filter(|group| !group.heading.is_empty()).count();
        let top = if self.warning.is_some() { 40 } else { 26 };
        let bottom = top + ROW * (rows + headings) as i32 + 6 * groups().count() as i32;
        Drawing::new(WIDTH, bottom + 38, |canvas| {
            let all = || groups().flat_map(|group| &group.rows);
            let names = all().map(|row| width(&row.name, NAME)).max().unwrap_or(0);
            let written = |row: &Row| self.unit.brief(row.written);
            let ends = all()
                .map(|row| width(&written(row), NAME))
                .max()
                .unwrap_or(0);
            let left = (names + 13).clamp(50, 150);
            let right = WIDTH - ends.min(110) - 10;
            let scale = self.scale((left, right));
            self.frame(canvas, &scale, (top, bottom));
            let mut y = top;
            for group in groups() {
                if !group.heading.is_empty() {
                    let style = Text::faint(Align::Left);
                    canvas.text((4, y + ROW / 2), &group.heading, NAME, style);
                    y += ROW;
                }
                for row in &group.rows {
                    let middle = y + ROW / 2;
                    canvas.text((left - 9, middle), &row.name, NAME, Text::new(Align::Right));
                    let end = Text::new(Align::Right);
                    canvas.text((WIDTH - 4, middle), &written(row), NAME, end);
                    match self.form {
                        Form::Dots => dots(canvas, row, &scale, middle),
                        Form::Stacked => stacked(canvas, row, &scale, middle),
                        Form::Beside => beside(canvas, row, &scale, middle),
                    }
                    y += ROW;
                }
                y += 6;
            }
        })
    }

    fn scale(&self, pixels: (i32, i32)) -> Scale {
        let rows = self.groups.iter().flat_map(|group| &group.rows);
        let spreads = rows.flat_map(|row| &row.values);
        match self.form {
            Form::Dots => {
                let values = spreads.flat_map(|spread| [spread.min, spread.median, spread.max]);
                Scale::fitting(values, self.unit, pixels, TICKS)
            }
            Form::Stacked | Form::Beside => {
                let values = spreads.map(|spread| spread.max);
                Scale::linear(values, self.unit, pixels, TICKS)
            }
        }
    }

    /// Title, grid and axis.
    fn frame(&self, canvas: &Canvas<'_>, scale: &Scale, (top, bottom): (i32, i32)) {
        canvas.text((4, 10), &self.title, 12.0, Text::bold(Align::Left));
        if let Some(warning) = self.warning {
            canvas.text((4, 26), warning, NAME, Text::bold(Align::Left));
        }
        let mut free = i32::MIN;
        for (value, text) in &scale.ticks {
            let x = scale.at(*value);
            canvas.line(&[(x, top), (x, bottom)], INK, 0.16, 1);
            let half = width(text, TICK) / 2;
            // A label that would touch the one before is left out; its line stays.
            if x - half > free {
                canvas.text((x, bottom + 9), text, TICK, Text::faint(Align::Middle));
                free = x + half + 2;
            }
        }
        let label = match &scale.label[..] {
            "" => self.of.clone(),
            unit => format!("{}, {unit}", self.of),
        };
        canvas.text(
            (WIDTH - 4, bottom + 26),
            &label,
            TICK,
            Text::faint(Align::Right),
        );
    }
}

/// The bands are what the repetitions spread over.
fn dots(canvas: &Canvas<'_>, row: &Row, scale: &Scale, y: i32) {
    let at = |spread: &Spread| scale.at(spread.median);
    for spread in &row.values {
        let (from, to) = (scale.at(spread.min), scale.at(spread.max));
        if to > from {
            canvas.rectangle((from, y - 4), (to, y + 4), row.colour, 0.3);
        }
    }
    if let [first, .., last] = &row.values[..] {
        canvas.line(&[(at(first), y), (at(last), y)], row.colour, 0.7, 1);
    }
    for (index, spread) in row.values.iter().enumerate().rev() {
        let place = (at(spread), y);
        match index {
            0 => canvas.mark(place, row.shape, row.colour, !row.peer),
            1 => canvas.line(&[(place.0, y - 4), (place.0, y + 4)], row.colour, 1.0, 2),
            _ => canvas.mark(place, row.shape, row.colour, false),
        }
    }
}

fn stacked(canvas: &Canvas<'_>, row: &Row, scale: &Scale, y: i32) {
    let mut sum = 0.0;
    for (index, spread) in row.values.iter().take(2).enumerate() {
        let (from, to) = (scale.at(sum), scale.at(sum + spread.median));
        canvas.rectangle((from, y - 5), (to, y + 5), row.fill(), strength(index));
        sum += spread.median;
    }
    if let Some(whole) = row.values.last() {
        whisker(canvas, whole, scale, y);
    }
}

fn beside(canvas: &Canvas<'_>, row: &Row, scale: &Scale, y: i32) {
    let each = 12 / row.values.len().max(1) as i32;
    for (index, spread) in row.values.iter().enumerate() {
        let top = y - 6 + each * index as i32;
        let end = (scale.at(spread.median), top + each - 1);
        canvas.rectangle((scale.at(0.0), top), end, row.fill(), strength(index));
        whisker(canvas, spread, scale, top + each / 2);
    }
}

/// The server's share is the paler one.
fn strength(index: usize) -> f64 {
    if index == 0 { 0.95 } else { 0.5 }
}

/// From the least to the most of the repetitions.
fn whisker(canvas: &Canvas<'_>, spread: &Spread, scale: &Scale, y: i32) {
    let (from, to) = (scale.at(spread.min), scale.at(spread.max));
    if to > from {
        canvas.line(&[(from, y), (to, y)], INK, 0.9, 1);
        for x in [from, to] {
            canvas.line(&[(x, y - 2), (x, y + 2)], INK, 0.9, 1);
        }
    }
}
