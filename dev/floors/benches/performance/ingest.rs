//! Reading a body: ours against a tree.

use std::{process::Command, time::Duration};

use bytes::Bytes;
use comity_core::json::Object;
use comity_floors::bodies::usual;
use ruma_common::CanonicalJsonValue;
use serde_json::Value;

use crate::{
    report::{Need, Report},
    rounds::{Spread, alternate, cost},
};

const ROUNDS: usize = 41;

pub(crate) fn measure(report: &mut Report) {
    canonical(report);
    allocations(report);
    not_canonical(report);
}

fn ours(body: &Bytes) -> impl FnMut() -> Duration {
    cost(|| Object::parse(body.clone(), usize::MAX).expect("it is JSON"))
}

fn canonical(report: &mut Report) {
    let body = usual(50);
    let tree = cost(|| serde_json::from_slice::<Value>(&body).expect("it is JSON"));
    let pair = alternate(ROUNDS, tree, ours(&body));
    let speed = body.len() as f64 / pair.b.as_secs_f64() / 1e9;
    report.pair(
        "ingest of canonical 50 PDUs: `serde_json::Value` / ours",
        pair,
        Need::AtLeast(6.0),
    );
    report.row(
        "ingest of canonical 50 PDUs: bytes a second",
        " GB/s",
        Spread::one(speed),
        Need::AtLeast(4.0),
        format!("{} bytes in {:.1?}", body.len(), pair.b),
    );
}

fn allocations(report: &mut Report) {
    let output = Command::new(env!("CARGO_BIN_EXE_allocations"))
        .output()
        .expect("cargo built it");
    let counts: Vec<(f64, f64)> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let (events, count) = line.split_once(' ')?;
            Some((events.parse().ok()?, count.parse().ok()?))
        })
        .collect();
    let count_of = |events: f64| counts.iter().find(|(n, _)| *n == events).map(|(_, c)| *c);
    let (Some(one), Some(fifty), Some(many)) = (count_of(1.0), count_of(50.0), count_of(5_000.0))
    else {
        report.note("Allocations were not counted.");
        return;
    };
    report.row(
        "allocations of that ingest for each further event, 1 to 50 events",
        "",
        Spread::one((fifty - one) / 49.0),
        Need::AtMost(0.0),
        format!("1 event {one}, 50 events {fifty}, 5,000 events {many}"),
    );
}

fn not_canonical(report: &mut Report) {
    let canonical = usual(50);
    let canonical = str::from_utf8(&canonical).expect("JSON is text");
    let tree: Value = serde_json::from_str(canonical).expect("it is JSON");
    let bodies = [
        ("members out of order at the top", top_reversed(canonical)),
        (
            "pretty-printed",
            serde_json::to_string_pretty(&tree).expect("a tree is JSON"),
        ),
        (
            "as Python writes it: `\\uXXXX`, a space behind `,` and `:`",
            python(&tree),
        ),
        ("every object in reverse", reversed(&tree)),
    ];
    for (what, body) in bodies {
        let body = Bytes::from(body);
        let ruma = cost(|| {
            let value: CanonicalJsonValue = serde_json::from_slice(&body).expect("it is JSON");
            serde_json::to_vec(&value).expect("a tree is JSON")
        });
        let pair = alternate(ROUNDS, ours(&body), ruma);
        report.pair(
            format!("ingest of 50 PDUs, {what}: ours / ruma"),
            pair,
            Need::AtMost(0.12),
        );
    }
}

/// The same with the first two members of the outermost object exchanged.
fn top_reversed(canonical: &str) -> String {
    let pdus = canonical.find("\"pdus\"").expect("a transaction has them");
    let (head, pdus) = canonical[1..canonical.len() - 1].split_at(pdus - 1);
    format!("{{{pdus},{}}}", head.trim_end_matches(','))
}

/// Python's `json.dumps` by default: ASCII only, spaces behind separators.
fn python(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{}: {}", ascii(name), python(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(python).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::String(text) => ascii(text),
        other => other.to_string(),
    }
}

fn ascii(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    let mut units = [0; 2];
    quoted
        .chars()
        .map(|c| match c {
            c if c.is_ascii() => c.to_string(),
            c => c
                .encode_utf16(&mut units)
                .iter()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect(),
        })
        .collect()
}

fn reversed(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|a, b| b.0.cmp(a.0));
            let members: Vec<_> = members
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), reversed(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(reversed).collect();
            format!("[{}]", elements.join(","))
        }
        other => other.to_string(),
    }
}
