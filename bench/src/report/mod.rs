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
const LIMITS: [&str; 8] = [
    "Both sides share one machine: they compete for its cores and caches, and no network card is involved. Ratios within a run hold better than its absolute figures do elsewhere.",
    "Content is drawn from a seed, in the size and shape of real rooms; it is not traffic of real servers.",
    "A homeserver does more for a call than a transport does: state resolution, authorization and its database are not in any figure.",
    "An emulated network has the same delay for each packet, loses each one independently of the others, and has one bottleneck with nobody else on it. Wi-Fi, mobile networks and crowded links are worse in ways that this does not show.",
    "What an emulated network's packets cost in the kernel of the side that receives them is charged to the process that carries them between the namespaces, to neither side; the CPU of that process is in no figure.",
    "A join is warmed up with a room of 20 events: where windows and buffers grow with what they carry, that growth is measured with the room.",
    "The spread is that of repetitions on one machine within one run. Another machine, kernel or compiler differs by more.",
    "Latencies are counted to two digits. Discovery is left out: names are resolved before anything is measured.",
];

/// What is to be known of bytes where no packets were emulated.
const LARGE_PACKETS: &str = "Of a loopback, whose packets carry up to 64 KiB each: on a network there are more of them, with more bytes of headers and acknowledgements.";

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
        put(&format!("{}.svg", figure.slug), &figure.file(&from))?;
    }
    put("performance.md", &document::document(results, &field))?;
    put("index.html", &page::page(results, &field, &questions))?;
    Ok(())
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
