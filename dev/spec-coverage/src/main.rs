//! `cargo xtask spec-coverage`: the table of operations against the specification's own description of them.
//!
//! A program of its own, because xtask writes code that the bindings need before they compile.
//!
//! The specification (matrix-org/matrix-spec) describes the Federation API in OpenAPI files. Both sides are read into one form
//! ([`operation::Operation`]) and compared in either direction; what differs is an error unless `allowed.json` gives a reason, and an entry
//! there that has become useless is an error too. Every body that the files show is sent through our types.

mod allowed;
mod compare;
mod document;
mod edus;
mod examples;
mod loopback;
mod operation;
mod rows;
mod schema;
mod table;

use std::{env, error::Error, path::Path, process::ExitCode};

use serde_json::{Value, json};

use compare::Difference;
use document::Documents;
use operation::{Example, FOLDER, Specified};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let done = match &arguments[..] {
        [directory] => run(Path::new(directory)),
        _ => Err("usage: comity-spec-coverage DIR, a checkout of matrix-org/matrix-spec".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Compares with the checkout in `directory`, and prints what was compared.
fn run(directory: &Path) -> Result<(), Box<dyn Error>> {
    let mut documents = Documents::new(directory)?;
    let mut specified = Vec::new();
    for file in documents.list(FOLDER, "yaml")? {
        let document = documents.resolved(&file)?;
        specified.extend(operation::read(&file, &document)?);
    }
    let edus = add_events(&mut documents, &mut specified)?;
    let mut comparison = compare::compare(&specified, &table::operations());
    for (name, edu) in &edus {
        if let Err(what) = edus::check(edu) {
            let endpoint = name.clone();
            comparison.differences.push(Difference { endpoint, what });
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(examples::check(&specified))?;
    comparison.differences.extend(report.differences);
    let judged = allowed::judge(comparison.differences, &allowed::list()?);
    let counts = comparison.counts;
    println!(
        "spec-coverage: the specification has {} operations; {} of them are in the table",
        specified.len(),
        counts.operations
    );
    println!(
        "compared: {} parameters and members, {} errors, and of each operation method, path, security, release",
        counts.parameters, counts.errors
    );
    println!(
        "examples: {} requests and {} replies, through JSON and through gRPC; {} EDUs",
        report.requests,
        report.replies,
        edus.len()
    );
    if !documents.missing().is_empty() {
        let missing: Vec<&str> = documents.missing().iter().map(String::as_str).collect();
        println!(
            "referred to, and not in this checkout: {}",
            missing.join(", ")
        );
    }
    println!(
        "no longer in the specification, and still served: {}",
        comparison.removed.join(", ")
    );
    println!("allowed, each with its reason: {}", judged.allowed.len());
    for allowed in &judged.allowed {
        println!("  {allowed}");
    }
    let mut findings: Vec<String> = judged.disallowed.iter().map(ToString::to_string).collect();
    let useless = judged.useless.iter();
    findings
        .extend(useless.map(|entry| format!("allowed.json allows what does not differ: {entry}")));
    if findings.is_empty() {
        println!("nothing disagrees");
        return Ok(());
    }
    Err(format!(
        "{} disagreements:\n  {}",
        findings.len(),
        findings.join("\n  ")
    )
    .into())
}

/// The events that the specification shows apart from operations, as parts of a transaction: PDUs of each format, EDUs of each type.
/// Gives the EDUs, by the names of their files.
fn add_events(
    documents: &mut Documents,
    specified: &mut [Specified],
) -> Result<Vec<(String, Value)>, String> {
    let transaction = |name: String, pdus: Vec<Value>, edus: Vec<Value>| Example {
        place: format!("a transaction of {name}"),
        value: json!({"origin": "example.org", "origin_server_ts": 1, "pdus": pdus, "edus": edus}),
    };
    let name = |file: &Path| {
        let name = file.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let (mut found, mut edus) = (Vec::new(), Vec::new());
    for file in documents.list(&format!("{FOLDER}/examples"), "json")? {
        if name(&file).contains("pdu") {
            let event = schema::merged(&documents.resolved(&file)?);
            found.push(transaction(name(&file), vec![event], Vec::new()));
        }
    }
    for file in documents.list(&format!("{FOLDER}/definitions/event-schemas"), "yaml")? {
        let event = schema::example(&documents.resolved(&file)?)
            .ok_or_else(|| format!("{}: no example", file.display()))?;
        edus.push((name(&file), event.clone()));
        found.push(transaction(name(&file), Vec::new(), vec![event]));
    }
    let transactions = specified.iter_mut();
    let mut transactions = transactions.filter(|one| one.operation.path.ends_with("/send/{txnId}"));
    let send = transactions
        .next()
        .ok_or("no operation sends transactions")?;
    send.requests.extend(found);
    Ok(edus)
}
