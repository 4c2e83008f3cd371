//! Tells the program which compiler made it, and of which commit: a report says so.

use std::{env, fs, path::Path, process::Command};

/// The folders of what is measured. All of them are dependencies, so that a change in one builds this crate anew anyway: the commit is then looked up again, and no build depends on git's own files.
const MEASURED: [&str; 7] = [
    "rpc-core",
    "envelope",
    "proto",
    "net",
    "transport-http",
    "transport-grpc",
    "conformance",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=Cargo.toml");
    println!("cargo::rerun-if-env-changed={COMMIT}");
    // What is built is also what these say: versions, features, profiles.
    for file in ["Cargo.toml", "Cargo.lock"] {
        watch(&Path::new("..").join(file));
    }
    let root = Path::new("..");
    for folder in MEASURED {
        watch(&root.join(folder).join("src"));
        watch(&root.join(folder).join("Cargo.toml"));
    }
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compiler = said(Command::new(compiler).arg("--version"));
    let compiler = compiler.unwrap_or_else(|| "rustc of an unknown version".to_owned());
    println!("cargo::rustc-env=COMITY_BENCH_COMPILER={compiler}");
    let given = env::var(COMMIT).ok().filter(|given| !given.is_empty());
    let commit = given.or_else(described).or_else(packaged);
    let commit = commit.unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env={COMMIT}={commit}");
}

/// Has this run again when the file or folder changes. A path that is not there would have it run every time.
fn watch(path: &Path) {
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

/// Who builds without a repository may say it.
const COMMIT: &str = "COMITY_BENCH_COMMIT";

/// Of the repository that this crate is a folder of. A package of it that lies within another repository is not of that one.
fn described() -> Option<String> {
    let root = said(Command::new("git").args(["rev-parse", "--show-toplevel"]))?;
    let parent = Path::new("..").canonicalize().ok()?;
    if Path::new(&root).canonicalize().ok()? != parent {
        return None;
    }
    let describe = [
        "describe",
        "--always",
        "--abbrev=40",
        "--dirty",
        "--exclude=*",
    ];
    said(Command::new("git").args(describe))
}

/// Of a package, by what cargo wrote into it: `{"git": {"sha1": "…"}}`.
fn packaged() -> Option<String> {
    let text = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    let sha1 = rest.split('"').nth(1)?.to_owned();
    match text.contains("\"dirty\": true") {
        true => Some(format!("{sha1}-dirty")),
        false => Some(sha1),
    }
}

/// What a program said, if it ended well and said something.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
