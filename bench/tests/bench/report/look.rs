//! A report to look at in a browser: `cargo test -p comity-bench --test bench -- --ignored looked_at --nocapture` says where it is.
//! `RESULTS` may name the `results.json` of a run, to see what a change makes of it.

use std::{env, path::Path};

use comity_bench::report;

use super::synthetic;

#[test]
#[ignore = "for a person's eyes"]
fn a_report_is_looked_at() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    let results = match env::var_os("RESULTS") {
        Some(path) => report::read(Path::new(&path)).unwrap(),
        None => synthetic::results(5),
    };
    report::write(&results, &folder).unwrap();
    println!("{}", folder.join("index.html").display());
}
