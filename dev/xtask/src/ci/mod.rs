//! `cargo xtask ci`: every check of the project, in one process, the same at home and on a CI machine.
//!
//! The order is cheap before dear, and it follows what cargo can reuse: clippy, the documentation and the checks of single features
//! share the metadata of the dependencies; the tests, the examples, the page in the browser and the program between the two Synapses share one
//! build, so they are all built as parts of the workspace: alone each would have other features, and its dependencies would be built again. The demo and
//! the comparison share the one release build. What waits for the network alone is done beside what comes before it.

mod bench;
mod browser;
mod cargo;
mod command;
mod features;
mod files;
mod graph;
mod licences;
mod preparation;
mod published;
mod readme;
mod rules;
mod specification;
mod times;

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{api_docs, conformance, doc_code, interop, performance, proto};
use command::Command;
pub(crate) use preparation::GivenUp;
use preparation::{Preparation, Prepare};
use times::Times;

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// One check: its name for the command line, what it makes sure of, and how.
struct Step {
    name: &'static str,
    about: &'static str,
    check: fn(&Path) -> Outcome,
    /// What can be done beside the steps before, because it waits for the network. The check finds it done.
    before: Option<Prepare>,
}

impl Step {
    const fn new(name: &'static str, about: &'static str, check: fn(&Path) -> Outcome) -> Self {
        Self {
            name,
            about,
            check,
            before: None,
        }
    }

    const fn before(mut self, before: Prepare) -> Self {
        self.before = Some(before);
        self
    }
}

const STEPS: &[Step] = &[
    Step::new("format", "the code is formatted", |root| {
        Command::cargo(root, "fmt --all --check").run()
    }),
    Step::new(
        "files",
        "no committed file names a machine; long files are listed; the small example is small",
        files::check,
    ),
    Step::new(
        "dependencies",
        "the workspace's arrows, one crypto provider, one curve crate",
        |root| found(rules::check(&cargo::metadata(root)?)),
    ),
    Step::new(
        "licences",
        "every dependency's licence is on the list",
        |root| found(licences::check(&cargo::metadata(root)?)),
    ),
    Step::new(
        "proto",
        "the generated protobuf code is what the schema gives",
        |_| proto::run(proto::Mode::Check),
    ),
    Step::new(
        "api-docs",
        "docs/federation-api.md and the tables of the bindings' documents are what the table of operations gives",
        |_| api_docs::run(proto::Mode::Check),
    ),
    Step::new(
        "performance",
        "the figures in docs/performance.md stand between their marks, name their command and commit, and are of a whole run or say that they are not",
        performance::check,
    ),
    Step::new(
        "doc-code",
        "the Rust blocks of docs/*.md are those of files that are compiled",
        |_| doc_code::run(proto::Mode::Check),
    ),
    Step::new("clippy", "no warning from rustc or clippy", |root| {
        Command::cargo(root, "clippy --workspace --all-targets -- -D warnings").run()
    }),
    Step::new("docs", "no warning from rustdoc", |root| {
        Command::cargo(root, "doc --workspace --no-deps")
            .env("RUSTDOCFLAGS", "-D warnings")
            .run()
    }),
    Step::new(
        "features",
        "each cargo feature, and each package with examples, builds alone",
        features::check,
    ),
    Step::new("test", "README.md's test command", test),
    Step::new(
        "spec-coverage",
        "the table of operations is what the Matrix specification describes",
        specification::check,
    ),
    Step::new(
        "conformance",
        "README.md's matrix of operations by bindings is what the conformance kit gives",
        check_conformance,
    ),
    Step::new("examples", "each example runs to its end", run_examples),
    Step::new(
        "browser",
        "the gateway's page, as a real browser shows it",
        browser::check,
    ),
    Step::new(
        "published",
        "a crate of someone else builds, and its tests pass, on what our packages hold",
        published::check,
    ),
    Step::new(
        "demo",
        "README.md's demo command; `.ci/run` builds it without the link-time optimiser",
        |root| from_readme(root, "demo"),
    ),
    Step::new(
        "bench",
        "the comparison of transports measures and reports everything, by the demo's build; no time is asserted",
        bench::check,
    ),
    Step::new(
        "interop",
        "two Synapses federate over our gateways as they do without, also when gRPC breaks",
        run_interop,
    )
    .before(interop::prepare),
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
    let steps: Vec<&Step> = STEPS
        .iter()
        .filter(|step| names.is_empty() || names.contains(&step.name))
        .collect();
    let mut times = Times::begin();
    let outcome = run_steps(&root, &steps, &mut times);
    print!("{times}");
    outcome
}

/// Runs the steps in order, up to the first that fails. What is being prepared for those behind it is given up then, so that the failure is told at once.
fn run_steps(root: &Path, steps: &[&Step], times: &mut Times) -> Outcome {
    let begin = |step: &&Step| step.before.map(|before| Preparation::begin(root, before));
    let preparations: Vec<_> = steps.iter().map(begin).collect();
    for (step, preparation) in steps.iter().zip(preparations) {
        println!("ci: {}: {}", step.name, step.about);
        let begun = Instant::now();
        let prepared = preparation.map_or(Ok(()), Preparation::finish);
        let outcome = prepared
            .map_err(Into::into)
            .and_then(|()| (step.check)(root));
        let took = times.took(step.name, begun);
        outcome.map_err(|error| format!("ci: {} FAILED: {error}", step.name))?;
        println!("ci: {}: passed in {took}", step.name);
    }
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

/// Builds what the tests have built: the examples and the program, which have the tests' dependencies, feature by feature, if they are asked for together.
fn build_as_tests(root: &Path) -> Outcome {
    Command::cargo(root, "build --workspace --bin comity --examples").run()
}

fn run_examples(root: &Path) -> Outcome {
    build_as_tests(root)?;
    let metadata = cargo::metadata(root)?;
    for (package, target) in metadata.examples() {
        let mut program = metadata.target_directory.join("debug/examples");
        program.push(&target.name);
        if !target.required_features.is_empty() {
            let features = target.required_features.join(",");
            let arguments = format!("--package {package} --example {}", target.name);
            Command::cargo(root, &format!("build {arguments} --features {features}")).run()?;
        }
        // `exec`, so that what is ended at the limit is the program.
        Command::shell(root, &format!("exec \"{}\"", program.display()))
            .limit(EXAMPLE_LIMIT)
            .run()?;
    }
    Ok(())
}

fn run_interop(root: &Path) -> Outcome {
    build_as_tests(root)?;
    let program = cargo::metadata(root)?.target_directory.join("debug/comity");
    interop::run_program(root, &program, &[])
}

#[cfg(test)]
mod tests {
    use std::{
        process,
        sync::atomic::{AtomicBool, Ordering},
    };

    use super::*;

    const PASSES: Step = Step::new("passes", "", |_| Ok(()));
    const FAILS: Step = Step::new("fails", "", |_| Err("the reason".into()));

    /// Whether what would take minutes was killed.
    static WAS_KILLED: AtomicBool = AtomicBool::new(false);

    fn slow(_: &Path, given_up: &GivenUp) -> Outcome {
        let mut child = process::Command::new("sleep").arg("120").spawn()?;
        let ended = given_up.wait(&mut child)?;
        WAS_KILLED.store(!ended.success(), Ordering::SeqCst);
        Err("given up".into())
    }

    fn run(steps: &[&Step]) -> Result<(), String> {
        let outcome = run_steps(Path::new("."), steps, &mut Times::begin());
        outcome.map_err(|error| error.to_string())
    }

    #[test]
    fn a_failure_does_not_wait_for_what_is_prepared_for_later_steps() {
        let later = Step::new("later", "", |_| Ok(())).before(slow);
        let begun = Instant::now();
        let error = run(&[&PASSES, &FAILS, &later]).unwrap_err();
        assert_eq!(error, "ci: fails FAILED: the reason");
        assert!(begun.elapsed() < Duration::from_secs(60));
        assert!(WAS_KILLED.load(Ordering::SeqCst));
    }

    #[test]
    fn a_step_waits_for_its_preparation_and_fails_with_it() {
        static IS_PREPARED: AtomicBool = AtomicBool::new(false);
        fn quick(_: &Path, given_up: &GivenUp) -> Outcome {
            let mut child = process::Command::new("sleep").arg("0.2").spawn()?;
            let ended = given_up.wait(&mut child)?;
            IS_PREPARED.store(ended.success(), Ordering::SeqCst);
            Ok(())
        }
        let prepared = Step::new("prepared", "", |_| {
            let is_prepared = IS_PREPARED.load(Ordering::SeqCst);
            is_prepared.then_some(()).ok_or("it came too early".into())
        });
        assert_eq!(run(&[&PASSES, &prepared.before(quick)]), Ok(()));
        let broken = Step::new("broken", "", |_| Ok(())).before(|_, _| Err("no network".into()));
        let error = run(&[&PASSES, &broken]).unwrap_err();
        assert_eq!(error, "ci: broken FAILED: no network");
        let panics = Step::new("panics", "", |_| Ok(())).before(|_, _| panic!("oh"));
        let error = run(&[&panics]).unwrap_err();
        assert!(error.contains("panicked"), "{error}");
    }
}
