//! `comity demo`: one implementation of the Federation API behind each transport, and proof that they carry the same.
//!
//! `room` is a real room between two homeservers; `imported` carries the events of a file. `stage` puts two servers behind a transport,
//! `measure` times calls, `checks` tries what is not timed, `verdict` judges an event by ruma, `report` says it all. `mascot` is the file that
//! every server of the demo has.

mod calls;
mod checks;
mod findings;
mod heap;
mod imported;
mod mascot;
mod measure;
mod progress;
mod report;
mod room;
mod stage;
mod verdict;

use std::{error::Error, path::PathBuf, process::ExitCode, time::Instant};

use clap::Args;
use comity_core::auth::SigningKey;
use ruma_common::serde::{Base64, base64::Standard};
use ruma_signatures::PublicKeyMap;

use findings::Findings;
use imported::FileError;
use measure::Row;
use progress::Announce;
use report::{Report, RoomReport};
use room::{LEAST_EVENTS, LargeJoin};
use stage::Identity;

/// What `comity demo` can be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// State events of the large room
    #[arg(long, default_value_t = 20_000, value_name = "N", value_parser = at_least_base_events)]
    events: usize,
    /// Calls of each operation over each transport; joins of the large room a tenth as often, five times at most
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = at_least_one)]
    calls: usize,
    /// Carries the events of this file instead, unauthorized: a JSON array of PDUs, or one PDU on each line
    #[arg(long, value_name = "FILE", conflicts_with = "events")]
    room: Option<PathBuf>,
    /// The file's room version, instead of what its create event says
    #[arg(long, value_name = "VERSION", requires = "room")]
    room_version: Option<String>,
    /// Verify keys of the servers that signed the file's events: {server: {key ID: base64}}
    #[arg(long, value_name = "FILE", requires = "room")]
    keys: Option<PathBuf>,
    /// Prints one JSON document on standard output, and nothing else
    #[arg(long)]
    json: bool,
}

impl Options {
    /// Measured joins over each transport.
    fn joins(&self) -> usize {
        (self.calls / 10).clamp(1, 5)
    }
}

fn at_least_base_events(text: &str) -> Result<usize, String> {
    let number = text.parse().map_err(|_| "is no number".to_owned())?;
    match number {
        LEAST_EVENTS..=1_000_000 => Ok(number),
        _ => Err(format!("a room has {LEAST_EVENTS} to 1000000 events")),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err("is no number from 1 to 1000000".to_owned()),
    }
}

/// Runs the demo. Exit code 0: nothing differs; 1: something does, or could not run; 2: a file, or an entry of it, is no good.
pub(crate) fn main(options: &Options) -> ExitCode {
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(run(options)));
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            eprintln!("comity demo: {error}");
            return ExitCode::from(if error.is::<FileError>() { 2 } else { 1 });
        }
    };
    if options.json {
        let json = serde_json::to_string_pretty(&report).expect("names and numbers are JSON");
        println!("{json}");
    } else {
        print!("{}", report.text());
    }
    for entry in &report.skipped {
        eprintln!("comity demo: left out {entry}");
    }
    ExitCode::from(match (&report.differences[..], &report.skipped[..]) {
        ([], []) => 0,
        ([], _) => 2,
        _ => 1,
    })
}

/// What came of it, over all transports.
struct Outcome {
    room: RoomReport,
    transports: Vec<&'static str>,
    joins: Vec<LargeJoin>,
    calls: Vec<Row>,
    /// Entries of a file that were left out, and why.
    skipped: Vec<String>,
}

async fn run(options: &Options) -> Result<Report, Box<dyn Error>> {
    let begun = Instant::now();
    let announce = Announce::for_output(options.json);
    let joining = Identity::new("joining.demo.example")?;
    let resident = Identity::new("resident.demo.example")?;
    let both = (&joining, &resident);
    let mut findings = Findings::default();
    let outcome = match &options.room {
        Some(path) => imported::run(path, options, both, announce, &mut findings).await?,
        None => room::run(options, both, announce, &mut findings).await?,
    };
    let Findings {
        proven,
        differences,
        unchecked,
    } = findings;
    Ok(Report {
        ok: differences.is_empty() && outcome.skipped.is_empty(),
        room: outcome.room,
        transports: outcome.transports,
        joins: outcome.joins,
        calls: outcome.calls,
        proven,
        unchecked,
        differences,
        skipped: outcome.skipped,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

fn add_key(keys: &mut PublicKeyMap, server: &str, key: &SigningKey) {
    let public = Base64::<Standard>::new(key.verify_key().as_bytes().to_vec());
    keys.entry(server.to_owned())
        .or_default()
        .insert(key.key_id().as_str().to_owned(), public);
}
