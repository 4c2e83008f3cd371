//! The tables for programs say what the samples say.

use std::{collections::BTreeMap, fs};

use comity_bench::{model::Results, report};

use super::synthetic;

/// Reads RFC 4180.
pub fn parse(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut rows: Vec<Vec<String>> = vec![vec![String::new()]];
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let row = rows.last_mut().unwrap();
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                row.last_mut().unwrap().push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(String::new()),
            '\r' if !quoted => {
                assert_eq!(characters.next(), Some('\n'));
                rows.push(vec![String::new()]);
            }
            c => row.last_mut().unwrap().push(c),
        }
    }
    assert!(!quoted, "a quote is open at the end");
    assert_eq!(
        rows.pop(),
        Some(vec![String::new()]),
        "the last row has no end"
    );
    let head = rows.remove(0);
    let named = |row: Vec<String>| {
        assert_eq!(row.len(), head.len(), "{row:?}");
        head.iter().cloned().zip(row).collect()
    };
    rows.into_iter().map(named).collect()
}

/// The files of a report.
pub fn written(results: &Results) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    report::write(results, &folder.path().join("report")).unwrap();
    let files = fs::read_dir(folder.path().join("report")).unwrap();
    files
        .map(|file| {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, fs::read_to_string(file.path()).unwrap())
        })
        .collect()
}

#[test]
fn results_are_read_again_as_they_were_written() {
    let results = synthetic::results(2);
    let folder = tempfile::tempdir().unwrap();
    report::write(&results, folder.path()).unwrap();
    let again = report::read(&folder.path().join("results.json")).unwrap();
    assert_eq!(again.samples.len(), results.samples.len());
    for (again, sample) in again.samples.iter().zip(&results.samples) {
        assert_eq!(again.cell, sample.cell);
        assert_eq!(again.outcome.latencies, sample.outcome.latencies);
        assert!((again.client.cpu - sample.client.cpu).abs() <= 1e-12 * sample.client.cpu);
    }
    // A number may differ in its last digit when it is read; then it stays.
    report::write(&again, folder.path()).unwrap();
    let twice = report::read(&folder.path().join("results.json")).unwrap();
    assert_eq!(
        serde_json::to_value(&again.skipped).unwrap(),
        serde_json::to_value(&twice.skipped).unwrap()
    );
    assert_eq!(again.machine.load, results.machine.load);
}

#[test]
fn every_sample_is_a_row_and_sums_agree() {
    let results = synthetic::results(2);
    let rows = parse(&written(&results)["samples.csv"]);
    assert_eq!(rows.len(), results.samples.len());
    let sum = |column: &str| -> u64 {
        let values = rows.iter().map(|row| row[column].parse::<u64>());
        values.map(Result::unwrap).sum()
    };
    let of = |value: fn(&comity_bench::model::Sample) -> u64| -> u64 {
        results.samples.iter().map(value).sum()
    };
    assert_eq!(sum("calls"), of(|sample| sample.outcome.calls));
    assert_eq!(sum("events"), of(|sample| sample.outcome.events));
    assert_eq!(sum("content_bytes"), of(|sample| sample.outcome.content));
    for (row, sample) in rows.iter().zip(&results.samples) {
        assert_eq!(row["transport"], sample.cell.transport);
        assert_eq!(row["network"], sample.cell.network);
        assert_eq!(row["seed"], sample.seed.to_string());
    }
}
