//! A figure: panels with a title, what they say in a sentence, and where they come from.

use std::collections::BTreeSet;

use super::{
    canvas::{Align, DEFINITIONS, Drawing, Text, wrapped},
    measure::Measured,
    panel::WIDTH,
};

/// Small multiples that answer one question.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    /// The name of its file, and its anchor.
    pub(super) slug: String,
    pub(super) title: String,
    /// How it is measured and drawn.
    pub(super) about: String,
    /// What its marks mean, for who sees it without the page around it.
    pub(super) marks: &'static str,
    /// What it shows, computed.
    pub(super) reading: String,
    pub(super) panels: Vec<Drawing>,
    /// What makes each of its cells again, and the seeds of these.
    pub(super) commands: BTreeSet<String>,
    pub(super) seeds: BTreeSet<u64>,
    /// What the signs behind names mean, as far as they occur.
    pub(super) signs: Signs,
}

/// Signs behind a transport's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs {
    /// †
    pub(super) one_process: bool,
    /// ‡
    pub(super) delayed: bool,
    /// !
    pub(super) failures: bool,
    /// §
    pub(super) behind: bool,
    /// ¶
    pub(super) retried: bool,
}

impl Signs {
    pub(super) fn of(measured: &Measured<'_>) -> Self {
        Self {
            one_process: measured.is_together(),
            delayed: measured.is_delayed_in_process(),
            failures: measured.failures() > 0,
            behind: measured.behind() > 0,
            retried: measured.retried() > 0,
        }
    }

    /// As they stand behind a name.
    pub(super) fn text(self) -> String {
        let signs = [
            (self.one_process, '†'),
            (self.delayed, '‡'),
            (self.failures, '!'),
            (self.behind, '§'),
            (self.retried, '¶'),
        ];
        let signs: String = signs
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, sign)| sign)
            .collect();
        match signs.is_empty() {
            true => signs,
            false => format!(" {signs}"),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.one_process |= other.one_process;
        self.delayed |= other.delayed;
        self.failures |= other.failures;
        self.behind |= other.behind;
        self.retried |= other.retried;
    }

    /// What they mean, as far as they occur.
    pub(super) fn meaning(self) -> String {
        let mut text = String::new();
        if self.one_process {
            text.push_str(
                " † Client and server are one process: CPU and memory are of both together, and calls that never wait are made one after the other in either flow.",
            );
        }
        if self.delayed {
            text.push_str(" ‡ The network is a delay of each call within the client, without packets: no handshake, no loss, no rate.");
        }
        if self.failures {
            text.push_str(" ! Some calls failed, and it takes no part in comparisons; how many stands in the table of cells.");
        }
        if self.behind {
            text.push_str(" § Events arrived faster than they were delivered: the latency is that of a queue, and takes no part in comparisons.");
        }
        if self.retried {
            text.push_str(" ¶ The first attempt at a repetition gave no sample; the figures are of the second.");
        }
        text.trim_start().to_owned()
    }
}

impl Figure {
    pub(super) fn new(slug: String, title: String, about: String) -> Self {
        Self {
            slug,
            title,
            about,
            marks: "",
            reading: String::new(),
            panels: Vec::new(),
            commands: BTreeSet::new(),
            seeds: BTreeSet::new(),
            signs: Signs::default(),
        }
    }

    /// A cell takes part: gives the signs for its name.
    pub(super) fn add(&mut self, measured: &Measured<'_>) -> String {
        let signs = Signs::of(measured);
        self.signs.add(signs);
        for sample in &measured.samples {
            self.commands.insert(sample.command.clone());
            self.seeds.insert(sample.seed);
        }
        signs.text()
    }

    /// As a file that stands alone. `from` says which run it is of.
    pub(super) fn file(&self, from: &str) -> String {
        const MARGIN: i32 = 16;
        let columns = match self.panels.len() {
            // Two networks by two flows.
            ..=2 | 4 => 2,
            _ => 3,
        };
        let width = columns * WIDTH + (columns + 1) * MARGIN;
        let text = width - 2 * MARGIN;
        let meaning = self.signs.meaning();
        let above = [(&self.reading[..], 13.0), (&self.about[..], 11.0)];
        let below = [(self.marks, 11.0), (&meaning[..], 11.0), (from, 11.0)];
        let head = paragraphs(&self.title, &above, text);
        let foot = paragraphs("", &below, text);
        let mut body = head.at(MARGIN, MARGIN);
        let mut y = MARGIN + head.height + MARGIN;
        for row in self.panels.chunks(columns as usize) {
            for (column, panel) in (0..).zip(row) {
                body.push_str(&panel.at(MARGIN + column * (WIDTH + MARGIN), y));
            }
            y += row.iter().map(|panel| panel.height).max().unwrap_or(0) + MARGIN;
        }
        body.push_str(&foot.at(MARGIN, y));
        let height = y + foot.height + MARGIN;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" font-family=\"system-ui, sans-serif\" color=\"#1b1f24\">\n\
             <style>.page {{ fill: #ffffff }} @media (prefers-color-scheme: dark) {{ svg {{ color: #e6e9ed }} .page {{ fill: #171b21 }} }}</style>\n\
             {DEFINITIONS}\n<rect class=\"page\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
        )
    }
}

/// A title and paragraphs of a size each, as high as they need.
fn paragraphs(title: &str, texts: &[(&str, f64)], pixels: i32) -> Drawing {
    let mut lines: Vec<(i32, String, f64)> = Vec::new();
    let mut y = if title.is_empty() { 8 } else { 32 };
    for (text, size) in texts.iter().filter(|(text, _)| !text.is_empty()) {
        for line in wrapped(text, *size, pixels) {
            lines.push((y, line, *size));
            y += (size * 1.4) as i32;
        }
        y += 4;
    }
    Drawing::new(pixels, y, |canvas| {
        canvas.text((0, 10), title, 16.0, Text::bold(Align::Left));
        for (y, line, size) in &lines {
            canvas.text((0, *y), line, *size, Text::new(Align::Left));
        }
    })
}
