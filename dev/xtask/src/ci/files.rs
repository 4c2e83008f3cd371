//! What may not stand in a committed file, and how long a file should be, or may.

use std::{error::Error, fs, path::Path, process::Command};

use super::{Outcome, found};

/// A source file above this is worth a second look.
const LONG: usize = 500;

/// Folders that are some machine's, and so nobody else's. Written without their slashes, so that this file passes its own check.
const MACHINE_FOLDERS: &[&str] = &["tmp", "root", "work", "home", "Users"];

/// Hosts that packages are fetched from. Which one is a matter of the machine that fetches; the lock file names the registry.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("proxy.", "golang.org"),
    concat!("registry.", "npmjs.org"),
    concat!("files.", "pythonhosted.org"),
    concat!("pypi", ".org"),
];

/// The only source that a locked package may have. Another one is a mirror, or a fork that nobody agreed to.
const LOCKED_SOURCE: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

/// What an example promises: that so little code is enough. All lines of its Rust files count.
const BUDGETS: &[(&str, usize)] = &[("examples/unix-socket-transport/src/", 120)];

/// Looks through every file that git knows, and prints the long ones.
pub(crate) fn check(root: &Path) -> Outcome {
    let mut findings = Vec::new();
    let mut long = Vec::new();
    let mut spent = vec![0; BUDGETS.len()];
    for path in committed(root)? {
        // A file that was removed and not committed yet is no concern of this check.
        let Ok(bytes) = fs::read(root.join(&path)) else {
            continue;
        };
        // Binary files are fixtures and descriptors.
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        if text.contains('\0') {
            continue;
        }
        findings.extend(in_text(&path, &text));
        let lines = text.lines().count();
        for ((folder, _), spent) in BUDGETS.iter().zip(&mut spent) {
            if path.starts_with(folder) && path.ends_with(".rs") {
                *spent += lines;
            }
        }
        if path.ends_with(".rs")
            && path.contains("src/")
            && !path.contains("/generated/")
            && lines > LONG
        {
            long.push(format!("{path}: {lines} lines"));
        }
    }
    if !long.is_empty() {
        println!("warning: over {LONG} lines:\n  {}", long.join("\n  "));
    }
    findings.extend(over_budget(&spent));
    found(findings)
}

/// Folders with more lines than their budget. None at all is a budget for a folder that is somewhere else now.
fn over_budget(spent: &[usize]) -> Vec<String> {
    let budgets = BUDGETS.iter().zip(spent);
    let broken = budgets.filter(|((_, budget), spent)| !(1..=*budget).contains(spent));
    broken
        .map(|((folder, budget), spent)| {
            format!("{folder}: {spent} lines, and it promises 1 to {budget}")
        })
        .collect()
}

fn committed(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err(format!("`git ls-files` ended with {}", output.status).into());
    }
    let names = String::from_utf8(output.stdout)?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

/// Every line of a file that should not be committed.
fn in_text(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(folder) = MACHINE_FOLDERS
            .iter()
            .find(|folder| names_folder(line, folder))
        {
            findings.push(format!(
                "{path}:{number}: names a machine's folder, /{folder}"
            ));
        }
        if let Some(host) = REGISTRY_HOSTS.iter().find(|host| line.contains(**host)) {
            findings.push(format!(
                "{path}:{number}: names a package registry's host, {host}"
            ));
        }
        if path.ends_with("Cargo.lock") && line.starts_with("source = ") && line != LOCKED_SOURCE {
            findings.push(format!(
                "{path}:{number}: a package comes from elsewhere: {line}"
            ));
        }
    }
    findings
}

/// Whether `/{folder}/` stands in the line where a path begins, rather than in the middle of a URL or a longer path.
fn names_folder(line: &str, folder: &str) -> bool {
    let path = format!("/{folder}/");
    line.match_indices(&path).any(|(place, _)| {
        let before = line[..place].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || "._-~}*$%".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_folder_is_found_where_a_path_begins() {
        for (line, expected) in [
            ("open(\"{}\")", true),
            ("cd {}", true),
            ("file://{}", true),
            ("https://example.org{}", false),
            ("..{}", false),
            ("nothing", false),
        ] {
            let line = line.replace("{}", &format!("/{}/x", "tmp"));
            assert_eq!(names_folder(&line, "tmp"), expected, "{line}");
        }
    }

    #[test]
    fn an_example_keeps_to_its_lines() {
        assert_eq!(over_budget(&[120]).len(), 0);
        assert_eq!(over_budget(&[121]).len(), 1);
        assert_eq!(over_budget(&[0]).len(), 1);
    }

    #[test]
    fn a_mirror_and_a_registry_host_are_found() {
        let mirror = "source = \"registry+https://mirror.example/index\"\n";
        assert_eq!(in_text("Cargo.lock", mirror).len(), 1);
        assert_eq!(in_text("Cargo.lock", LOCKED_SOURCE).len(), 0);
        assert_eq!(in_text("README.md", mirror).len(), 0);
        let host = format!("curl https://{}/x", REGISTRY_HOSTS[0]);
        assert_eq!(in_text("README.md", &host).len(), 1);
    }
}
