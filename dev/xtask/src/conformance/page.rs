//! The outcomes as Markdown and as JSON. Nothing in them depends on the machine or the hour.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::outcome::{Bindings, Cases, Outcome, Outcomes, counts};

/// What the kit calls a case that is about a binding as a whole.
const ANY: &str = "any call";

/// The table's operations in its order, others behind them, and what is about any call.
fn subjects(bindings: &Bindings) -> Vec<String> {
    let all: BTreeSet<&String> = bindings.values().flat_map(BTreeMap::keys).collect();
    let table = comity_core::api::operations();
    let mut subjects: Vec<String> = table
        .iter()
        .map(|operation| operation.spec().name.to_owned())
        .filter(|name| all.contains(name))
        .collect();
    for name in all {
        if name != ANY && !subjects.contains(name) {
            subjects.push(name.clone());
        }
    }
    subjects.push(ANY.to_owned());
    subjects
}

fn cell(cases: Option<&Cases>) -> String {
    let Some(cases) = cases else {
        return "–".to_owned();
    };
    match counts(cases) {
        [passed, 0, 0] => format!("pass {passed}"),
        [0, unsupported, 0] => format!("unsupported {unsupported}"),
        [passed, unsupported, 0] => format!("pass {passed}, unsupported {unsupported}"),
        [passed, 0, failed] => format!("**fail {failed}**, pass {passed}"),
        [passed, unsupported, failed] => {
            format!("**fail {failed}**, pass {passed}, unsupported {unsupported}")
        }
    }
}

fn table(bindings: &Bindings) -> String {
    let names: Vec<&String> = bindings.keys().collect();
    let mut text = String::from("| |");
    for name in &names {
        text += &format!(" {name} |");
    }
    text += &format!("\n| --- |{}\n", " --- |".repeat(names.len()));
    for subject in subjects(bindings) {
        let cells: Vec<String> = names
            .iter()
            .map(|name| cell(bindings[*name].get(&subject)))
            .collect();
        if cells.iter().any(|cell| cell != "–") {
            text += &format!("| {subject} | {} |\n", cells.join(" | "));
        }
    }
    text
}

/// The matrix of operations by bindings.
pub(super) fn matrix(outcomes: &Outcomes) -> String {
    table(&outcomes.bindings)
}

/// The whole page.
pub(super) fn markdown(outcomes: &Outcomes) -> String {
    let mut text = String::from(
        "# What the conformance kit finds in the bindings of this workspace\n\n\
         Written by `cargo xtask conformance`, which runs the kit; `--check` tells whether this page is what it would write. A number is that of \
         cases. [results.json](results.json) has each of them by name.\n\n",
    );
    text += &table(&outcomes.bindings);
    text += "\n## The same to whoever calls and is called\n\n\
             Two bindings, the same calls: equal at the handler, and equal replies, errors and refusals back.\n\n";
    text += &table(&outcomes.pairs);
    text += "\n## Not supported\n\n| binding | cases | why |\n| --- | --- | --- |\n";
    text += &unsupported(&outcomes.bindings);
    text += "\n## The cases\n\nAbout each operation, where it has what the case is about:\n\n";
    let of_any = cases(&outcomes.bindings, |subject| subject == ANY);
    for case in cases(&outcomes.bindings, |subject| subject != ANY) {
        text += &format!("- {case}\n");
    }
    text += "\nAbout a binding as a whole:\n\n";
    for case in of_any {
        text += &format!("- {case}\n");
    }
    text
}

fn cases(bindings: &Bindings, of: fn(&str) -> bool) -> BTreeSet<&str> {
    bindings
        .values()
        .flatten()
        .filter(|(subject, _)| of(subject))
        .flat_map(|(_, cases)| cases.keys().map(String::as_str))
        .collect()
}

/// A case that is skipped for several operations stands there once.
fn unsupported(bindings: &Bindings) -> String {
    let mut text = String::new();
    for (binding, subjects) in bindings {
        let mut reasons: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (case, outcome) in subjects.values().flatten() {
            if let Outcome::Unsupported(why) = outcome {
                reasons.entry(why).or_default().insert(case);
            }
        }
        for (why, cases) in reasons {
            let cases: Vec<&str> = cases.into_iter().collect();
            text += &format!("| {binding} | {} | {why} |\n", cases.join("; "));
        }
    }
    text
}

/// Every case by name.
pub(super) fn json(outcomes: &Outcomes) -> Result<String, serde_json::Error> {
    let all = json!({
        "bindings": by_outcome(&outcomes.bindings),
        "equivalence": by_outcome(&outcomes.pairs),
    });
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

fn by_outcome(bindings: &Bindings) -> BTreeMap<&str, BTreeMap<&str, Value>> {
    let mut all: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
    for (binding, subjects) in bindings {
        let of_binding = all.entry(binding).or_default();
        for (subject, cases) in subjects {
            of_binding.insert(subject, of_cases(cases));
        }
    }
    all
}

fn of_cases(cases: &Cases) -> Value {
    let named = |which: fn(&Outcome) -> bool| -> Vec<&str> {
        let named = cases.iter().filter(|(_, outcome)| which(outcome));
        named.map(|(name, _)| name.as_str()).collect()
    };
    let unsupported: BTreeMap<&str, &str> = cases
        .iter()
        .filter_map(|(name, outcome)| match outcome {
            Outcome::Unsupported(why) => Some((name.as_str(), why.as_str())),
            _ => None,
        })
        .collect();
    json!({
        "passed": named(|outcome| matches!(outcome, Outcome::Passed)),
        "failed": named(|outcome| matches!(outcome, Outcome::Failed)),
        "unsupported": unsupported,
    })
}
