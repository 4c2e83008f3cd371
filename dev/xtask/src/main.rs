//! What people who work on Comity run: `cargo xtask <command>`.

mod api_docs;
mod ci;
mod conformance;
mod doc_code;
mod interop;
mod performance;
mod proto;

use std::{env, path::Path, process::ExitCode};

const USAGE: &str = "usage: cargo xtask <command>

commands:
  ci               run every check, as the project's CI does; stop at the first that fails
  ci <step>...     run only these steps; `ci --list` names them
  proto            write the generated code and the descriptors from proto/**/*.proto
  proto --check    fail if they differ from what would be written
  api-docs         write docs/federation-api.md, and the tables in the bindings' documents
  api-docs --check fail if they differ from what would be written
  doc-code         write the Rust blocks of docs/*.md from the files that they name
  doc-code --check fail if they differ from what would be written
  spec-coverage --spec DIR
                   compare the table of operations with a checkout of matrix-org/matrix-spec
  conformance      run the conformance kit over the bindings, and write conformance/RESULTS.md, conformance/results.json and README.md's matrix
  conformance --check
                   fail if they differ from what would be written
  performance DIR  put the performance.md of a report of `comity bench` into docs/performance.md
  performance --part DIR
                   also if it is of a part of the plan, and say so there
  interop          run real homeservers over our gateways: dev/interop/README.md
  interop <word>.. run only the scenarios and parts whose name has one of these words";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["ci", "--list"] => ci::list(),
        ["ci", ref steps @ ..] => ci::run(steps),
        ["proto"] => proto::run(proto::Mode::Write),
        ["proto", "--check"] => proto::run(proto::Mode::Check),
        ["api-docs"] => api_docs::run(proto::Mode::Write),
        ["api-docs", "--check"] => api_docs::run(proto::Mode::Check),
        ["conformance"] => conformance::run(proto::Mode::Write),
        ["conformance", "--check"] => conformance::run(proto::Mode::Check),
        ["spec-coverage", "--spec", directory] => ci::spec_coverage(directory),
        ["performance", folder] => {
            performance::write(&ci::root(), Path::new(folder), performance::Parts::Refused)
        }
        ["performance", "--part", folder] => {
            performance::write(&ci::root(), Path::new(folder), performance::Parts::Allowed)
        }
        ["interop", ref words @ ..] => interop::run(&ci::root(), words),
        ["doc-code"] => doc_code::run(proto::Mode::Write),
        ["doc-code", "--check"] => doc_code::run(proto::Mode::Check),
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
