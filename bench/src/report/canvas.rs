//! Drawing in pixels by plotters, and what makes its SVG fit a light page and a dark one.

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{escape::shown, parties::Shape};

/// The colour of text and axes. Drawn with a colour that nothing else has, and replaced by the page's own.
pub(super) const INK: RGBColor = RGBColor(1, 2, 3);

/// The hatching of peers' bars, likewise.
pub(super) const HATCH: RGBColor = RGBColor(4, 5, 6);

/// What the hatching is, to be put once in every document that has plots.
pub(super) const DEFINITIONS: &str = "<defs><pattern id=\"hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect width=\"5\" height=\"5\" fill=\"#808080\" fill-opacity=\"0.25\"/><rect width=\"2\" height=\"5\" fill=\"#808080\"/></pattern></defs>";

/// plotters writes sizes divided by this.
const FONT: f64 = 1.24;

/// Width of a character by the size of its font, about: no font is at hand to measure with.
const CHARACTER: f64 = 0.57;

/// A drawing, without the element around it.
#[derive(Clone, Debug)]
pub(super) struct Drawing {
    pub(super) width: i32,
    pub(super) height: i32,
    body: String,
}

impl Drawing {
    /// Draws one.
    pub(super) fn new(width: i32, height: i32, draw: impl FnOnce(&Canvas<'_>)) -> Self {
        let mut text = String::new();
        let size = (width.unsigned_abs(), height.unsigned_abs());
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let canvas = Canvas { area };
        draw(&canvas);
        canvas.area.present().expect(TO_A_STRING);
        drop(canvas);
        let body = text
            .split_once('>')
            .and_then(|(_, body)| body.rsplit_once("</svg>"))
            .map(|(body, _)| body)
            .expect("a drawing is an element");
        // Quotes in text are escaped, so that these are attributes. What is the default need not be said for each of some thousand elements.
        let body = body
            .replace(" opacity=\"1\"", "")
            .replace(" stroke=\"none\"", "")
            .replace(" stroke-width=\"1\"", "")
            .replace(" text-anchor=\"start\"", "")
            .replace(" font-family=\"sans-serif\"", "")
            .replace("\"#010203\"", "\"currentColor\"")
            .replace("\"#040506\"", "\"url(#hatch) #808080\"");
        Self {
            width,
            height,
            body: body.trim().to_owned(),
        }
    }

    /// As an element of a page. `label` is for those who do not see it, already escaped.
    pub(super) fn in_page(&self, label: &str) -> String {
        let Self {
            width,
            height,
            body,
        } = self;
        format!(
            "<svg role=\"img\" aria-label=\"{label}\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n{body}\n</svg>"
        )
    }

    /// As a part of another drawing.
    pub(super) fn at(&self, x: i32, y: i32) -> String {
        let Self {
            width,
            height,
            body,
        } = self;
        format!("<svg x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\">\n{body}\n</svg>\n")
    }
}

const TO_A_STRING: &str = "writing to a string cannot fail";

/// Where text is put: its left, middle or right end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Align {
    Left,
    Middle,
    Right,
}

/// Something to draw on, in pixels.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

impl Canvas<'_> {
    /// Text whose middle is at the height of `y`.
    pub(super) fn text(&self, (x, y): (i32, i32), text: &str, size: f64, style: Text) {
        let font = match style.bold {
            true => ("sans-serif", size * FONT, FontStyle::Bold).into_font(),
            false => ("sans-serif", size * FONT).into_font(),
        };
        let anchor = match style.align {
            Align::Left => HPos::Left,
            Align::Middle => HPos::Center,
            Align::Right => HPos::Right,
        };
        let colour = style.colour.mix(style.strength);
        let style = TextStyle::from(font)
            .color(&colour)
            .pos(Pos::new(anchor, VPos::Center));
        let text = shown(text);
        self.area
            .draw_text(&text, &style, (x, y))
            .expect(TO_A_STRING);
    }

    pub(super) fn line(&self, points: &[(i32, i32)], colour: RGBColor, strength: f64, width: u32) {
        let style = ShapeStyle::from(colour.mix(strength)).stroke_width(width);
        let path = PathElement::new(points.to_vec(), style);
        self.area.draw(&path).expect(TO_A_STRING);
    }

    /// Filled, from one corner to the other.
    pub(super) fn rectangle(
        &self,
        from: (i32, i32),
        to: (i32, i32),
        colour: RGBColor,
        strength: f64,
    ) {
        let rectangle = Rectangle::new([from, to], colour.mix(strength).filled());
        self.area.draw(&rectangle).expect(TO_A_STRING);
    }

    pub(super) fn polygon(&self, points: &[(i32, i32)], colour: RGBColor, strength: f64) {
        let polygon = Polygon::new(points.to_vec(), colour.mix(strength));
        self.area.draw(&polygon).expect(TO_A_STRING);
    }

    /// A mark of 8 pixels: filled, or its outline.
    pub(super) fn mark(&self, (x, y): (i32, i32), shape: Shape, colour: RGBColor, filled: bool) {
        let corners: &[(i32, i32)] = match shape {
            Shape::Circle if filled => {
                let circle = Circle::new((x, y), 4, colour.filled());
                return self.area.draw(&circle).expect(TO_A_STRING);
            }
            Shape::Circle => {
                let circle = Circle::new((x, y), 3, ShapeStyle::from(colour).stroke_width(1));
                return self.area.draw(&circle).expect(TO_A_STRING);
            }
            Shape::Square => &[(-3, -3), (3, -3), (3, 3), (-3, 3)],
            Shape::Triangle => &[(0, -4), (4, 3), (-4, 3)],
            Shape::Diamond => &[(0, -5), (5, 0), (0, 5), (-5, 0)],
            Shape::Cross => &[
                (-4, -2),
                (-2, -4),
                (0, -2),
                (2, -4),
                (4, -2),
                (2, 0),
                (4, 2),
                (2, 4),
                (0, 2),
                (-2, 4),
                (-4, 2),
                (-2, 0),
            ],
        };
        let mut points: Vec<_> = corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
        match filled {
            true => self.polygon(&points, colour, 1.0),
            false => {
                points.push(points[0]);
                self.line(&points, colour, 1.0, 1);
            }
        }
    }
}

/// How text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    pub(super) align: Align,
    pub(super) colour: RGBColor,
    /// Of 1: how much it stands out.
    pub(super) strength: f64,
    pub(super) bold: bool,
}

impl Text {
    pub(super) const fn new(align: Align) -> Self {
        Self {
            align,
            colour: INK,
            strength: 1.0,
            bold: false,
        }
    }

    pub(super) const fn faint(align: Align) -> Self {
        Self {
            strength: 0.7,
            ..Self::new(align)
        }
    }

    pub(super) const fn bold(align: Align) -> Self {
        Self {
            bold: true,
            ..Self::new(align)
        }
    }
}

/// Pixels that the text takes, about, and rather too many.
pub(super) fn width(text: &str, size: f64) -> i32 {
    let characters = text.chars().map(|c| match c {
        // Most scripts with wide characters lie behind this one.
        '\u{1100}'.. if c != '…' && c != '–' => 1.05,
        _ => CHARACTER,
    });
    (characters.sum::<f64>() * size).ceil() as i32
}

/// Lines of at most so many pixels, broken between words, and within one that is longer than a line.
pub(super) fn wrapped(text: &str, size: f64, pixels: i32) -> Vec<String> {
    let most = (f64::from(pixels) / size / CHARACTER) as usize;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let characters: Vec<char> = word.chars().collect();
        for part in characters.chunks(most.max(1)) {
            let part: String = part.iter().collect();
            let line = lines.last_mut().expect("there is a line");
            let longer = format!("{line} {part}");
            if line.is_empty() {
                line.push_str(&part);
            } else if width(&longer, size) <= pixels {
                *line = longer;
            } else {
                lines.push(part);
            }
        }
    }
    lines
}
