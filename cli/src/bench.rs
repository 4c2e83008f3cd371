//! `comity bench`: our transports compared. What it does is in `comity-bench`, for anyone's transport.

use std::process::ExitCode;

use comity_bench::{Options, subject::Subject};

/// Who takes part: the bindings of this workspace, and with the feature `bench-peers` what others would do.
fn subjects() -> Vec<Subject> {
    let ours = comity_bench::subject::ours();
    #[cfg(feature = "bench-peers")]
    let ours = ours
        .into_iter()
        .chain(comity_bench::peers::subjects())
        .collect();
    ours
}

pub(crate) fn main(options: &Options) -> ExitCode {
    comity_bench::main(subjects(), options)
}

/// The whole of a process that the comparison started; none if this is no such process.
pub(crate) fn child() -> Option<ExitCode> {
    comity_bench::child(subjects())
}
