//! `conformance/RESULTS.md`, `conformance/results.json` and the matrix in README.md: what came of the conformance kit over the bindings of this
//! workspace.
//!
//! The kit is a test program like others; `outcome` reads what it prints, `page` writes it down.

mod outcome;
mod page;

use std::{env, error::Error, fs, path::Path, process::Command};

use crate::proto::Mode;
use outcome::Outcomes;

/// The test program that runs the kit.
const RUN: [&str; 10] = [
    "test",
    "--quiet",
    "--package",
    "comity-conformance",
    "--test",
    "bindings",
    "--",
    "--color",
    "never",
    "--format=pretty",
];

/// Where the matrix stands in README.md, between these lines.
const BEGIN: &str = "<!-- conformance: written by `cargo xtask conformance` -->";
const END: &str = "<!-- /conformance -->";

/// Runs the kit and writes the files, or says whether they are what would be written.
pub(crate) fn run(mode: Mode) -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ran = Command::new(cargo)
        .current_dir(&root)
        .args(RUN)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    let printed = String::from_utf8(ran.stdout)?;
    compare(mode, &printed)?;
    if ran.status.success() {
        return Ok(());
    }
    Err(format!("the kit failed:\n{}", failures(&printed)).into())
}

/// Writes the files of what the kit printed, or says whether they are what would be written.
pub(crate) fn compare(mode: Mode, printed: &str) -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let outcomes = Outcomes::read(printed)?;
    let readme = fs::read_to_string(root.join("README.md"))?;
    let files = [
        ("conformance/RESULTS.md", page::markdown(&outcomes)),
        ("conformance/results.json", page::json(&outcomes)?),
        ("README.md", embedded(&readme, &page::matrix(&outcomes))?),
    ];
    for (name, text) in files {
        let path = root.join(name);
        match mode {
            Mode::Write => fs::write(path, text)?,
            Mode::Check if fs::read_to_string(path).is_ok_and(|there| there == text) => {}
            Mode::Check => {
                let why =
                    format!("{name} is not what the kit gives, run `cargo xtask conformance`");
                return Err(why.into());
            }
        }
    }
    Ok(())
}

/// What the test program says of those that failed.
fn failures(printed: &str) -> &str {
    printed
        .find("\nfailures:\n")
        .map_or(printed, |place| &printed[place..])
}

fn embedded(readme: &str, matrix: &str) -> Result<String, String> {
    let missing = || format!("README.md has no `{BEGIN}` with a `{END}` behind it");
    let (before, rest) = readme.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n\n{matrix}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_takes_the_place_of_the_one_before() {
        let readme = format!("a\n{BEGIN}\n\nold\n{END}\nb\n");
        let new = embedded(&readme, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n"));
        assert_eq!(embedded(&new, "new\n").unwrap(), new);
        assert!(embedded("a", "new").unwrap_err().contains("README.md"));
    }
}
