//! `cargo xtask spec-coverage`: the table of operations against the specification's own description of them.
//!
//! The specification (matrix-org/matrix-spec) describes the Federation API in OpenAPI files. Both sides are read into one form
//! ([`operation::Operation`]) and compared in either direction; what differs is an error unless `allowed.json` gives a reason, and an entry
//! there that has become useless is an error too. Every body that the files show is sent through our types.

mod allowed;
mod compare;
mod document;
mod examples;
mod loopback;
mod operation;
mod schema;
mod table;

use std::path::Path;

use serde_json::{Value, json};

use crate::ci::Outcome;
use document::Documents;
use operation::{Example, FOLDER, Specified};

/// Whether `directory` is a checkout of the specification.
pub(crate) fn is_checkout(directory: &Path) -> bool {
    directory.join(FOLDER).is_dir()
}

/// Compares with the checkout in `directory`, and prints what was compared.
pub(crate) fn run(directory: &Path) -> Outcome {
    let mut documents = Documents::new(directory)?;
    let mut specified = Vec::new();
    for file in documents.list(FOLDER, "yaml")? {
        let document = documents.resolved(&file)?;
        specified.extend(operation::read(&file, &document)?);
    }
    add_events(&mut documents, &mut specified)?;
    let mut comparison = compare::compare(&specified, &table::operations());
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
        "examples: {} requests and {} replies, through JSON and through gRPC",
        report.requests, report.replies
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
fn add_events(documents: &mut Documents, specified: &mut [Specified]) -> Result<(), String> {
    let transaction = |name: String, pdus: Vec<Value>, edus: Vec<Value>| Example {
        place: format!("a transaction of {name}"),
        value: json!({"origin": "example.org", "origin_server_ts": 1, "pdus": pdus, "edus": edus}),
    };
    let name = |file: &Path| {
        let name = file.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let mut found = Vec::new();
    for file in documents.list(&format!("{FOLDER}/examples"), "json")? {
        if name(&file).contains("pdu") {
            let event = schema::merged(&documents.resolved(&file)?);
            found.push(transaction(name(&file), vec![event], Vec::new()));
        }
    }
    for file in documents.list(&format!("{FOLDER}/definitions/event-schemas"), "yaml")? {
        let event = schema::example(&documents.resolved(&file)?)
            .ok_or_else(|| format!("{}: no example", file.display()))?;
        found.push(transaction(name(&file), Vec::new(), vec![event]));
    }
    let transactions = specified.iter_mut();
    let mut transactions = transactions.filter(|one| one.operation.path.ends_with("/send/{txnId}"));
    let send = transactions
        .next()
        .ok_or("no operation sends transactions")?;
    send.requests.extend(found);
    Ok(())
}
