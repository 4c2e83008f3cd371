//! The table of operations against the Matrix specification, where there is a checkout of it: it is large, and not ours to vendor.

use std::{env, path::Path};

use super::{Outcome, command::Command};

/// Names a checkout that lies elsewhere than beside the repository.
const ELSEWHERE: &str = "COMITY_MATRIX_SPEC";

/// Where a checkout lies beside the repository.
const BESIDE: &str = "../shared/matrix-spec";

/// Compares with the checkout that is there, or says that there is none.
pub(crate) fn check(root: &Path) -> Outcome {
    if let Some(named) = env::var_os(ELSEWHERE) {
        return compare(root, Path::new(&named));
    }
    let beside = root.join(BESIDE);
    if beside.is_dir() {
        return compare(root, &beside);
    }
    println!(
        "SKIPPED: no checkout of matrix-org/matrix-spec at {BESIDE}; {ELSEWHERE} can name another"
    );
    Ok(())
}

/// Compares with the checkout in `directory`.
pub(crate) fn compare(root: &Path, directory: &Path) -> Outcome {
    let directory = env::current_dir()?.join(directory);
    Command::cargo(root, "run --quiet --package comity-spec-coverage --")
        .argument(&directory)
        .run()
}
