//! The report: tables for programs, plots, one page for a person, and the tables of `docs/performance.md`.
//!
//! `measure` reads figures off samples and gathers them by cell, `losses` what was lost; `csv` writes them for programs; `parties` says how each transport is drawn; `words` has names, units and numbers for people;
//! `escape` is for text that others chose. A plot is made of panels: `scale` has axes, `panel` draws rows of values and `lines` curves, by plotters, and `figure` puts them together. `question`
//! has a file for each question that the page answers, `answers` says who is ahead and `summary` what that comes to, `page` writes the page, `short` the end of a run in a terminal, and `document` the Markdown.

mod answers;
mod canvas;
mod csv;
mod document;
mod escape;
mod figure;
mod lines;
mod losses;
mod measure;
mod notices;
mod page;
mod panel;
mod parties;
mod question;
mod scale;
mod short;
mod summary;
mod words;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub use short::short;

use crate::model::Results;

/// What the figures do not say.
const LIMITS: [&str; 9] = [
    "Both sides share one machine: they compete for its cores and caches, and no network card is involved. Ratios within a run hold better than its absolute figures do elsewhere.",
    "Content is drawn from a seed, in the size and shape of real rooms; it is not traffic of real servers.",
    "A homeserver does more for a call than a transport does: state resolution, authorization and its database are not in any figure.",
    "An emulated network has the same delay for each packet, loses each one independently of the others, and has one bottleneck with nobody else on it. Wi-Fi, mobile networks and crowded links are worse in ways that this does not show.",
    "What an emulated network's packets cost in the kernel of the side that receives them is charged to the process that carries them between the namespaces, to neither side; the CPU of that process is in no figure.",
    "A join is warmed up with a room of 20 events: where windows and buffers grow with what they carry, that growth is measured with the room.",
    "The spread is that of repetitions on one machine within one run. Another machine, kernel or compiler differs by more.",
    "All calls are of one sender, whose key has a table from its 16th good signature on, with which a check of a signature costs half as much. The checks of peers are plain, and so are ours of a sender who signs seldom.",
    "Latencies are counted to two digits. Discovery is left out: names are resolved before anything is measured.",
];

/// What is to be known of bytes where no packets were emulated.
const LARGE_PACKETS: &str = "Of a loopback, whose packets carry up to 64 KiB each: on a network there are more of them, with more bytes of headers and acknowledgements.";

/// What is to be known of bytes that the client counted by itself.
const ABOVE_TCP: &str = "Counted by the client on its sockets, above TCP, as no network of its own could be opened: neither headers nor acknowledgements nor repeated packets are among them.";

/// What the commands of peers' cells need.
const PEERS: &str = "Commands beside figures are those of their samples. Peers: build with `--features bench-peers`, as `cargo run --release -p comity-cli --features bench-peers -- bench` does.";

/// Why a report could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file or its folder could not be written or read.
    #[error("{path}: {why}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        why: io::Error,
    },
    /// The results could not be written as JSON, or are not JSON of this shape.
    #[error("{path}: no results of `comity bench`: {why}", path = .path.display())]
    Results {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        why: serde_json::Error,
    },
}

/// Writes the report into `folder`, which is made if it is not there: `results.json`, `samples.csv`, `cells.csv`, a plot in SVG for each figure, `performance.md` with what [`markdown`] gives, and `index.html`, which needs none of the others.
/// Files of those names are replaced.
///
/// # Errors
/// A file that cannot be written.
pub fn write(results: &Results, folder: &Path) -> Result<(), ReportError> {
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|why| ReportError::File { path, why })
    };
    fs::create_dir_all(folder).map_err(|why| ReportError::File {
        path: folder.to_owned(),
        why,
    })?;
    let json = serde_json::to_string(results).map_err(|why| ReportError::Results {
        path: folder.join("results.json"),
        why,
    })?;
    put("results.json", &json)?;
    put("samples.csv", &csv::samples(results))?;
    let parties = parties::parties(results);
    let cells = measure::cells(results, &parties);
    put("cells.csv", &csv::cells(&cells))?;
    let field = answers::Field {
        cells: &cells,
        parties: &parties,
    };
    let questions = question::all(results, &field);
    let from = page::from(results);
    for figure in questions.iter().flat_map(|question| &question.figures) {
        let name = format!("{}.svg", figure.slug);
        debug_assert!(is_plot(&name), "{name} would not be removed");
        put(&name, &figure.file(&from))?;
    }
    put("performance.md", &document::document(results, &field))?;
    put("index.html", &page::page(results, &field, &questions))?;
    Ok(())
}

/// Removes from `folder` what a report consists of: the files that [`write()`] writes, and every plot. What else is there stays.
///
/// # Errors
/// A file that cannot be removed, or a folder that cannot be read.
pub(crate) fn remove(folder: &Path) -> Result<(), ReportError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |why| ReportError::File { path, why }
    };
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let is_ours = name.is_some_and(|name| FILES.contains(&name) || is_plot(name));
        if is_ours && path.is_file() {
            fs::remove_file(&path).map_err(failed(&path))?;
        }
    }
    Ok(())
}

/// What a report consists of, beside plots.
const FILES: [&str; 5] = [
    "results.json",
    "samples.csv",
    "cells.csv",
    "performance.md",
    "index.html",
];

/// Whether a file has the name of a plot: they begin with what they are of.
fn is_plot(name: &str) -> bool {
    const BEGINNINGS: [&str; 8] = [
        "latency-",
        "whole-",
        "distribution-",
        "throughput-",
        "bytes-per-",
        "cpu-",
        "memory-",
        "handshake-",
    ];
    name.ends_with(".svg") && BEGINNINGS.iter().any(|begins| name.starts_with(begins))
}

/// Reads the results that [`write()`] wrote as `results.json`, to make their report again without measuring.
///
/// # Errors
/// A file that cannot be read, or that holds something else.
pub fn read(path: &Path) -> Result<Results, ReportError> {
    let text = fs::read_to_string(path).map_err(|why| ReportError::File {
        path: path.to_owned(),
        why,
    })?;
    serde_json::from_str(&text).map_err(|why| ReportError::Results {
        path: path.to_owned(),
        why,
    })
}

/// The generated part of `docs/performance.md`, to stand between its marks.
#[must_use]
pub fn markdown(results: &Results) -> String {
    let parties = parties::parties(results);
    let cells = measure::cells(results, &parties);
    let field = answers::Field {
        cells: &cells,
        parties: &parties,
    };
    document::document(results, &field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_removes_what_a_report_consists_of_and_nothing_else() {
        let folder = tempfile::tempdir().expect("there is room");
        let results = Results::default();
        write(&results, folder.path()).expect("it can be written");
        let others = ["notes.txt", "logo.svg", "cpu-profile.txt"];
        for name in ["cpu-loopback.svg", "handshake-bytes.svg"]
            .iter()
            .chain(&others)
        {
            fs::write(folder.path().join(name), "").expect("it can be written");
        }
        remove(folder.path()).expect("it can be removed");
        let left = fs::read_dir(folder.path()).expect("it is there");
        let left = left.map(|entry| entry.expect("it can be read").file_name());
        let mut left: Vec<_> = left.filter_map(|name| name.into_string().ok()).collect();
        left.sort_unstable();
        assert_eq!(left, ["cpu-profile.txt", "logo.svg", "notes.txt"]);
    }
}
