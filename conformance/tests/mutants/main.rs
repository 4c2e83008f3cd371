//! Whether the kit notices: transports with a fault each, seeded on purpose. A mutant that passes the kit is a case that the kit lacks.
//!
//! `cargo test -p comity-conformance --test mutants` ends with a table of the cases that killed each mutant: the first [`ENOUGH`], as far
//! as they come within [`MORE`] cases of the first. They stand before a binding that passes the kit, and that is tried as well.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod mutated;
mod replies;
mod requests;

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{Arc, Mutex},
    thread::available_parallelism,
    time::Duration,
};

use bytes::Bytes;
use comity_conformance::{AnySample, Case, Verdict, cases, equivalence_cases, samples};
use comity_core::{
    call::{Call, Message, Reply},
    error::CallError,
    json::Object,
};
use libtest_mimic::{Arguments, Failed, Trial};
use mutated::{Act, Fault, Mutated};

/// So many cases that kill a mutant are told.
const ENOUGH: usize = 4;

/// So many cases are tried once a mutant is dead.
const MORE: usize = 40;

/// Operations of every shape, key and authentication: each mutant meets these. A binding meets all.
const OPERATIONS: [&str; 7] = [
    "GetVersion",
    "SendTransaction",
    "Backfill",
    "GetMissingEvents",
    "SendJoin",
    "ClaimKeys",
    "DownloadMedia",
];

/// So many mutants are tried at once for each core. For two thirds of their time they wait: for what a fault keeps from coming, or until a call would be repeated.
const AT_ONCE: usize = 3;

/// What a fault keeps from coming is waited for in vain: so long, and not as long as for a binding that may be in order.
const PATIENCE: Duration = Duration::from_secs(4);

/// So often a case is tried anew that a busy machine may have failed.
const TRIES: usize = 3;

/// A fault and its name.
#[derive(Clone, Copy)]
struct Mutant {
    name: &'static str,
    fault: Fault,
}

/// Most characters of a case's words in the table.
const WORDS: usize = 90;

/// The cases that killed each mutant, the first with what it said.
type Table = Mutex<BTreeMap<&'static str, Vec<String>>>;

fn main() {
    let table: Arc<Table> = Arc::default();
    let mutants = [requests::MUTANTS, replies::MUTANTS].concat();
    let mut trials = vec![Trial::test("the binding that is in order passes", in_order)];
    trials.push(Trial::test("the comparison notices a difference", || {
        is_different("drops unknown members of a reply")
    }));
    trials.extend(mutants.into_iter().map(|mutant| {
        let table = table.clone();
        Trial::test(mutant.name, move || is_killed(mutant, &table))
    }));
    let mut arguments = Arguments::from_args();
    let cores = available_parallelism().map_or(1, NonZero::get);
    arguments.test_threads.get_or_insert(AT_ONCE * cores);
    let conclusion = libtest_mimic::run(&arguments, trials);
    print_table(&table.lock().unwrap());
    conclusion.exit();
}

fn of_mutants() -> Vec<AnySample> {
    let mut chosen = samples();
    chosen.retain(|sample| OPERATIONS.contains(&sample.operation().spec().name));
    assert_eq!(
        chosen.len(),
        OPERATIONS.len(),
        "an operation is not in the table"
    );
    chosen
}

/// Words of the cases that take longest: seldom needed, and so tried last.
const LONG: [&str; 5] = [
    "every errcode",
    "odd bodies",
    "limit: ",
    "back pressure",
    "large",
];

/// Cases about the binding as a whole first: one of them is often enough.
fn in_turn(mutated: Mutated) -> Vec<Case> {
    let mut cases = cases(mutated, &of_mutants());
    cases.reverse();
    cases.sort_by_key(|case| LONG.iter().any(|word| case.name().contains(word)));
    cases
}

fn in_order() -> Result<(), Failed> {
    let mut failed = Vec::new();
    for case in in_turn(Mutated::new("in order", Fault::Nothing)) {
        let name = case.name().to_owned();
        if let Verdict::Failed(why) = case.run() {
            failed.push(format!("{name}: {why}"));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(failed.join("\n").into())
}

/// What the case found wrong with a call. That it panicked, or had no server, says nothing of one.
fn found(case: Case) -> Option<String> {
    let Verdict::Failed(why) = case.run() else {
        return None;
    };
    let of_the_kit = ["it panicked", "no server was set up"];
    let found = !of_the_kit.iter().any(|words| why.starts_with(words));
    found.then_some(why)
}

/// The cases of a mutant, or of the same binding with another fault: the same ones in the same order.
fn impatient(mutant: Mutant, fault: Fault) -> Vec<Case> {
    in_turn(Mutated::new(mutant.name, fault).with_patience(PATIENCE))
}

/// What a case finds wrong with a mutant, counted if the case passes right afterwards without the fault. A busy machine can keep something from coming, too.
fn found_in(mutant: Mutant, at: usize, mut case: Case) -> Option<String> {
    let again = |fault| impatient(mutant, fault).remove(at);
    for _ in 0..TRIES {
        let why = found(case)?;
        let without = again(Fault::Nothing);
        if without.run() == Verdict::Passed {
            return Some(why);
        }
        case = again(mutant.fault);
    }
    None
}

/// One line that a table can hold.
fn in_short(why: &str) -> String {
    let line = why.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.replace('|', "/").chars().take(WORDS).collect();
    if short.len() < line.len() {
        return format!("{short} ..");
    }
    short
}

/// A mutant beside the binding in order: a comparison that always says equal is none.
fn is_different(name: &'static str) -> Result<(), Failed> {
    let right = Mutated::new("in order", Fault::Nothing);
    let mutants = [requests::MUTANTS, replies::MUTANTS].concat();
    let mutant = mutants.into_iter().find(|mutant| mutant.name == name);
    let fault = mutant.ok_or("there is no such mutant")?.fault;
    let cases = equivalence_cases(right, Mutated::new(name, fault), &of_mutants());
    if cases.into_iter().any(|case| found(case).is_some()) {
        return Ok(());
    }
    Err("the two are said to be the same".into())
}

fn is_killed(mutant: Mutant, table: &Table) -> Result<(), Failed> {
    let mut killers = Vec::new();
    let mut more = MORE;
    let cases = impatient(mutant, mutant.fault);
    for (at, case) in cases.into_iter().enumerate() {
        let prefix = format!("{}: ", mutant.name);
        let name = case.name().trim_start_matches(&prefix).to_owned();
        if let Some(why) = found_in(mutant, at, case) {
            killers.push(match killers.is_empty() {
                true => format!("{name} ({})", in_short(&why)),
                false => name,
            });
        }
        if killers.len() == ENOUGH || more == 0 {
            break;
        }
        if !killers.is_empty() {
            more -= 1;
        }
    }
    let survived = killers.is_empty();
    table.lock().unwrap().insert(mutant.name, killers);
    if survived {
        return Err("it passes the kit".into());
    }
    Ok(())
}

fn print_table(table: &BTreeMap<&str, Vec<String>>) {
    println!("| mutant | killed by |\n| --- | --- |");
    for (mutant, killers) in table {
        let killers = match &killers[..] {
            [] => "nothing: it survives".to_owned(),
            killers => killers.join("; "),
        };
        println!("| {mutant} | {killers} |");
    }
    println!();
}

/// Changes each call and passes it on.
fn client(change: fn(Call) -> Call) -> Act {
    Arc::new(move |way, call| Box::pin(async move { way.send(change(call)).await }))
}

/// Changes each reply.
fn replies(change: fn(Reply) -> Reply) -> Act {
    Arc::new(move |way, call| Box::pin(async move { way.send(call).await.map(change) }))
}

/// Changes each error that stands in a reply's place.
fn fails(change: fn(CallError) -> CallError) -> Act {
    Arc::new(move |way, call| Box::pin(async move { way.send(call).await.map_err(change) }))
}

fn message(content: Object) -> Reply {
    Reply::Message(Message::from_content(content))
}

/// An object of this text, if it is one.
fn again(text: &str) -> Option<Object> {
    Object::parse(Bytes::copy_from_slice(text.as_bytes()), usize::MAX).ok()
}
