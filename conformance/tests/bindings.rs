//! The kit over the bindings of this workspace: `cargo test -p comity-conformance --test bindings -- "grpc/1: "`.
//!
//! With `COMITY_CONFORMANCE_RESULTS=path`, what is printed is written to that file as well, for `cargo xtask ci`.

#[path = "harnesses/mod.rs"]
mod harnesses;

use std::{env, fs};

use comity_conformance::{equivalence, samples, suite};
use comity_core::transport::MemoryMode;
use harnesses::{Binding, Memory, Network};
use libtest_mimic::Arguments;

/// Each binding by itself, and a way that changes it twice.
const NETWORKS: [Network; 5] = [
    Network(&[Binding::Http1]),
    Network(&[Binding::Http2]),
    Network(&[Binding::Grpc]),
    Network(&[Binding::GrpcInvoke]),
    Network(&[Binding::Http1, Binding::Grpc, Binding::Http2]),
];

fn main() {
    let samples = samples();
    let plain = Memory(MemoryMode::ThroughCodec);
    let mut trials = suite(Memory(MemoryMode::ByValue), &samples);
    trials.extend(suite(plain, &samples));
    for network in NETWORKS {
        trials.extend(suite(network, &samples));
        trials.extend(equivalence(plain, network, &samples));
    }
    let mut arguments = Arguments::from_args();
    if let Ok(path) = env::var("COMITY_CONFORMANCE_RESULTS") {
        arguments.logfile = Some(path);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(path) = &arguments.logfile {
        print!(
            "{}",
            fs::read_to_string(path).expect("the log file was written")
        );
    }
    conclusion.exit();
}
