//! The table of what was measured and what is needed.

use std::{fmt::Write, process::Command, time::SystemTime};

use crate::{
    load::IN_FLIGHT,
    rounds::{Pair, Spread},
};

/// What a row has to reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    AtMost(f64),
    AtLeast(f64),
    /// Nothing: it is there to be compared.
    None,
}

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    measure: String,
    unit: &'static str,
    value: Spread,
    need: Need,
    detail: String,
}

/// The rows in the order in which they were measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
    sections: Vec<String>,
}

impl Report {
    /// Adds a row, and prints it.
    pub(crate) fn row(
        &mut self,
        measure: impl Into<String>,
        unit: &'static str,
        value: Spread,
        need: Need,
        detail: impl Into<String>,
    ) {
        let row = Row {
            measure: measure.into(),
            unit,
            value,
            need,
            detail: detail.into(),
        };
        eprintln!("  {}", row.write());
        self.rows.push(row);
    }

    /// Adds the row of two costs that were measured in turn, and prints it.
    pub(crate) fn pair(&mut self, measure: impl Into<String>, pair: Pair, need: Need) {
        let absolute = format!("{:.1?} / {:.1?}", pair.a, pair.b);
        self.row(measure, "", pair.ratio, need, absolute);
    }

    /// Adds a remark below the table.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds a section behind the table and its remarks, and prints it.
    pub(crate) fn section(&mut self, markdown: String) {
        eprintln!("{markdown}");
        self.sections.push(markdown);
    }

    /// The whole as Markdown. `cores` is how many there were before this process was pinned to one.
    pub(crate) fn write(&self, cores: usize, pinned: bool) -> String {
        let mut text = String::from(
            "# Performance\n\n\
             Written by `cargo bench -p comity-floors`; do not edit.\n\n",
        );
        let pinned = if pinned {
            "server pinned to one core, client to another"
        } else {
            "not pinned"
        };
        let _ = write!(
            text,
            "{}. {}, {cores} cores, {pinned}; {}; mimalloc on both sides; thin LTO; \
             load average at the end {}.\n\n\
             Values are ratios of CPU time within this run unless a unit says otherwise: medians of alternating rounds, with the \
             tenth and ninetieth percentile. {IN_FLIGHT} requests in flight. Bodies: 1 PDU 1,675 bytes, 50 PDUs 74 kB, `send_join` 20,000 \
             and 200,000 state events (messages of such an event's size) and a tenth as many of the auth chain.\n\n\
             | measure | value | 10 % - 90 % | needed | | absolute |\n| --- | --- | --- | --- | --- | --- |\n",
            httpdate::fmt_http_date(SystemTime::now()),
            processor(),
            compiler(),
            load(),
        );
        for row in &self.rows {
            let _ = writeln!(text, "{}", row.write());
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}\n");
        }
        for section in &self.sections {
            let _ = write!(text, "\n{section}");
        }
        text
    }
}

impl Row {
    fn write(&self) -> String {
        let Spread { low, median, high } = self.value;
        let places = if median >= 100.0 { 0 } else { 2 };
        let (need, verdict) = match self.need {
            Need::AtMost(limit) => (format!("≤ {limit}"), verdict(median <= limit)),
            Need::AtLeast(limit) => (format!("≥ {limit}"), verdict(median >= limit)),
            Need::None => ("–".to_owned(), ""),
        };
        let unit = self.unit;
        let spread = if low == high {
            "–".to_owned()
        } else {
            format!("{low:.places$} - {high:.places$}")
        };
        format!(
            "| {} | {median:.places$}{unit} | {spread} | {need}{unit} | {verdict} | {} |",
            self.measure, self.detail
        )
    }
}

fn verdict(pass: bool) -> &'static str {
    if pass { "pass" } else { "**FAIL**" }
}

/// A machine with other work to do gives wide spreads.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("unknown").to_owned()
}

fn compiler() -> String {
    let version = Command::new("rustc").arg("--version").output();
    let version = version
        .ok()
        .and_then(|out| String::from_utf8(out.stdout).ok());
    version.map_or_else(|| "rustc".to_owned(), |version| version.trim().to_owned())
}

fn processor() -> String {
    let facts = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = facts
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    name.map_or("processor unknown", |name| {
        name.trim_start_matches([' ', '\t', ':'])
    })
    .to_owned()
}
