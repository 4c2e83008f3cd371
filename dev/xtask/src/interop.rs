//! `cargo xtask interop`: real homeservers over our gateways, driven by dev/interop, which says what is tested.
//!
//! Here is only what has to be there first: a Python environment with Synapse, made once and kept under target/, and `comity`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::ci::{GivenUp, Outcome};

/// Where the environment, and the files of the last run, are kept.
const FOLDER: &str = "target/interop";

/// Runs the scenarios whose name has one of these words, or all of them.
pub(crate) fn run(root: &Path, words: &[&str]) -> Outcome {
    prepare(root, &GivenUp::default())?;
    run_program(root, &comity(root)?, words)
}

/// Makes the environment, which takes as long as the network does. Whoever runs the scenarios finds it.
pub(crate) fn prepare(root: &Path, given_up: &GivenUp) -> Outcome {
    environment(root, given_up).map(drop)
}

/// Likewise as [`run`], with a `comity` that is there.
pub(crate) fn run_program(root: &Path, comity: &Path, words: &[&str]) -> Outcome {
    let python = environment(root, &GivenUp::default())?;
    let run = Command::new(python)
        .current_dir(root)
        .arg("dev/interop/run.py")
        .arg("--comity")
        .arg(comity)
        .arg("--folder")
        .arg(format!("{FOLDER}/run"))
        .args(words)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .status()?;
    if run.success() {
        return Ok(());
    }
    Err(format!("the interoperability scenarios ended with {run}").into())
}

/// The Python of a virtual environment that has what dev/interop/requirements.txt lists. Made anew when the list changes.
fn environment(root: &Path, given_up: &GivenUp) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let venv = root.join(FOLDER).join("venv");
    let python = venv.join("bin/python");
    let requirements = fs::read_to_string(root.join("dev/interop/requirements.txt"))?;
    // Written last, so that an installation that broke off is not taken for a whole one.
    let installed = venv.join("installed.txt");
    if python.exists() && fs::read_to_string(&installed).is_ok_and(|was| was == requirements) {
        return Ok(python);
    }
    done(
        Command::new("python3").args(["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]),
        "Python 3.11 or later is needed",
        given_up,
    )?;
    println!("interop: making a Python environment with Synapse in {FOLDER}/venv");
    done(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&venv),
        "`python3 -m venv` failed; Debian has it in the package python3-venv",
        given_up,
    )?;
    done(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .args(["--disable-pip-version-check", "--requirement"])
            .arg(root.join("dev/interop/requirements.txt")),
        "Synapse could not be installed",
        given_up,
    )?;
    fs::write(installed, requirements)?;
    Ok(python)
}

/// Builds the `comity` program, and says where it is.
fn comity(root: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    done(
        Command::new(cargo)
            .current_dir(root)
            .args(["build", "--quiet", "--package", "comity-cli"]),
        "`comity` does not build",
        &GivenUp::default(),
    )?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("debug/comity"))
}

fn done(command: &mut Command, otherwise: &str, given_up: &GivenUp) -> Outcome {
    let spawned = command.spawn();
    let mut child = spawned.map_err(|error| format!("{otherwise}: {command:?}: {error}"))?;
    let status = given_up.wait(&mut child)?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{otherwise}: {command:?} ended with {status}").into())
}
