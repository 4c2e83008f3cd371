//! What people who work on Comity run: `cargo run -p xtask -- <command>`.

mod proto;

use std::{env, process::ExitCode};

const USAGE: &str = "usage: cargo run -p xtask -- <command>

commands:
  proto            write the generated code and the descriptors from proto/**/*.proto
  proto --check    fail if they differ from what would be written";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["proto"] => proto::run(proto::Mode::Write),
        ["proto", "--check"] => proto::run(proto::Mode::Check),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
