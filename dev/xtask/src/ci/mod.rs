//! `cargo xtask ci`: every check of the project, in one process, the same at home and on a CI machine.
//!
//! The order is cheap before dear, and it follows what cargo can reuse: clippy, the documentation and the checks of single features
//! share the metadata of the dependencies; the tests and the examples share their objects. Only the demo is a release build.

mod bench;
mod browser;
mod cargo;
mod command;
mod features;
mod files;
mod graph;
mod licences;
mod published;
mod readme;
mod rules;
mod specification;

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{api_docs, conformance, doc_code, interop, performance, proto};
use command::Command;

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// One check: its name for the command line, what it makes sure of, and how.
struct Step {
    name: &'static str,
    about: &'static str,
    check: fn(&Path) -> Outcome,
}

const STEPS: &[Step] = &[
    Step {
        name: "format",
        about: "the code is formatted",
        check: |root| Command::cargo(root, "fmt --all --check").run(),
    },
    Step {
        name: "files",
        about: "no committed file names a machine; long files are listed; the small example is small",
        check: files::check,
    },
    Step {
        name: "dependencies",
        about: "the workspace's arrows, one crypto provider, one curve crate",
        check: |root| found(rules::check(&cargo::metadata(root)?)),
    },
    Step {
        name: "licences",
        about: "every dependency's licence is on the list",
        check: |root| found(licences::check(&cargo::metadata(root)?)),
    },
    Step {
        name: "proto",
        about: "the generated protobuf code is what the schema gives",
        check: |_| proto::run(proto::Mode::Check),
    },
    Step {
        name: "api-docs",
        about: "docs/federation-api.md and the tables of the bindings' documents are what the table of operations gives",
        check: |_| api_docs::run(proto::Mode::Check),
    },
    Step {
        name: "performance",
        about: "the figures in docs/performance.md stand between their marks and name their command and commit",
        check: performance::check,
    },
    Step {
        name: "doc-code",
        about: "the Rust blocks of docs/*.md are those of files that are compiled",
        check: |_| doc_code::run(proto::Mode::Check),
    },
    Step {
        name: "clippy",
        about: "no warning from rustc or clippy",
        check: |root| Command::cargo(root, "clippy --workspace --all-targets -- -D warnings").run(),
    },
    Step {
        name: "docs",
        about: "no warning from rustdoc",
        check: |root| {
            Command::cargo(root, "doc --workspace --no-deps")
                .env("RUSTDOCFLAGS", "-D warnings")
                .run()
        },
    },
    Step {
        name: "features",
        about: "each cargo feature builds alone",
        check: features::check,
    },
    Step {
        name: "test",
        about: "README.md's test command",
        check: test,
    },
    Step {
        name: "spec-coverage",
        about: "the table of operations is what the Matrix specification describes",
        check: specification::check,
    },
    Step {
        name: "conformance",
        about: "README.md's matrix of operations by bindings is what the conformance kit gives",
        check: check_conformance,
    },
    Step {
        name: "examples",
        about: "each example runs to its end",
        check: run_examples,
    },
    Step {
        name: "browser",
        about: "the gateway's page, as a real browser shows it",
        check: browser::check,
    },
    Step {
        name: "published",
        about: "a crate of someone else builds, and its tests pass, on what our packages hold",
        check: published::check,
    },
    Step {
        name: "demo",
        about: "README.md's demo command",
        check: |root| from_readme(root, "demo"),
    },
    Step {
        name: "bench",
        about: "the comparison of transports measures and reports everything, by the demo's build; no time is asserted",
        check: bench::check,
    },
    Step {
        name: "interop",
        about: "two Synapses federate over our gateways as they do without, also when gRPC breaks",
        check: |root| interop::run(root, &[]),
    },
];

/// Longest run of one example, in which it has to end by itself.
const EXAMPLE_LIMIT: Duration = Duration::from_secs(120);

/// What the conformance kit printed in this run.
const RESULTS: &str = "target/conformance-results.txt";

/// Names the steps.
pub(crate) fn list() -> Outcome {
    for step in STEPS {
        println!("{:<14}{}", step.name, step.about);
    }
    Ok(())
}

/// Runs the steps of these names, or all of them.
pub(crate) fn run(names: &[&str]) -> Outcome {
    if let Some(unknown) = names
        .iter()
        .find(|name| !STEPS.iter().any(|step| step.name == **name))
    {
        return Err(
            format!("there is no step `{unknown}`; `cargo xtask ci --list` names them").into(),
        );
    }
    let root = root();
    // Those of an earlier run say nothing of this one.
    let _ = fs::remove_file(root.join(RESULTS));
    let start = Instant::now();
    for step in STEPS {
        if !names.is_empty() && !names.contains(&step.name) {
            continue;
        }
        println!("ci: {}: {}", step.name, step.about);
        let step_start = Instant::now();
        (step.check)(&root).map_err(|error| format!("ci: {} FAILED: {error}", step.name))?;
        println!("ci: {}: passed in {}", step.name, seconds(step_start));
    }
    println!("ci: all passed in {}", seconds(start));
    Ok(())
}

/// Compares the table with the checkout of the specification in `directory`.
pub(crate) fn spec_coverage(directory: &str) -> Outcome {
    specification::compare(&root(), directory.as_ref())
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask
        .ancestors()
        .nth(2)
        .expect("xtask lies two folders below the workspace's root")
        .to_owned()
}

fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}

/// Findings of a pure check as one error.
fn found(findings: Vec<String>) -> Outcome {
    if findings.is_empty() {
        return Ok(());
    }
    Err(format!("\n  {}", findings.join("\n  ")).into())
}

/// Keeps what the conformance kit prints, which is among the tests.
fn test(root: &Path) -> Outcome {
    let results = root.join(RESULTS);
    if let Some(folder) = results.parent() {
        fs::create_dir_all(folder)?;
    }
    commands_of_readme(root, "test", |command| {
        command.env("COMITY_CONFORMANCE_RESULTS", &results.to_string_lossy())
    })
}

/// Runs the kit only if no test of this run did.
fn check_conformance(root: &Path) -> Outcome {
    match fs::read_to_string(root.join(RESULTS)) {
        Ok(printed) => conformance::compare(proto::Mode::Check, &printed),
        Err(_) => conformance::run(proto::Mode::Check),
    }
}

fn from_readme(root: &Path, mark: &str) -> Outcome {
    commands_of_readme(root, mark, |command| command)
}

fn commands_of_readme(root: &Path, mark: &str, set: impl Fn(Command) -> Command) -> Outcome {
    let readme = fs::read_to_string(root.join("README.md"))?;
    for line in readme::commands(&readme, mark)? {
        set(Command::shell(root, &line)).run()?;
    }
    Ok(())
}

fn run_examples(root: &Path) -> Outcome {
    let metadata = cargo::metadata(root)?;
    for (package, target) in metadata.examples() {
        let arguments = format!("--package {package} --example {}", target.name);
        let features = match &target.required_features[..] {
            [] => String::new(),
            features => format!(" --features {}", features.join(",")),
        };
        // Built apart from the run, so that the limit is on the run alone.
        Command::cargo(root, &format!("build --quiet {arguments}{features}")).run()?;
        Command::cargo(root, &format!("run --quiet {arguments}{features}"))
            .limit(EXAMPLE_LIMIT)
            .run()?;
    }
    Ok(())
}
