//! Whole runs, small ones.

use std::{path::Path, process::ExitCode};

use clap::Parser;
use comity_bench::{
    Options,
    model::{Emulation, Results},
    report,
    subject::Subject,
};
use tempfile::TempDir;

use crate::subjects;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    options: Options,
}

/// A run with these arguments: its exit code, and the folder with its report.
fn run(arguments: &[&str]) -> (u8, TempDir) {
    let arguments = [&["--no-emulation"], arguments].concat();
    run_of(subjects::all(), &arguments)
}

fn run_of(subjects: Vec<Subject>, arguments: &[&str]) -> (u8, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().to_str().unwrap();
    let begin = ["bench", "--output", output];
    let options = Program::parse_from(begin.iter().chain(arguments)).options;
    let code = comity_bench::main(subjects, &options);
    let code = (0..=u8::MAX).find(|number| code == ExitCode::from(*number));
    (code.unwrap(), folder)
}

fn results(folder: &TempDir) -> Results {
    report::read(&folder.path().join("results.json")).unwrap()
}

const SHORT: [&str; 8] = [
    "--scenarios",
    "small-query",
    "--flows",
    "one-in-flight",
    "--networks",
    "loopback",
    "--seconds",
    "0.2",
];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    SHORT.iter().copied().chain(more.iter().copied()).collect()
}

pub fn measured() {
    let (code, folder) = run(&with(&["--transports", "HTTP/2", "gRPC", "--seeds", "2"]));
    assert_eq!(code, 0);
    let results = results(&folder);
    assert_eq!(results.seeds, [1, 2]);
    assert_eq!(results.samples.len(), 4);
    assert_eq!(results.unfinished, None);
    let commit = results.commit.trim_end_matches("-dirty");
    let hexadecimal = commit.chars().all(|c| c.is_ascii_hexdigit());
    // A checkout of git has `.git`, as a folder or, of a worktree, as a file. An archive of the sources has none.
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.git");
    let may_be_unknown = commit == "unknown" && !checkout.exists();
    assert!(
        may_be_unknown || (commit.len() == 40 && hexadecimal),
        "{commit}: built in a checkout; is git there, and is this folder safe to it (`safe.directory`)?"
    );
    for sample in &results.samples {
        let outcome = &sample.outcome;
        assert!(outcome.calls > 0, "{sample:?}");
        assert_eq!(outcome.failures, 0, "{sample:?}");
        assert!(outcome.seconds > 0.0 && !outcome.latencies.is_empty());
        for process in [Some(sample.client), sample.server] {
            let process = process.unwrap();
            assert!(process.cpu > 0.0, "{process:?}");
            assert!(process.idle > 0 && process.peak >= process.idle);
        }
        let wire = sample.wire.unwrap();
        assert!(wire.sent > 0 && wire.received > 0, "{wire:?}");
        assert_eq!(wire.packets_sent, None);
        let handshake = sample.handshake.unwrap();
        assert!(handshake.seconds > 0.0 && handshake.client_cpu > 0.0);
        assert!(handshake.server_cpu.unwrap() > 0.0);
        assert_eq!(sample.emulation, Emulation::None);
        assert_eq!((sample.drops, sample.retried.as_deref()), (None, None));
        // Of the host's segments nobody knows whose they are.
        assert_eq!(sample.resent.unwrap().segments, None);
        // TLS 1.3 with a certificate cannot do with less.
        assert!(handshake.bytes.unwrap() > 500, "{handshake:?}");
        let of = format!("--networks loopback --seed {}", sample.seed);
        assert!(sample.command.contains(&of), "{}", sample.command);
    }
    let exempt = results
        .conformance
        .iter()
        .filter(|said| said.exempt.is_some());
    assert_eq!(exempt.count(), 2);
    assert!(folder.path().join("index.html").exists());
}

pub fn made_again() {
    let (code, folder) = run(&with(&["--transports", "gRPC", "--seeds", "1"]));
    assert_eq!(code, 0);
    let file = folder.path().join("results.json");
    let (code, again) = run(&["--report-of", file.to_str().unwrap()]);
    assert_eq!(code, 0);
    assert_eq!(results(&again).samples.len(), 1);
    assert!(again.path().join("samples.csv").exists());
    let (code, _) = run(&["--report-of", "no-such-file.json"]);
    assert_eq!(code, 2);
    let index = folder.path().join("index.html");
    let (code, _) = run(&["--report-of", index.to_str().unwrap()]);
    assert_eq!(code, 2);
}

pub fn refused() {
    let (code, folder) = run(&with(&["--transports", "deaf", "gRPC", "--seeds", "1"]));
    assert_eq!(code, 1);
    let results = results(&folder);
    let said = results
        .conformance
        .iter()
        .find(|said| said.transport == "deaf");
    let said = said.unwrap();
    assert!(
        !said.failed.is_empty() && said.failed.len() <= 20,
        "{said:?}"
    );
    assert!(said.failures >= said.failed.len() as u64, "{said:?}");
    assert!(said.failed[0].starts_with("deaf: "), "{said:?}");
    let measured: Vec<&str> = results
        .samples
        .iter()
        .map(|sample| &*sample.cell.transport)
        .collect();
    assert_eq!(measured, ["gRPC"]);
    let skipped: Vec<_> = results
        .skipped
        .iter()
        .map(|skipped| (&*skipped.cell.transport, &*skipped.why))
        .collect();
    assert_eq!(
        skipped,
        [("deaf", "the transport was refused by the conformance kit")]
    );
}

pub fn failing() {
    let (code, folder) = run(&with(&[
        "--transports",
        "dies",
        "hangs",
        "gRPC",
        "--seeds",
        "2",
    ]));
    assert_eq!(code, 1);
    let results = results(&folder);
    let failed = |name: &str| {
        let of = results
            .failed
            .iter()
            .filter(|failed| failed.cell.transport == name);
        let why: Vec<&str> = of.map(|failed| &*failed.why).collect();
        // With the other seed it is not tried.
        assert_eq!(why.len(), 1, "{:?}", results.failed);
        why[0]
    };
    let dies = failed("dies");
    assert!(dies.contains("the server ended (exit status: 7)"), "{dies}");
    assert!(dies.contains("the cable is unplugged"), "{dies}");
    let hangs = failed("hangs");
    assert!(hangs.contains("had not answered after"), "{hangs}");
    for why in [dies, hangs] {
        assert!(why.contains("twice") || why.contains("at first"), "{why}");
    }
    let measured: Vec<&str> = results
        .samples
        .iter()
        .map(|sample| &*sample.cell.transport)
        .collect();
    assert_eq!(measured, ["gRPC", "gRPC"]);
}

pub fn delayed() {
    let (code, folder) = run(&[
        "--transports",
        "gRPC",
        "--scenarios",
        "small-query",
        "--flows",
        "one-in-flight",
        "--networks",
        "45ms",
        "--seconds",
        "0.4",
        "--seed",
        "3",
        "--all",
    ]);
    assert_eq!(code, 0);
    let results = results(&folder);
    assert_eq!(results.networks.len(), 1);
    assert_eq!(results.networks[0].emulation, Emulation::InProcess);
    let note = results.networks[0].note.as_deref().unwrap();
    assert!(note.contains("neither loss nor rate"), "{note}");
    assert_eq!(results.samples.len(), 1);
    assert_eq!(results.samples[0].seed, 3);
    assert_eq!(results.samples[0].wire.unwrap().packets_sent, None);
    assert_eq!(results.samples[0].emulation, Emulation::InProcess);
    // 45 ms there and back; a timer is never early.
    let (least, _) = results.samples[0].outcome.latencies[0];
    assert!(least >= 89_000, "{least} µs");
    assert!(results.samples[0].command.contains("--no-emulation"));
}

/// Where it can be. Whether the network is exact is not asked: that is the exit code's 1.
pub fn emulated() {
    let (code, folder) = run_of(
        subjects::all(),
        &[
            "--transports",
            "HTTP/2",
            "--scenarios",
            "small-query",
            "--flows",
            "one-in-flight",
            "--networks",
            "25ms-2%",
            "--seconds",
            "0.4",
            "--seed",
            "1",
            "--all",
        ],
    );
    assert!(code < 2, "{code}");
    let results = results(&folder);
    assert_eq!(results.samples.len(), 1, "{:?}", results.failed);
    let sample = &results.samples[0];
    let check = &results.networks[0];
    assert_eq!(sample.emulation, check.emulation);
    assert_eq!(sample.outcome.failures, 0, "{sample:?}");
    let emulated = check.emulation == Emulation::Tun;
    assert_eq!(sample.drops.is_some(), emulated);
    assert_eq!(sample.wire.unwrap().packets_sent.is_some(), emulated);
    assert_eq!(sample.resent.unwrap().segments.is_some(), emulated);
    if !emulated {
        println!("not emulated here: {:?}", check.note);
    }
}

pub fn two_of_one_name() {
    let mut subjects = subjects::all();
    subjects.extend(subjects::all().into_iter().take(1));
    let (code, folder) = run_of(subjects, &SHORT);
    assert_eq!(code, 2);
    assert!(!folder.path().join("results.json").exists());
}

pub fn unknown_names() {
    for arguments in [
        ["--transports", "HTTP/4"],
        ["--scenarios", "small"],
        ["--networks", "loopback,moon"],
        ["--flows", "none"],
    ] {
        let (code, folder) = run(&arguments);
        assert_eq!(code, 2, "{arguments:?}");
        assert!(!folder.path().join("results.json").exists());
    }
}
