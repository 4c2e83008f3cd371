//! A report to look at in a browser: `cargo test -p comity-bench --test bench -- --ignored looked_at` says where it is.

use std::path::Path;

use comity_bench::report;

use super::synthetic;

#[test]
#[ignore = "for a person's eyes"]
fn a_report_of_synthetic_results_is_looked_at() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("synthetic-report");
    report::write(&synthetic::results(5), &folder).unwrap();
    println!("{}", folder.join("index.html").display());
}
