//! Who is said to be ahead, and by how much.

use comity_bench::model::{Conformance, Results, Scenario};

use super::{markup, synthetic::cell, tables::written};

/// What the plot of small queries says, on one line.
fn said_of_queries(results: &Results) -> String {
    let text = markup::text(&written(results)["latency-small-query.svg"]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_lead_is_said_only_where_repetitions_do_not_overlap() {
    let reading = |slow: &[u64]| {
        let mut results = Results::default();
        cell(
            &mut results,
            "quick",
            Scenario::SmallQuery,
            &[100, 110, 120, 105, 115],
        );
        cell(&mut results, "slow", Scenario::SmallQuery, slow);
        said_of_queries(&results)
    };
    let clear = reading(&[300, 330, 360, 310, 350]);
    assert!(clear.contains("quick in 1 of 1 network."), "{clear}");
    assert!(
        clear.contains("slow takes 3.00 times as long as quick"),
        "{clear}"
    );
    let overlapping = reading(&[119, 330, 360, 310, 350]);
    assert!(
        overlapping.contains(
            "nobody clearly: in the one network the best one’s repetitions overlap with another’s"
        ),
        "{overlapping}"
    );
    // Where they overlap nobody is far from anybody, whatever the medians are.
    assert!(!overlapping.contains("Farthest apart"), "{overlapping}");
    let few = reading(&[300, 330, 360, 310]);
    assert!(
        few.contains("fewer than 5 repetitions") && !few.contains("Farthest apart"),
        "{few}"
    );
    // Nobody has the lead because others failed.
    let mut results = Results::default();
    cell(&mut results, "quick", Scenario::SmallQuery, &[100; 5]);
    cell(&mut results, "slow", Scenario::SmallQuery, &[300; 5]);
    cell(&mut results, "middle", Scenario::SmallQuery, &[200; 5]);
    results.samples[0].outcome.failures = 1;
    let failed = markup::text(&written(&results)["latency-small-query.svg"]).replace('\n', " ");
    assert!(failed.contains("middle in 1 of 1 network."), "{failed}");
}

/// Two may be apart where nobody is ahead, and the two whose medians are farthest apart may overlap.
#[test]
fn who_is_said_to_be_farthest_apart_does_not_overlap() {
    let mut results = Results::default();
    for (name, medians) in [
        ("first", [100, 110, 120, 105, 115]),
        ("second", [112, 118, 125, 121, 119]),
        ("third", [200, 210, 220, 205, 215]),
        ("wide", [90, 900, 950, 920, 910]),
    ] {
        cell(&mut results, name, Scenario::SmallQuery, &medians);
    }
    let text = said_of_queries(&results);
    for said in [
        "nobody clearly: in the one network the best one’s repetitions overlap with another’s.",
        "Farthest apart, of two whose repetitions do not overlap, on loopback, one in flight: third takes 1.91 times as long as first.",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
}

#[test]
fn peers_do_not_take_part_in_comparisons() {
    let mut results = Results::default();
    cell(&mut results, "floor", Scenario::SmallQuery, &[10; 5]);
    cell(&mut results, "A", Scenario::SmallQuery, &[100; 5]);
    cell(&mut results, "B", Scenario::SmallQuery, &[300; 5]);
    results.conformance.push(Conformance {
        transport: "floor".to_owned(),
        exempt: Some("a peer".to_owned()),
        passed: 0,
        unsupported: 0,
        failed: Vec::new(),
        failures: 0,
        proven: Default::default(),
    });
    let files = written(&results);
    let text = markup::text(&files["latency-small-query.svg"]).replace('\n', " ");
    assert!(text.contains("A in 1 of 1 network."), "{text}");
    assert!(files["cpu-loopback.svg"].contains("url(#hatch)"));
}
