//! What Comity's calls cost: `cargo bench -p comity-floors`.
//!
//! Everything is a ratio of CPU time between two things that are measured in turn within one run, because absolute values drift.
//! Prints the table while it is measured and writes it to `dev/floors/RESULTS.md`. A row that fails says so; nothing is tested here.
//! `cargo bench -p comity-floors -- grpc wire` measures these two subjects and writes nothing.
//!
//! | file | subject |
//! | --- | --- |
//! | `ingest` | reading bodies, canonical and not |
//! | `events` | the checks on receipt of one event |
//! | `outgoing` | from stored events to a signed request |
//! | `transactions` | a server's CPU for each verified transaction |
//! | `session` | a server's CPU for a transaction by a session |
//! | `grpc` | a server's CPU for messages and streams over gRPC |
//! | `gateway` | what two gateways between two servers add |
//! | `join` | memory of a client that streams a room's state |
//! | `linear` | how cost grows with the size of what is asked for |
//! | `wire` | bytes on the wire and CPU for each operation and binding |
//! | `ours`, `plain` | the servers |
//! | `process`, `load`, `rounds`, `report`, `setting` | how it is measured and shown |

#![forbid(unsafe_code)]

mod events;
mod gateway;
mod grpc;
mod ingest;
mod join;
mod linear;
mod load;
mod ours;
mod outgoing;
mod plain;
mod process;
mod report;
mod rounds;
mod session;
mod setting;
mod transactions;
mod wire;

use std::time::Instant;

use comity_core::auth::PreparedKeys;
use grpc::servers::{self, Other};
use plain::Answer;
use process::Core;
use report::Report;
use setting::runtime;
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &arguments[..] {
        ["--role", role @ ..] => play(role),
        // `cargo test --all-targets` runs this, too, and wants no timing.
        measured if measured.contains(&"--bench") => {
            measure(
                measured
                    .iter()
                    .filter(|word| !word.starts_with("--"))
                    .copied()
                    .collect(),
            );
        }
        _ => eprintln!("nothing is measured without `cargo bench`"),
    }
}

fn play(role: &[&str]) {
    let core = if role[0].starts_with("join") {
        Core::Client
    } else {
        Core::Server
    };
    process::pin(core);
    let tls = |wire: &str| match wire {
        "tls" => true,
        "plain" => false,
        _ => panic!("no wire {wire:?}"),
    };
    let number = |word: &str| word.parse().expect("the parent writes a number");
    runtime().block_on(async {
        match *role {
            ["ours", wire] => ours::serve(tls(wire), PreparedKeys::default()).await,
            ["ours-plain-checks", wire] => ours::serve(tls(wire), PreparedKeys::new(0)).await,
            ["floor", wire, pdus] => plain::serve(Answer::floor(number(pdus)), tls(wire)).await,
            ["ruma", wire] => plain::serve(Answer::ruma(), tls(wire)).await,
            ["session"] => ours::serve_sessions().await,
            ["grpc"] => servers::serve_ours().await,
            ["tonic"] => servers::serve_other(Other::Tonic { checks: false }, false).await,
            ["tonic-checked", wire] => {
                servers::serve_other(Other::Tonic { checks: true }, tls(wire)).await;
            }
            ["h2"] => servers::serve_other(Other::raw(), false).await,
            ["h2-joins"] => servers::serve_other(Other::joining(), false).await,
            ["gateway", file] => gateway::serve(file).await,
            ["join-linear", port] => linear::read(port.parse().expect("a port")).await,
            _ => panic!("no role {role:?}"),
        }
    });
}

/// Adds its rows to the report.
type Measure = fn(&Runtime, &mut Report);

/// What is measured, in this order.
const SUBJECTS: [(&str, Measure); 10] = [
    ("ingest", |_, report| ingest::measure(report)),
    ("events", |_, report| events::measure(report)),
    ("outgoing", |_, report| outgoing::measure(report)),
    ("transactions", transactions::measure),
    ("session", session::measure),
    ("grpc", grpc::measure),
    ("gateway", gateway::measure),
    ("join", |_, report| join::measure(report)),
    ("linear", linear::measure),
    ("wire", |runtime, report| {
        runtime.block_on(wire::measure(report));
    }),
];

/// Measures these subjects, or all of them and writes the results down.
fn measure(only: Vec<&str>) {
    let names = SUBJECTS.map(|(name, _)| name);
    if let Some(unknown) = only.iter().find(|word| !names.contains(word)) {
        eprintln!("there is no subject `{unknown}`; there are {names:?}");
        std::process::exit(2);
    }
    let begun = Instant::now();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let pinned = process::pin(Core::Client);
    let runtime = runtime();
    let mut report = Report::default();
    let step = |what: &str| eprintln!("[{:>3} s] {what}", begun.elapsed().as_secs());
    for (name, measure) in SUBJECTS {
        if only.is_empty() || only.contains(&name) {
            step(name);
            measure(&runtime, &mut report);
        }
    }
    if !only.is_empty() {
        return;
    }
    report.note(
        "The floor is hyper reading the body, then one ed25519 verification of the same bytes. Ours has every layer of a server: \
         permits, trace, clocks, verification with a key ring, run to end, router. ruma is `ruma-federation-api`: \
         `XMatrix::verify_http_request` and `try_from_http_request` on hyper.",
    );
    report.note(
        "All requests are of one sender, whose key has a table of its multiples from its 16th good signature on (decision 30): a check with it costs half of a plain one. The checks of the floor and of \
         ruma are plain, so ours / floor may be below 1. In the rows without prepared keys ours are plain as well.",
    );
    report.note("An event is checked from its canonical text; its signature alone is one ed25519 verification of the text that was signed. ruma is \
         `ruma-signatures` on a tree read from the same text. The tonic with one field does not look at it; \
         what is signed has to be checked, so the second row beside it is the fair one.");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");
    std::fs::write(path, report.write(cores, pinned)).expect("the results can be written");
    step("done; see dev/floors/RESULTS.md");
}
