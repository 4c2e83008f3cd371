//! What was lost, sent again or not done yet is told beside the figures.

use comity_bench::{
    model::{Drops, Emulation, Resent, Sample, Unfinished},
    report,
};

use super::{
    markup, synthetic,
    tables::{parse, written},
};

fn of<'a>(samples: &'a mut [Sample], transport: &str, network: &str) -> &'a mut Sample {
    let mut samples = samples.iter_mut();
    let found = samples.find(|it| it.cell.transport == transport && it.cell.network == network);
    found.unwrap()
}

#[test]
fn losses_of_a_cell_are_those_of_its_repetitions_together() {
    let mut results = synthetic::results(2);
    for sample in &mut results.samples {
        (sample.drops, sample.resent) = (None, None);
    }
    let cell = of(&mut results.samples, "gRPC", "25ms-2%").cell.clone();
    let mut mine: Vec<_> = results
        .samples
        .iter_mut()
        .filter(|sample| sample.cell == cell)
        .collect();
    for sample in &mut mine {
        sample.drops = Some(Drops {
            lost: 1_000,
            refused: 20,
            overrun: 3,
        });
        sample.resent = Some(Resent {
            segments: Some(2_345),
            requests: 1,
        });
    }
    mine[0].retried = Some("the server died".to_owned());
    let files = written(&results);
    let rows = parse(&files["cells.csv"]);
    let is_mine = |row: &&std::collections::BTreeMap<String, String>| {
        row["transport"] == cell.transport
            && row["network"] == cell.network
            && row["scenario"] == cell.scenario.name()
            && row["flow"] == cell.flow.name()
    };
    let row = rows.iter().find(is_mine).unwrap();
    for (column, value) in [
        ("lost_packets", "2000"),
        ("refused_packets", "40"),
        ("overrun_packets", "6"),
        ("resent_segments", "4690"),
        ("resent_requests", "2"),
        ("retried_samples", "1"),
        ("emulation", "tun"),
    ] {
        assert_eq!(row[column], value, "{column}");
    }
    let sample = parse(&files["samples.csv"]);
    let sample = sample.iter().find(is_mine).unwrap();
    assert_eq!(sample["resent_segments"], "2345");
    assert_eq!(sample["retried"], "the server died");
    let said = "2,000 lost, 40 refused, 6 overrun; again: 4,690 segments, 2 requests";
    let page = markup::text(&files["index.html"]);
    for (text, name) in [(&page, "page"), (&files["performance.md"], "document")] {
        assert!(text.contains(said), "{name}");
        assert!(
            text.contains("In 1 of 984 cells the emulator was too slow"),
            "{name}"
        );
    }
    assert!(page.contains("(1 runs were tried twice)"));
}

/// The network's own test says what the network can; a repetition says what it had.
#[test]
fn a_cell_is_labelled_by_its_own_samples() {
    let mut results = synthetic::results(1);
    let network = "45ms";
    let sample = of(&mut results.samples, "gRPC", network);
    sample.emulation = Emulation::InProcess;
    let cell = sample.cell.clone();
    assert!(
        results
            .networks
            .iter()
            .any(|it| it.network == network && it.emulation == Emulation::Tun)
    );
    let files = written(&results);
    let rows = parse(&files["cells.csv"]);
    let in_process: Vec<_> = rows
        .iter()
        .filter(|row| row["network"] == network && row["emulation"] == "in-process")
        .filter(|row| row["transport"] != "memory")
        .collect();
    assert_eq!(in_process.len(), 1);
    assert_eq!(in_process[0]["scenario"], cell.scenario.name());
    let said = "lient, without handshake, loss or rate: 45ms";
    assert!(markup::text(&files["index.html"]).contains(said));
    let document = report::markdown(&results);
    assert!(document.contains(said));
    // Behind its figure, and nobody else's but memory's.
    assert_eq!(document.matches(" ‡ |").count(), 1, "{document}");
}

#[test]
fn an_unfinished_run_says_so_before_any_figure() {
    let mut results = synthetic::results(5);
    assert!(!report::markdown(&results).contains("unfinished"));
    results.unfinished = Some(Unfinished {
        cells: 12,
        of_cells: 60,
        repetitions: 85,
        of_repetitions: 300,
    });
    let files = written(&results);
    let said = "unfinished: 12 of 60 cells (85 of 300 repetitions)";
    for name in ["index.html", "performance.md"] {
        let text = &files[name];
        let (notice, figures) = (text.find(said), text.find("The answers first"));
        assert!(notice.unwrap() < figures.unwrap(), "{name}");
    }
    assert!(files["performance.md"].contains(&format!("| ended | {said} |")));
    let folder = tempfile::tempdir().unwrap();
    report::write(&results, folder.path()).unwrap();
    let again = report::read(&folder.path().join("results.json")).unwrap();
    assert_eq!(again.unfinished, results.unfinished);
}

/// A latency that is a queue's, a peak that is a life's and a repetition that was tried twice are told, and what is no figure is none.
#[test]
fn what_a_figure_is_not_is_said() {
    let mut results = synthetic::results(5);
    results
        .samples
        .retain(|sample| sample.cell.network == "loopback");
    let all = results.samples.len();
    let document = report::markdown(&results);
    for sign in ['§', '¶'] {
        assert!(!document.contains(sign), "{sign}");
    }
    for sample in &mut results.samples {
        match &sample.cell.transport[..] {
            "gRPC, session" => sample.outcome.note = Some("arrivals waited".to_owned()),
            "HTTP/2" => sample.client.peak_of_life = true,
            "gRPC" if sample.seed == 1 => sample.retried = Some("it died".to_owned()),
            _ => {}
        }
    }
    let files = written(&results);
    let page = markup::text(&files["index.html"]);
    for (text, name) in [(&page, "page"), (&files["performance.md"], "document")] {
        for said in [
            "In 20 of 164 cells events arrived faster",
            &format!("20 of {all} repetitions were tried twice"),
            &format!("In 100 of {all} repetitions the peak of memory could not be begun anew"),
            "the latency is that of a queue",
            "The first attempt at a repetition gave no sample",
        ] {
            assert!(text.contains(said), "{name}: {said}");
        }
    }
    let rows = parse(&files["cells.csv"]);
    for row in &rows {
        let behind = if row["transport"] == "gRPC, session" {
            "5"
        } else {
            "0"
        };
        assert_eq!(row["samples_not_kept_up_with"], behind);
        let peak = &row["client_peak_over_idle_bytes_median"];
        assert_eq!(peak.is_empty(), row["transport"] == "HTTP/2", "{row:?}");
    }
    // It is quicker than all others, and no lead is said to be its own.
    let answers = &files["performance.md"];
    let answers = answers.split("## The answers first").nth(1).unwrap();
    let answers = answers.split("## Latency").next().unwrap();
    assert!(!answers.contains("gRPC, session"), "{answers}");
}
