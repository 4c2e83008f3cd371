//! `comity bench --quick` by the program that the demo has built: that everything is measured and reported. How fast it is, and how exact its networks are, is not asked: this machine may be busy.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;

use super::{Outcome, cargo, command::Command, found};

/// It takes three minutes on two slow cores with nothing else to do.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// What the program has to be called with `--quick`, and measures then.
const TRANSPORTS: &[&str] = &["HTTPS/1.1", "HTTP/2", "gRPC", "gRPC, session", "memory"];
/// The one that proves its calls by sessions.
const SESSIONS: &str = "gRPC, session";
const NETWORKS: &[&str] = &["loopback", "45ms"];
const FLOWS: &[&str] = &["one-in-flight", "concurrent"];
const SCENARIOS: &[&str] = &[
    "small-query",
    "transaction",
    "steady",
    "burst",
    "join1k",
    "join20k",
    "join200k",
    "backfill",
    "media",
    "cold-start",
];

/// Those of them that `--quick` may not leave out on loopback.
const LOOPBACK: &[&str] = &[
    "small-query",
    "transaction",
    "steady",
    "burst",
    "join1k",
    "backfill",
    "media",
    "cold-start",
];

/// What a report consists of.
const FILES: &[&str] = &["results.json", "samples.csv", "cells.csv", "index.html"];

/// Runs it into a folder that nobody keeps, and reads what it has written.
pub(crate) fn check(root: &Path) -> Outcome {
    let target = cargo::metadata(root)?.target_directory;
    let output = target.join("bench-quick");
    if output.exists() {
        fs::remove_dir_all(&output)?;
    }
    // Nothing to do behind the demo's step.
    Command::cargo(root, "build --release --package comity-cli").run()?;
    let program = target.join("release/comity");
    // `exec`, so that what is ended at the limit is the program.
    let line = format!(
        "exec \"{}\" bench --quick --output \"{}\"",
        program.display(),
        output.display()
    );
    // 1 also says that a network was not what it should be, which is a matter of how busy this machine is. What else it says stands in the results.
    Command::shell(root, &line).limit(LIMIT).accept(1).run()?;
    let mut findings: Vec<String> = FILES
        .iter()
        .filter(|file| !output.join(file).exists())
        .map(|file| format!("the report has no {file}"))
        .collect();
    let entries = fs::read_dir(&output)?.filter_map(Result::ok);
    let mut names = entries.map(|entry| entry.file_name());
    if !names.any(|name| {
        Path::new(&name)
            .extension()
            .is_some_and(|ending| ending == "svg")
    }) {
        findings.push("the report has no plot".to_owned());
    }
    let results = fs::read(output.join("results.json"))?;
    findings.extend(wrong(&serde_json::from_slice(&results)?));
    found(findings)
}

/// What is wrong with the results: a cell that is neither there nor left out for a reason, a call that failed, a cell without calls.
fn wrong(results: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let list = |name: &str| results[name].as_array().cloned().unwrap_or_default();
    let (samples, skipped) = (list("samples"), list("skipped"));
    for failed in list("failed") {
        findings.push(format!("failed: {failed}"));
    }
    for said in list("conformance") {
        if said["failed"] != Value::Array(Vec::new()) {
            findings.push(format!("the conformance kit: {said}"));
        }
    }
    if !results["unfinished"].is_null() {
        findings.push(format!("unfinished: {}", results["unfinished"]));
    }
    let sessions = list("conformance")
        .iter()
        .filter(|said| said["transport"] == SESSIONS)
        .filter_map(|said| said["proven"]["session"].as_u64())
        .sum::<u64>();
    if sessions == 0 {
        findings.push(format!(
            "{SESSIONS}: no call of the kit was proven by a session"
        ));
    }
    for sample in &samples {
        let outcome = &sample["outcome"];
        if outcome["failures"] != 0 || outcome["calls"].as_u64().unwrap_or(0) == 0 {
            let (calls, failures) = (&outcome["calls"], &outcome["failures"]);
            findings.push(format!(
                "{}: {calls} calls, {failures} failures, the first: {}",
                sample["cell"], outcome["first_failure"]
            ));
        }
    }
    let judged = list("conformance");
    for transport in TRANSPORTS {
        if !judged.iter().any(|said| said["transport"] == *transport) {
            findings.push(format!("{transport} was not judged by the conformance kit"));
        }
        for network in NETWORKS {
            for flow in FLOWS {
                for scenario in SCENARIOS {
                    let is = |entry: &&Value| {
                        let cell = &entry["cell"];
                        cell["transport"] == *transport
                            && cell["network"] == *network
                            && cell["flow"] == *flow
                            && cell["scenario"] == *scenario
                    };
                    let here = samples.iter().filter(is).count();
                    let out = skipped.iter().filter(is).count();
                    let needed = *network == "loopback"
                        && *flow == "one-in-flight"
                        && LOOPBACK.contains(scenario);
                    if here + out != 1 || (needed && here == 0) {
                        findings.push(format!(
                            "{transport}, {network}, {flow}, {scenario}: {here} times measured, {out} times left out"
                        ));
                    }
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Results in which everything was measured once.
    fn whole() -> Value {
        let mut samples = Vec::new();
        for transport in TRANSPORTS {
            for network in NETWORKS {
                for flow in FLOWS {
                    for scenario in SCENARIOS {
                        samples.push(json!({
                            "cell": {"transport": transport, "network": network, "flow": flow, "scenario": scenario},
                            "outcome": {"calls": 5, "failures": 0, "first_failure": null},
                        }));
                    }
                }
            }
        }
        let conformance = TRANSPORTS.iter();
        let conformance = conformance.map(|name| {
            let proven = if *name == SESSIONS {
                json!({"session": 900})
            } else {
                json!({})
            };
            json!({"transport": name, "failed": [], "proven": proven})
        });
        let conformance: Vec<Value> = conformance.collect();
        json!({"samples": samples, "skipped": [], "failed": [], "conformance": conformance})
    }

    #[test]
    fn results_in_which_everything_was_measured_are_good() {
        assert_eq!(wrong(&whole()), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_can_be_wrong_is_found() {
        let mut lost = whole();
        let cell = lost["samples"].as_array_mut().unwrap().remove(0)["cell"].clone();
        assert_eq!(wrong(&lost).len(), 1, "neither measured nor left out");
        lost["skipped"] = json!([{"cell": cell, "why": "no time"}]);
        assert_eq!(wrong(&lost).len(), 1, "this one may not be left out");
        let mut idle = whole();
        idle["samples"][3]["outcome"]["calls"] = json!(0);
        assert_eq!(wrong(&idle).len(), 1);
        let mut failing = whole();
        failing["samples"][3]["outcome"]["failures"] = json!(1);
        assert_eq!(wrong(&failing).len(), 1);
        let mut dead = whole();
        dead["failed"] = json!([{"why": "the server ended"}]);
        assert_eq!(wrong(&dead).len(), 1);
        let mut refused = whole();
        refused["conformance"][0]["failed"] = json!(["gRPC: SendJoin: smallest request"]);
        assert_eq!(wrong(&refused).len(), 1);
        let mut unjudged = whole();
        unjudged["conformance"] = json!([]);
        assert_eq!(wrong(&unjudged).len(), TRANSPORTS.len() + 1);
        let mut signed = whole();
        for said in signed["conformance"].as_array_mut().unwrap() {
            said["proven"] = json!({"X-Matrix": 900});
        }
        assert_eq!(wrong(&signed).len(), 1, "no session");
        let mut ended = whole();
        ended["unfinished"] = json!({"cells": 1, "of_cells": 2});
        assert_eq!(wrong(&ended).len(), 1, "unfinished");
    }

    #[test]
    fn a_network_that_is_not_exact_is_no_finding() {
        let mut busy = whole();
        busy["networks"] =
            json!([{"network": "45ms", "measured": [{"name": "delay", "passed": false}]}]);
        assert_eq!(wrong(&busy), Vec::<String>::new());
    }
}
