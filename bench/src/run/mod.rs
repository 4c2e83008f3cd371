//! One run: what is planned is judged, measured and reported.
//!
//! `gate` has the conformance kit judge a transport, `repetition` measures one cell with one seed, `list` shows the plan.

mod gate;
mod list;
mod repetition;

use std::{
    collections::BTreeSet,
    env, fs, io,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

use crate::{
    machine,
    model::{Cell, Failed, Network, Results, Skipped, Unfinished},
    options::{LEAST_SEEDS, Options, quoted},
    place::{self, Place},
    plan::{Plan, Planned, shuffled},
    progress::Progress,
    report::{self, ReportError},
    subject::Subject,
};
use repetition::Repetition;

/// How a run ends, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Wrong = 1,
    Usage = 2,
    Output = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Compares these transports as the options say, and writes the report. A program that calls it has to call [`child`](crate::child()) first, with the same subjects: both sides of a transport
/// run in processes of their own, which are this program again.
///
/// Not to be called from within an asynchronous runtime. The exit code is 0 if everything was measured; 1 if a transport was refused, a cell failed, or a network was not what it should be; 2
/// if the options are no good; 4 if the report cannot be written.
pub fn main(subjects: Vec<Subject>, options: &Options) -> ExitCode {
    match run(&subjects, options) {
        Ok(code) => code,
        Err((exit, why)) => {
            eprintln!("bench: {why}");
            exit.into()
        }
    }
}

fn run(subjects: &[Subject], options: &Options) -> Result<ExitCode, (Exit, String)> {
    if let Some(results) = &options.report_of {
        let results = report::read(results).map_err(|why| (Exit::Usage, chain(&why)))?;
        write(&results, &options.output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let choice = options.choose(subjects).map_err(|why| (Exit::Usage, why))?;
    let plan = Plan::new(&choice, subjects);
    if options.list {
        print!("{}", list::list(&plan));
        return Ok(ExitCode::SUCCESS);
    }
    if plan.cells.is_empty() {
        let why = "nothing of this is measured; `--list` says why not, and `--all` measures it";
        return Err((Exit::Usage, why.to_owned()));
    }
    // Before the minutes are spent, and not after.
    fs::create_dir_all(&options.output).map_err(|why| {
        let folder = options.output.display();
        (Exit::Output, format!("{folder} cannot be made: {why}"))
    })?;
    // What an earlier run left behind is not to stand beside what there is of this one, should it be ended.
    report::remove(&options.output).map_err(|why| (Exit::Output, chain(&why)))?;
    let results = Run::new(subjects, options, plan).measure();
    write(&results, &options.output)?;
    print!("\n{}", report::short(&results));
    let index = options.output.join("index.html");
    println!("\nThe report: {}", index.display());
    Ok(verdict(&results))
}

fn write(results: &Results, folder: &Path) -> Result<(), (Exit, String)> {
    report::write(results, folder).map_err(|why| (Exit::Output, chain(&why)))
}

/// An error with its cause, if it does not name it itself.
fn chain(error: &ReportError) -> String {
    let text = error.to_string();
    match std::error::Error::source(error).map(ToString::to_string) {
        Some(cause) if !text.contains(&cause) => format!("{text}: {cause}"),
        _ => text,
    }
}

/// Says what is wrong with the results, if anything.
fn verdict(results: &Results) -> ExitCode {
    let mut wrong = Vec::new();
    for refused in results
        .conformance
        .iter()
        .filter(|said| !said.failed.is_empty())
    {
        let failed = refused.failures;
        wrong.push(format!(
            "{} was refused by the conformance kit, {failed} cases failed: {}",
            refused.transport,
            refused.failed.join("; ")
        ));
    }
    for failed in &results.failed {
        wrong.push(format!("{}: {}", in_words(&failed.cell), failed.why));
    }
    for sample in &results.samples {
        if sample.outcome.failures > 0 {
            wrong.push(format!(
                "{}: {} calls failed with seed {}; the first: {}",
                in_words(&sample.cell),
                sample.outcome.failures,
                sample.seed,
                sample.outcome.first_failure.as_deref().unwrap_or("unknown")
            ));
        }
    }
    for check in &results.networks {
        for property in check.measured.iter().filter(|property| !property.passed) {
            wrong.push(format!(
                "the network {} has a {} of {} instead of {}",
                check.network, property.name, property.measured, property.wanted
            ));
        }
    }
    if wrong.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("\nbench: not everything is as it should be:");
    for line in wrong {
        eprintln!("  - {line}");
    }
    Exit::Wrong.into()
}

/// `gRPC, small-query, one-in-flight, 45ms`.
fn in_words(cell: &Cell) -> String {
    let (scenario, flow) = (cell.scenario.name(), cell.flow.name());
    format!("{}, {scenario}, {flow}, {}", cell.transport, cell.network)
}

struct Run<'a> {
    subjects: &'a [Subject],
    options: &'a Options,
    plan: Plan,
    results: Results,
    /// How far it is: cells, and repetitions of them.
    far: Unfinished,
    begun: Instant,
}

impl<'a> Run<'a> {
    fn new(subjects: &'a [Subject], options: &'a Options, mut plan: Plan) -> Self {
        let words: Vec<String> = env::args().skip(1).map(|word| quoted(&word)).collect();
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let results = Results {
            command: format!("comity {}", words.join(" ")),
            began: began.map_or(0, |since| since.as_secs()),
            commit: machine::COMMIT.to_owned(),
            machine: machine::machine(),
            quick: options.quick,
            seeds: plan.seeds.clone(),
            skipped: std::mem::take(&mut plan.skipped),
            ..Results::default()
        };
        Self {
            subjects,
            options,
            plan,
            results,
            far: Unfinished {
                cells: 0,
                of_cells: 0,
                repetitions: 0,
                of_repetitions: 0,
            },
            begun: Instant::now(),
        }
    }

    fn measure(mut self) -> Results {
        let (cells, seeds) = (self.plan.cells.len(), self.plan.seeds.len());
        eprintln!(
            "{cells} cells, each {seeds} times: {} and the conformance kit before; {} cells are left out (--list says which and why)",
            self.plan.estimate_in_words(),
            self.results.skipped.len()
        );
        eprintln!("this program was built from commit {}", machine::COMMIT);
        if (seeds as u64) < LEAST_SEEDS {
            eprintln!("with fewer than {LEAST_SEEDS} repetitions the spread says little");
        }
        self.judge();
        let mut progress = Progress::lasting(self.plan.estimate());
        let planned = std::mem::take(&mut self.plan.cells);
        self.far.of_cells = planned.len() as u64;
        self.far.of_repetitions = (planned.len() * seeds) as u64;
        let mut networks: Vec<Network> = Vec::new();
        for cell in &planned {
            if !networks.contains(&cell.work.network) {
                networks.push(cell.work.network);
            }
        }
        for network in networks {
            let mut here: Vec<&Planned> = planned.iter().collect();
            here.retain(|cell| cell.work.network == network);
            self.measure_on(&network, &here, &mut progress);
        }
        drop(progress);
        self.results.unfinished = None;
        self.results.machine.load.1 = machine::load();
        self.results.seconds = self.begun.elapsed().as_secs_f64();
        self.results
    }

    /// Lets the kit judge every transport that is planned. The cells of those that are refused are left out.
    fn judge(&mut self) {
        for (place, subject) in self.subjects.iter().enumerate() {
            if !self.plan.cells.iter().any(|cell| cell.subject == place) {
                continue;
            }
            let said = gate::judge(subject);
            if !said.failed.is_empty() {
                let why = "the transport was refused by the conformance kit";
                let (refused, admitted) = std::mem::take(&mut self.plan.cells)
                    .into_iter()
                    .partition::<Vec<_>, _>(|cell| cell.subject == place);
                self.plan.cells = admitted;
                let refused = refused.into_iter().map(|planned| Skipped {
                    cell: planned.cell,
                    why: why.to_owned(),
                });
                self.results.skipped.extend(refused);
            }
            self.results.conformance.push(said);
        }
    }

    /// Measures all cells of one network: seed by seed, what is done in an order that the seed draws, and of each the transports side by side, so that what slows the machine down for a while
    /// slows all of them.
    fn measure_on(&mut self, network: &Network, cells: &[&Planned], progress: &mut Progress) {
        let apart =
            |planned: &&Planned| matches!(self.subjects[planned.subject], Subject::Apart(_));
        // Only those with a wire need a network.
        let mut opens = false;
        if cells.iter().any(apart) {
            progress.now(&format!("{}: the network's own test", network.name));
            let check = place::check(network, !self.options.no_emulation, self.plan.seeds[0]);
            opens = place::opens(&check);
            if let Some(note) = &check.note {
                progress.say(&format!("network {}: {note}", network.name));
            }
            self.results.networks.push(check);
        }
        let mut groups: Vec<Vec<&Planned>> = Vec::new();
        for planned in cells {
            let work = &planned.work;
            let same = |group: &Vec<&Planned>| {
                let other = &group[0].work;
                (other.scenario, other.flow) == (work.scenario, work.flow)
            };
            match groups.iter_mut().find(|group| same(group)) {
                Some(group) => group.push(planned),
                None => groups.push(vec![planned]),
            }
        }
        let mut shaken = BTreeSet::new();
        for (place, seed) in self.plan.seeds.clone().into_iter().enumerate() {
            let mut greeted = BTreeSet::new();
            for (number, group) in (seed << 32..).zip(shuffled(groups.clone(), seed)) {
                for planned in shuffled(group, number) {
                    let what = in_words(&planned.cell);
                    progress.now(&format!(
                        "{what}, {} of {}",
                        place + 1,
                        self.plan.seeds.len()
                    ));
                    if !shaken.contains(&planned.cell) {
                        let first = greeted.insert(planned.subject);
                        let done = self.repeat(planned, seed, opens, first);
                        // Once more: what else the machine did may have been too much for it.
                        let done = done.or_else(|first_why| {
                            progress.say(&format!("{what}: {first_why}; once more"));
                            let again = self.repeat(planned, seed, opens, first);
                            if again.is_ok()
                                && let Some(sample) = self.results.samples.last_mut()
                            {
                                sample.retried = Some(first_why.clone());
                            }
                            again.map_err(|why| match why == first_why {
                                true => format!("{why} (twice)"),
                                false => format!("{why} (and at first: {first_why})"),
                            })
                        });
                        if let Err(why) = done {
                            progress.say(&format!("{what}: {why}"));
                            // With another seed it would be no better, and it may take long to fail.
                            shaken.insert(planned.cell.clone());
                            self.results.failed.push(Failed {
                                cell: planned.cell.clone(),
                                seed,
                                command: self.options.command_of(&planned.cell, seed),
                                why,
                            });
                        }
                    }
                    progress.done(planned.estimate, &what);
                }
            }
            self.far.repetitions += cells.len() as u64;
            if place + 1 == self.plan.seeds.len() {
                self.far.cells += cells.len() as u64;
            }
            self.keep(progress);
        }
    }

    /// Writes what there is so far, for `--report-of`, should the run be ended, with a mark that it is unfinished. It replaces the file at once, so that none is ever half written.
    fn keep(&mut self, progress: &mut Progress) {
        self.results.machine.load.1 = machine::load();
        self.results.seconds = self.begun.elapsed().as_secs_f64();
        self.results.unfinished = Some(self.far);
        let file = self.options.output.join("results.json");
        let new = self.options.output.join("results.json.new");
        let text = serde_json::to_string(&self.results).map_err(io::Error::from);
        let kept = text
            .and_then(|text| fs::write(&new, text))
            .and_then(|()| fs::rename(&new, &file));
        if let Err(why) = kept {
            progress.say(&format!("{} cannot be written: {why}", file.display()));
        }
    }

    fn repeat(
        &mut self,
        planned: &Planned,
        seed: u64,
        opens: bool,
        handshake: bool,
    ) -> Result<(), String> {
        let subject = &self.subjects[planned.subject];
        let network = &planned.work.network;
        let place = match subject {
            // A network of its own for each, so that a seed means the same losses to all. What could be opened for the check has to open again: on the host's loopback other bytes are counted.
            Subject::Apart(_) if opens => {
                Place::open(network, seed).map_err(|why| why.to_string())?
            }
            Subject::Apart(_) | Subject::Together(_) => Place::Host,
        };
        let delayed = network.delay > 0.0 && matches!(place, Place::Host);
        let sample = Repetition {
            subject,
            cell: &planned.cell,
            work: &planned.work,
            place: &place,
            delayed,
            seed,
            handshake,
        }
        .measure(self.options.command_of(&planned.cell, seed));
        self.results
            .samples
            .push(sample.map_err(|why| why.to_string())?);
        Ok(())
    }
}

/// How long a child may take for what takes no time: starting, listening, a mark.
const PATIENCE: Duration = Duration::from_secs(30);
