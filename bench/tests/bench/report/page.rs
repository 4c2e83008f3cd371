//! The page, the plots and the document: whatever the results are, they are well-formed, say it all, and say what is true.

use std::{collections::BTreeMap, sync::LazyLock};

use comity_bench::{
    model::{Conformance, Emulation, Failed, NetworkCheck, Property, Results, Scenario, Skipped},
    report,
};

use super::{
    markup,
    synthetic::{self, cell},
    tables::written,
};

static FULL: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| written(&synthetic::results(2)));

const HOSTILE: [&str; 8] = [
    "</title></svg><script>alert(1)</script>",
    "\"><img src=x onerror='x'>&nbsp;",
    "=HYPERLINK(\"a\")",
    "../../../etc/passwd\0",
    "| a | `b` | [c](javascript:d)\r\n\r\n# e",
    "\u{202e}elpmaxe\u{fffe}\u{200b}",
    "#010203 opacity=\"1\"",
    "",
];

fn well_formed(files: &BTreeMap<String, String>) {
    for (name, content) in files {
        let plain = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
        assert!(plain && name.len() < 120, "{name:?}");
        if name.ends_with(".svg") || name.ends_with(".html") {
            markup::text(content);
        }
    }
    let page = &files["index.html"];
    let mut ids = markup::values(page, "id");
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "an anchor is there twice");
    for link in markup::values(page, "href") {
        match link.strip_prefix('#') {
            Some(anchor) => assert!(ids.contains(&anchor), "{link}"),
            None => assert!(files.contains_key(link), "{link}"),
        }
    }
}

#[test]
fn the_page_and_every_plot_are_well_formed() {
    well_formed(&FULL);
    assert!(FULL.keys().filter(|name| name.ends_with(".svg")).count() > 15);
    assert!(!FULL["index.html"].contains("<script"));
    // The plots are in the page: it needs no other file.
    for inner in ["<img", "<link", "@import", "src="] {
        assert!(!FULL["index.html"].contains(inner), "{inner}");
    }
}

#[test]
fn every_cell_is_in_its_tables() {
    let results = synthetic::results(2);
    let rows = super::tables::parse(&FULL["cells.csv"]);
    let names = ["transport", "flow", "scenario", "network"];
    let cells = rows
        .iter()
        .map(|row| (names.map(|name| row[name].clone()), &row["samples"]));
    let cells: BTreeMap<[String; 4], &String> = cells.collect();
    assert_eq!(cells.len(), rows.len(), "a cell has two rows");
    for sample in &results.samples {
        let cell = serde_json::to_value(&sample.cell).unwrap();
        let cell = names.map(|name| cell[name].as_str().unwrap().to_owned());
        assert_eq!(cells[&cell], "2", "{cell:?}");
    }
    assert_eq!(rows.len() * 2, results.samples.len());
    let page = &FULL["index.html"];
    let section = &page[page.find("id=\"cells\"").unwrap()..];
    assert_eq!(
        section.matches("<tr><th scope=\"row\">").count(),
        rows.len()
    );
}

#[test]
fn every_figure_says_where_it_comes_from() {
    let page = &FULL["index.html"];
    let figures: Vec<&str> = page.split("<figure ").skip(1).collect();
    assert!(figures.len() > 15);
    for figure in figures {
        let figure = figure.split("</figure>").next().unwrap();
        for said in [
            "comity bench --seeds 5",
            "0123456789abcdef",
            "A processor that nobody has",
            "Seeds 1 and 2",
            "--transport",
            "<p class=\"reading\">",
        ] {
            assert!(figure.contains(said), "{said}\n{}", &figure[..200]);
        }
        assert!(!figure.contains("<p class=\"reading\"></p>"));
    }
}

#[test]
fn medians_and_spreads_are_those_of_the_repetitions() {
    let mut results = Results::default();
    cell(
        &mut results,
        "A",
        Scenario::Transaction,
        &[300, 100, 900, 200, 250],
    );
    let files = written(&results);
    let row = &super::tables::parse(&files["cells.csv"])[0];
    let value = |name: &str| row[name].parse::<f64>().unwrap();
    let near = |name: &str, expected: f64| {
        let value = value(name);
        assert!(
            (value - expected).abs() < 1e-9 * expected,
            "{name}: {value}, not {expected}"
        );
    };
    near("latency_p50_s_median", 250e-6);
    near("latency_p50_s_min", 100e-6);
    near("latency_p50_s_max", 900e-6);
    // Of all repetitions together.
    near("latency_p90_s_pooled", 900e-6);
    assert_eq!(row["latencies"], "500");
    near("calls_per_s_median", 100.0);
    near("events_per_s_median", 5_000.0);
    near("client_cpu_s_each_median", 250.0 / 1e6);
    near("cpu_s_each_median", 500.0 / 1e6);
    near("client_peak_over_idle_bytes_max", 900_000.0);
    assert_eq!(row["wire_bytes_per_delivery_median"], "");
    assert!(markup::text(&files["index.html"]).contains("250 µs (100 µs to 900 µs)"));
}

#[test]
fn a_percentile_is_shown_only_if_calls_lie_beyond_it() {
    let mut results = Results::default();
    cell(&mut results, "A", Scenario::SmallQuery, &[100, 110]);
    let shown = |results: &Results| {
        let rows = super::tables::parse(&written(results)["cells.csv"]);
        ["latency_p90_s_pooled", "latency_p99_s_pooled"].map(|name| !rows[0][name].is_empty())
    };
    assert_eq!(shown(&results), [true, true]);
    for (each, expected) in [(49, [true, false]), (4, [false, false])] {
        for sample in &mut results.samples {
            sample.outcome.latencies = vec![(100, each)];
        }
        assert_eq!(shown(&results), expected);
        let said = format!("n = {}", 2 * each);
        assert!(report::markdown(&results).contains(&said));
    }
}

#[test]
fn a_join_says_when_its_first_event_came_and_how_long_it_took() {
    let mut results = Results::default();
    for name in ["A", "B"] {
        cell(&mut results, name, Scenario::Join1k, &[100; 5]);
    }
    for sample in &mut results.samples {
        sample.outcome.latency_of = "the first event".to_owned();
        sample.outcome.calls = 4;
    }
    let files = written(&results);
    assert_eq!(
        super::tables::parse(&files["cells.csv"])[0]["whole_join_s_median"],
        "0.25"
    );
    assert!(markup::text(&files["whole-join1k.svg"]).contains("250 ms"));
    let document = report::markdown(&results);
    for said in [
        "The latency is that of the first event.",
        "Join, 1,000 events: the first event |",
        "Join, 1,000 events: the whole join |",
        "| Join, 1,000 events | A | 250 ms |",
    ] {
        assert!(document.contains(said), "{said}\n{document}");
    }
}

#[test]
fn media_costs_by_the_file() {
    let mut results = Results::default();
    cell(&mut results, "A", Scenario::Media, &[1_000]);
    results.samples[0].outcome.content = 20_000_000;
    let row = &super::tables::parse(&written(&results)["cells.csv"])[0];
    assert_eq!(row["client_cpu_s_each_median"], "0.05");
    assert_eq!(
        (&row["cpu_for_each"][..], &row["bytes_for_each"][..]),
        ("file", "file")
    );
}

#[test]
fn what_must_not_be_quoted_says_so() {
    let mut whole = synthetic::results(5);
    whole.samples.retain(|sample| sample.cell.network == "lan");
    let quotable = markup::text(&written(&whole)["index.html"]);
    assert!(!quotable.contains("not to be quoted"));
    let mut results = synthetic::results(1);
    results.quick = true;
    results.commit.push_str("-dirty");
    results.networks[1].measured[0].passed = false;
    for sample in &mut results.samples {
        if sample.cell.network == "45ms" {
            sample.emulation = Emulation::InProcess;
        }
    }
    results.samples[0].outcome.failures = 3;
    results.samples[0].outcome.first_failure = Some("M_UNKNOWN: <b>".to_owned());
    results.conformance.push(Conformance {
        transport: "carrier pigeon".to_owned(),
        exempt: None,
        passed: 1,
        unsupported: 0,
        failed: vec!["a_call_is_answered".to_owned()],
        failures: 1,
        proven: Default::default(),
    });
    results.failed.push(Failed {
        cell: results.samples[0].cell.clone(),
        seed: 4,
        command: "comity bench --seed 4".to_owned(),
        why: "the server ended: <panicked>".to_owned(),
    });
    let files = written(&results);
    well_formed(&files);
    let page = markup::text(&files["index.html"]);
    let document = report::markdown(&results);
    for (text, name) in [(&page, "page"), (&document, "document")] {
        for said in [
            "A quick run",
            "a single repetition",
            "Refused, because the conformance kit failed them: carrier pigeon",
            "by their self-test: lan",
            "lient, without handshake, loss or rate: 45ms",
            "In 1 of 984 cells",
            "no commit has",
        ] {
            assert!(text.contains(said), "{name}: {said}");
        }
    }
    for said in [
        "a_call_is_answered",
        "M_UNKNOWN: <b>",
        "the server ended: <panicked>",
        "this peer does no media and no cold start",
        "self-test failed",
        "delay in process",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn names_of_others_stay_text() {
    let mut results = Results {
        command: HOSTILE[0].to_owned(),
        commit: HOSTILE[1].to_owned(),
        ..Results::default()
    };
    results.machine.processor = HOSTILE[4].to_owned();
    let long = "<x> & ".repeat(40);
    for name in HOSTILE.into_iter().chain([&long[..]]) {
        for scenario in [Scenario::SmallQuery, Scenario::Join1k] {
            cell(&mut results, name, scenario, &[100, 200]);
        }
        results.conformance.push(Conformance {
            transport: format!("{name}2"),
            exempt: name.len().is_multiple_of(2).then(|| name.to_owned()),
            passed: 0,
            unsupported: 0,
            failed: vec![name.to_owned()],
            failures: 1,
            proven: Default::default(),
        });
        results.networks.push(NetworkCheck {
            network: name.to_owned(),
            emulation: Emulation::InProcess,
            measured: vec![Property {
                name: name.to_owned(),
                wanted: 0.0,
                measured: f64::NAN,
                tolerance: 0.05,
                passed: false,
            }],
            note: Some(name.to_owned()),
        });
        results.skipped.push(Skipped {
            cell: results.samples[0].cell.clone(),
            why: name.to_owned(),
        });
    }
    for (index, sample) in results.samples.iter_mut().enumerate() {
        let name = HOSTILE[index % HOSTILE.len()].to_owned();
        sample.cell.network = name.clone();
        sample.command = name.clone();
        sample.outcome.latency_of = name.clone();
        sample.outcome.first_failure = Some(name);
        sample.outcome.failures = index as u64 % 2;
        sample.outcome.memory = vec![(1, 10), (2, 30)];
    }
    let files = written(&results);
    well_formed(&files);
    for (name, content) in &files {
        let markup = name.ends_with(".svg") || name.ends_with(".html");
        assert!(
            !markup || !(content.contains("<script") || content.contains("<img")),
            "{name}"
        );
    }
    for name in ["samples.csv", "cells.csv"] {
        let rows = super::tables::parse(&files[name]);
        assert!(!rows.is_empty());
        for value in rows.iter().flat_map(|row| row.values()) {
            assert!(
                !value.starts_with(['=', '+', '-', '@']),
                "{name}: {value:?}"
            );
        }
    }
    let document = report::markdown(&results);
    assert!(!document.contains("<script") && !document.contains("<img"));
    assert!(!document.replace("\\]", "").contains("]("), "{document}");
    for line in document.lines() {
        assert!(!line.starts_with("# "), "{line}");
    }
}

/// Runs everything there is on results that no run makes.
fn survives(results: &Results) -> BTreeMap<String, String> {
    let files = written(results);
    well_formed(&files);
    assert!(report::markdown(results).contains("## The run"));
    let again: Results = serde_json::from_str(&files["results.json"]).unwrap();
    assert_eq!(again.samples.len(), results.samples.len());
    well_formed(&written(&again));
    files
}

#[test]
fn odd_results_make_a_report_all_the_same() {
    let files = survives(&Results::default());
    assert!(markup::text(&files["index.html"]).contains("Nothing was measured"));

    let mut one = Results::default();
    cell(&mut one, "A", Scenario::Media, &[5]);
    survives(&one);

    let mut results = Results::default();
    for scenario in synthetic::SCENARIOS {
        cell(&mut results, "A", scenario, &[0, 0]);
        cell(&mut results, "B", scenario, &[1, u64::MAX / 10_000]);
        cell(&mut results, "C", scenario, &[7]);
    }
    for (index, sample) in results.samples.iter_mut().enumerate() {
        let odd = [0.0, f64::NAN, f64::INFINITY, -1.0, 1e300, f64::MIN_POSITIVE][index % 6];
        sample.outcome.seconds = odd;
        sample.client.cpu = odd;
        if index % 3 == 0 {
            sample.outcome.calls = 0;
            sample.outcome.events = u64::MAX;
            sample.outcome.latencies.clear();
        }
        if index % 4 == 0 {
            sample.outcome.content = u64::MAX;
            sample.outcome.failures = u64::MAX;
            sample.outcome.latencies = vec![(u64::MAX, u64::MAX), (0, u64::MAX)];
            sample.outcome.memory = vec![(0, 0), (u64::MAX, u64::MAX), (1, 1)];
            sample.client.peak = 0;
        }
        if index % 5 == 0 {
            sample.server = None;
        }
        sample.wire = Some(comity_bench::model::Wire {
            sent: u64::MAX,
            received: u64::MAX,
            packets_sent: Some(u64::MAX),
            packets_received: None,
        });
        sample.handshake = Some(comity_bench::model::Handshake {
            seconds: odd,
            client_cpu: odd,
            server_cpu: Some(odd),
            bytes: Some(u64::MAX),
        });
    }
    results.machine.load = (f64::NAN, f64::INFINITY);
    results.seconds = f64::NAN;
    results.began = u64::MAX;
    survives(&results);
}
