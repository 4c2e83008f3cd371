//! The conformance kit over `unix/1`.

// [doc: trials]
mod harness;

use comity_conformance::{samples, suite};
use libtest_mimic::Arguments;

fn main() {
    let trials = suite(harness::Unix, &samples());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
// [end doc]
