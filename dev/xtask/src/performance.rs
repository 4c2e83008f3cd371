//! The measured part of `docs/performance.md`: what a whole run of `comity bench` wrote as `performance.md`, between its marks.

use std::{error::Error, fs, path::Path};

const PAGE: &str = "docs/performance.md";

const BEGIN: &str = "<!-- table: performance -->\n";
const END: &str = "<!-- end of table -->";

/// What stands there before the first run is published.
const NOTHING: &str = "No whole run was published yet.";

/// Puts the part of the report in `folder` into the page. That of a `--quick` run, of an unfinished one, or of a tree with changes that no commit has, is refused: it is not to be quoted.
pub(crate) fn write(root: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let from = folder.join("performance.md");
    let part = fs::read_to_string(&from).map_err(|why| format!("{}: {why}", from.display()))?;
    let path = root.join(PAGE);
    let page = fs::read_to_string(&path).map_err(|why| format!("{PAGE}: {why}"))?;
    let page = put(&page, &part).map_err(|why| format!("{}: {why}", from.display()))?;
    fs::write(path, page)?;
    Ok(())
}

/// Says whether the marks are there, and whether what stands between them names its command and commit. Not whether it is of this commit: a run takes half an hour.
pub(crate) fn check(root: &Path) -> Result<(), Box<dyn Error>> {
    let page = fs::read_to_string(root.join(PAGE)).map_err(|why| format!("{PAGE}: {why}"))?;
    let (_, part, _) = split(&page).map_err(|why| format!("{PAGE}: {why}"))?;
    match part.trim().starts_with(NOTHING) {
        true => Ok(()),
        false => named(part).map_err(|why| format!("{PAGE}: {why}").into()),
    }
}

fn put(page: &str, part: &str) -> Result<String, String> {
    named(part)?;
    if part.contains(END) {
        return Err("it has the mark that it is to stand before".to_owned());
    }
    let (before, _, after) = split(page)?;
    Ok(format!("{before}{BEGIN}\n{}\n\n{END}{after}", part.trim()))
}

/// What stands before the first mark, between the two, and behind the second.
fn split(page: &str) -> Result<(&str, &str, &str), String> {
    let (before, rest) = page
        .split_once(BEGIN)
        .ok_or_else(|| format!("there is no {BEGIN:?}"))?;
    let (part, after) = rest
        .split_once(END)
        .ok_or_else(|| format!("{BEGIN:?} has no {END:?}"))?;
    Ok((before, part, after))
}

/// Its rows of the command and of a commit without changes.
fn named(part: &str) -> Result<(), String> {
    let row = |name: &str| {
        let begin = format!("| {name} | `");
        let mut lines = part.lines();
        let row = lines.find_map(|line| line.strip_prefix(&begin))?;
        row.strip_suffix("` |").filter(|value| !value.is_empty())
    };
    let command = row("command").ok_or("it names no command")?;
    if command.split_whitespace().any(|word| word == "--quick") {
        return Err("a quick run is not to be quoted".to_owned());
    }
    if part
        .lines()
        .any(|line| line.starts_with("| ended | unfinished"))
    {
        return Err("an unfinished run is not to be quoted".to_owned());
    }
    let commit = row("commit").ok_or("it names no commit")?;
    if commit.len() < 7 || !commit.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(format!("{commit:?} is no commit whose tree had no changes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(command: &str, commit: &str) -> String {
        format!("## The run\n\n| command | `{command}` |\n| commit | `{commit}` |\n")
    }

    #[test]
    fn a_part_takes_the_place_of_the_one_before() {
        let page = format!("# Performance\n\n{BEGIN}\nOld.\n\n{END}\n\nBehind.\n");
        let new = part("comity bench", "0123456789ab");
        let once = put(&page, &new).expect("it has marks");
        assert!(once.contains("0123456789ab") && !once.contains("Old."));
        assert!(once.starts_with("# Performance\n\n<!--") && once.ends_with("-->\n\nBehind.\n"));
        assert_eq!(put(&once, &new), Ok(once));
    }

    #[test]
    fn what_is_not_to_be_quoted_is_refused() {
        let page = format!("{BEGIN}{END}");
        for (command, commit) in [
            ("comity bench --quick", "0123456789ab"),
            ("comity bench", "0123456789ab-dirty"),
            ("comity bench", ""),
            ("", "0123456789ab"),
        ] {
            assert!(
                put(&page, &part(command, commit)).is_err(),
                "{command} {commit}"
            );
        }
        let unfinished =
            part("comity bench", "0123456789ab") + "| ended | unfinished: 1 of 2 cells |\n";
        assert!(put(&page, &unfinished).is_err());
        assert!(put("no marks", &part("comity bench", "0123456789ab")).is_err());
    }
}
