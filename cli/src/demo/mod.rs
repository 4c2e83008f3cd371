//! `comity demo`: one implementation of the Federation API behind each transport, and proof that they carry the same.
//!
//! `generate` and `file` make the `room`; `house` implements the traits; `servers` puts it behind the transports; `work` is the six
//! operations, which `measure` times; `checks` tries what is not timed; `verdict` judges an event; `report` says it.

mod checks;
mod file;
mod findings;
mod generate;
mod house;
mod measure;
mod progress;
mod report;
mod room;
mod servers;
mod verdict;
mod work;

use std::{error::Error, path::PathBuf, process::ExitCode, sync::Arc, time::Instant};

use clap::Args;
use comity_core::auth::{SigningKey, now_ms};
use ruma_common::serde::{Base64, base64::Standard};
use ruma_signatures::PublicKeyMap;

use file::{FileError, FromFile};
use findings::Findings;
use generate::{LEAST_EVENTS, Signer, generate};
use house::House;
use measure::Plan;
use progress::Announce;
use report::{Report, RoomReport};
use servers::{Identity, Stage};
use work::Errand;

/// What `comity demo` can be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Events in the generated room
    #[arg(long, default_value_t = 20_000, value_name = "N", value_parser = at_least_base_events)]
    events: usize,
    /// Calls of each small operation over each transport; a join is called a tenth as often, five times at most
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = at_least_one)]
    calls: usize,
    /// Carries the events of this file instead: a JSON array of PDUs, or one PDU on each line
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

async fn run(options: &Options) -> Result<Report, Box<dyn Error>> {
    let begun = Instant::now();
    let announce = Announce::for_output(options.json);
    let joining = Identity::new("joining.demo.example")?;
    let resident = Identity::new("resident.demo.example")?;
    let now = now_ms();
    let FromFile {
        room,
        skipped,
        repeated,
    } = make_room(options, &joining, &resident, now, announce)?;
    let room = Arc::new(room);
    let room_report = RoomReport {
        id: room.id.clone(),
        version: room.judge.version().to_string(),
        events: room.events().len(),
        bytes: room
            .events()
            .iter()
            .map(|event| event.pdu.value().as_bytes().len())
            .sum(),
        source: match &options.room {
            Some(path) => path.display().to_string(),
            None => "generated".to_owned(),
        },
        repeated,
    };

    let guest = House::new(joining.name.clone(), joining.key_document()?, None);
    let house = House::new(
        resident.name.clone(),
        resident.key_document()?,
        Some(room.clone()),
    );
    let (join, join_id) = room.join(
        &format!("@guest:{}", joining.name),
        &joining.name,
        &joining.key,
        now,
    )?;
    let stage = Stage::start(joining, resident, guest, house).await?;
    let errand = Arc::new(Errand {
        from: stage.joining.name.clone(),
        to: stage.resident.name.clone(),
        house: stage.house.clone(),
        room,
        join,
        join_id,
        now,
    });

    let mut findings = Findings::default();
    checks::check_events(&stage, &errand, announce, &mut findings).await;
    checks::check_calls(&stage, &errand, announce, &mut findings).await;
    let plan = Plan {
        calls: options.calls,
        joins: (options.calls / 10).clamp(1, 5),
        every_event: options.room.is_some(),
    };
    let calls = measure::measure(&stage, &errand, plan, announce, &mut findings).await;
    let transports = stage.wires.iter().map(|wire| wire.name).collect();
    stage.stop().await;
    let Findings {
        proven,
        differences,
        unchecked,
    } = findings;
    Ok(Report {
        ok: differences.is_empty() && skipped.is_empty(),
        room: room_report,
        transports,
        calls,
        proven,
        unchecked,
        differences,
        skipped,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// The room from the file, or one of the demo's own making. Either way the joining server's key is known, for its join.
fn make_room(
    options: &Options,
    joining: &Identity,
    resident: &Identity,
    now: i64,
    announce: Announce,
) -> Result<FromFile, Box<dyn Error>> {
    let mut keys = match &options.keys {
        Some(path) => file::read_keys(path)?,
        None => PublicKeyMap::new(),
    };
    add_key(&mut keys, joining.name.as_str(), &joining.key);
    if let Some(path) = &options.room {
        return Ok(file::read_room(
            path,
            options.room_version.as_deref(),
            keys,
        )?);
    }
    let mut signers = vec![Signer {
        name: resident.name.clone(),
        key: SigningKey::from_seed(resident.key.key_id().version(), resident.key.expose_seed())?,
    }];
    for name in ["second.demo.example", "third.demo.example:8448"] {
        signers.push(Signer {
            name: name.parse()?,
            key: SigningKey::generate("1")?,
        });
    }
    for signer in &signers {
        add_key(&mut keys, signer.name.as_str(), &signer.key);
    }
    let progress = announce.stage("making and signing events", options.events);
    Ok(FromFile {
        room: generate(options.events, &signers, keys, now, &progress)?,
        skipped: Vec::new(),
        repeated: 0,
    })
}

fn add_key(keys: &mut PublicKeyMap, server: &str, key: &SigningKey) {
    let public = Base64::<Standard>::new(key.verify_key().as_bytes().to_vec());
    keys.entry(server.to_owned())
        .or_default()
        .insert(key.key_id().as_str().to_owned(), public);
}
