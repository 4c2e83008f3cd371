//! `unix/1` beside Comity's own transports: what `comity bench` does, with one more.
//!
//! `cargo run --release -p unix-socket-transport --example compare -- --quick` takes about three minutes and writes `report/index.html`. Without arguments it only lists what would be measured.

// [doc: compare]
#[path = "../tests/harness/mod.rs"]
mod harness;

use std::{env, process::ExitCode, sync::Arc};

use clap::Parser;
use comity_bench::{Options, subject};

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let subjects = || {
        let mut subjects = subject::ours();
        subjects.push(subject::Subject::Together(Arc::new(harness::Unix)));
        subjects
    };
    // What is measured runs in processes of its own, which are this program again.
    if let Some(ended) = comity_bench::child(subjects()) {
        return ended;
    }
    let mut options = Program::parse().options;
    options.list |= env::args().len() == 1;
    comity_bench::main(subjects(), &options)
}
// [end doc]
