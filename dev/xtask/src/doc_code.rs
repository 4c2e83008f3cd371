//! The Rust on the pages of `docs/` is that of files which are compiled and run: each block is written from a marked region of one.
//!
//! On a page, `<!-- code: examples/one/src/lib.rs#row -->` stands in the line above a fenced `rust` block. In that file the region begins behind the line
//! `// [doc: row]` and ends before `// [end doc]`. A block without such a line above it is refused, so no page shows code that nobody compiles.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use crate::proto::Mode;

const FENCE: &str = "```";

/// Writes the blocks of every page, or compares them.
///
/// # Errors
/// A block names no region or one that is not there; or, when they are compared, it differs from its region.
pub(crate) fn run(mode: Mode) -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut findings = Vec::new();
    for path in pages(&root.join("docs"))? {
        let name = path.strip_prefix(&root)?.display().to_string();
        let page = fs::read_to_string(&path)?;
        let read =
            |file: &str| fs::read_to_string(root.join(file)).map_err(|error| error.to_string());
        match (written(&page, &read), mode) {
            (Err(finding), _) => findings.push(format!("{name}:{finding}")),
            (Ok(right), _) if right == page => {}
            (Ok(right), Mode::Write) => fs::write(&path, right)?,
            (Ok(_), Mode::Check) => findings.push(format!(
                "{name}: its code is not that of the files it names, run `cargo xtask doc-code`"
            )),
        }
    }
    match findings.is_empty() {
        true => Ok(()),
        false => Err(findings.join("\n  ").into()),
    }
}

/// The pages, those in folders too.
fn pages(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            pages.extend(self::pages(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    Ok(pages)
}

/// The page with each of its blocks written from the region that it names.
fn written(page: &str, read: &dyn Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let mut out = String::with_capacity(page.len());
    let mut lines = (1..).zip(page.lines());
    let mut above = "";
    while let Some((number, line)) = lines.next() {
        out += line;
        out.push('\n');
        let Some(language) = line.strip_prefix(FENCE) else {
            above = line;
            continue;
        };
        let code = if language.split(',').next() == Some("rust") {
            let source = above
                .strip_prefix("<!-- code: ")
                .and_then(|rest| rest.strip_suffix(" -->"))
                .and_then(|source| source.split_once('#'));
            let (file, name) = source.ok_or_else(|| {
                format!("{number}: no `<!-- code: file#region -->` in the line above this block")
            })?;
            let text = read(file).map_err(|error| format!("{number}: {file}: {error}"))?;
            let mut regions =
                regions(&text).map_err(|error| format!("{number}: {file}: {error}"))?;
            let region = regions.remove(name);
            Some(region.ok_or_else(|| format!("{number}: {file} has no region `{name}`"))?)
        } else {
            None
        };
        out += code.as_deref().unwrap_or_default();
        let closed = lines.by_ref().any(|(_, line)| {
            if line == FENCE || code.is_none() {
                out += line;
                out.push('\n');
            }
            line == FENCE
        });
        if !closed {
            return Err(format!("{number}: this block is not closed"));
        }
        above = FENCE;
    }
    Ok(out)
}

/// The regions of a file by name, without the indentation that all lines of one share.
fn regions(text: &str) -> Result<BTreeMap<&str, String>, String> {
    let mut regions = BTreeMap::new();
    let mut open: Option<(&str, Vec<&str>)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let mark = line.trim().strip_prefix("// [");
        if let Some(name) = mark.and_then(|mark| mark.strip_prefix("doc: ")?.strip_suffix(']')) {
            if open.is_some() || regions.contains_key(name) {
                return Err(format!(
                    "line {number}: region `{name}` is there twice, or within another"
                ));
            }
            open = Some((name, Vec::new()));
        } else if mark == Some("end doc]") {
            let (name, lines) = open
                .take()
                .ok_or_else(|| format!("line {number}: no region ends here"))?;
            regions.insert(name, dedented(&lines));
        } else if let Some((_, lines)) = &mut open {
            lines.push(line);
        }
    }
    match open {
        Some((name, _)) => Err(format!("region `{name}` does not end")),
        None => Ok(regions),
    }
}

fn dedented(lines: &[&str]) -> String {
    let filled = lines.iter().filter(|line| !line.trim().is_empty());
    let indent = filled.map(|line| line.len() - line.trim_start().len());
    let indent = indent.min().unwrap_or_default();
    lines
        .iter()
        .map(|line| format!("{}\n", line.get(indent..).unwrap_or_default()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str =
        "mod a;\n    // [doc: one]\n    fn one() {\n\n        1\n    }\n    // [end doc]\n";

    fn page(page: &str) -> Result<String, String> {
        written(page, &|file| match file {
            "a.rs" => Ok(SOURCE.to_owned()),
            _ => Err("no such file".to_owned()),
        })
    }

    #[test]
    fn a_block_is_written_from_its_region_and_the_rest_stays() {
        let right = "# A\n```sh\nx\n```\n<!-- code: a.rs#one -->\n```rust,ignore\nfn one() {\n\n    1\n}\n```\nend\n";
        let wrong = right.replace("    1\n", "    2\n    3\n");
        assert_eq!(page(&wrong).unwrap(), right);
        assert_eq!(page(right).unwrap(), right);
    }

    #[test]
    fn a_block_of_no_file_is_refused() {
        for (text, expected) in [
            ("```rust\n1\n```\n", "1: no `<!-- code:"),
            (
                "<!-- code: a.rs#one -->\n\n```rust\n1\n```\n",
                "3: no `<!-- code:",
            ),
            (
                "<!-- code: a.rs#two -->\n```rust\n1\n```\n",
                "2: a.rs has no region `two`",
            ),
            (
                "<!-- code: b.rs#one -->\n```rust\n1\n```\n",
                "2: b.rs: no such file",
            ),
            (
                "<!-- code: a.rs#one -->\n```rust\n1\n",
                "2: this block is not closed",
            ),
        ] {
            let error = page(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_region_that_is_open_or_twice_is_refused() {
        for text in [
            "// [doc: a]\n",
            "// [end doc]\n",
            "// [doc: a]\n// [doc: b]\n",
            "// [doc: a]\n// [end doc]\n// [doc: a]\n",
        ] {
            assert!(regions(text).is_err(), "{text}");
        }
    }
}
