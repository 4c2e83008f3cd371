//! The measured part of `docs/performance.md`: what a whole run of `comity bench` wrote as `performance.md`, between its marks.

use std::{error::Error, fs, path::Path};

const PAGE: &str = "docs/performance.md";

const BEGIN: &str = "<!-- table: performance -->\n";
const END: &str = "<!-- end of table -->";

/// What stands there before the first run is published.
const NOTHING: &str = "No whole run was published yet.";

/// What stands before the figures of a run that did not measure the whole plan.
const OF_A_PART: &str = "> **Of a part of the plan, as its command says: no whole run.**";

/// What has a run measure less than the whole plan, or otherwise.
const NARROWING: [&str; 8] = [
    "--transports",
    "--flows",
    "--scenarios",
    "--networks",
    "--seeds",
    "--seed",
    "--seconds",
    "--no-emulation",
];

/// Whether figures of a part of the plan are let in. They say then that they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parts {
    Allowed,
    Refused,
}

/// Puts the part of the report in `folder` into the page. That of a `--quick` run, of an unfinished one, or of a tree with changes that no commit has, is refused: it is not to be quoted.
pub(crate) fn write(root: &Path, folder: &Path, parts: Parts) -> Result<(), Box<dyn Error>> {
    let from = folder.join("performance.md");
    let part = fs::read_to_string(&from).map_err(|why| format!("{}: {why}", from.display()))?;
    let path = root.join(PAGE);
    let page = fs::read_to_string(&path).map_err(|why| format!("{PAGE}: {why}"))?;
    let page = put(&page, &part, parts).map_err(|why| format!("{}: {why}", from.display()))?;
    fs::write(path, page)?;
    Ok(())
}

/// Says whether the marks are there, and whether what stands between them names its command and commit, and is of a whole run or says that it is not. Not whether it is of this commit: a run takes half an hour.
pub(crate) fn check(root: &Path) -> Result<(), Box<dyn Error>> {
    let page = fs::read_to_string(root.join(PAGE)).map_err(|why| format!("{PAGE}: {why}"))?;
    let (_, part, _) = split(&page).map_err(|why| format!("{PAGE}: {why}"))?;
    match part.trim().starts_with(NOTHING) {
        true => Ok(()),
        false => checked(part).map_err(|why| format!("{PAGE}: {why}").into()),
    }
}

fn checked(part: &str) -> Result<(), String> {
    let whole = named(part)?;
    match whole || part.contains(OF_A_PART) {
        true => Ok(()),
        false => Err(format!(
            "it is no whole run, and does not say so: {OF_A_PART}"
        )),
    }
}

fn put(page: &str, part: &str, parts: Parts) -> Result<String, String> {
    let whole = named(part)?;
    if !whole && parts == Parts::Refused {
        return Err("it is no whole run of the plan; `--part` lets it in, and says so".to_owned());
    }
    if part.contains(END) {
        return Err("it has the mark that it is to stand before".to_owned());
    }
    let (before, _, after) = split(page)?;
    let part = part.trim();
    let part = match whole {
        true => part.to_owned(),
        false => format!("{OF_A_PART}\n\n{part}"),
    };
    Ok(format!("{before}{BEGIN}\n{part}\n\n{END}{after}"))
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

/// Reads its rows of the command and of a commit without changes. Whether it is of a whole run, which has ended.
fn named(part: &str) -> Result<bool, String> {
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
    let narrows = |word: &str| {
        let name = word.split('=').next().unwrap_or(word);
        NARROWING.contains(&name)
    };
    let ended = part.lines().any(|line| line == "| ended | yes |");
    Ok(ended && !command.split_whitespace().any(narrows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(command: &str, commit: &str) -> String {
        format!(
            "## The run\n\n| command | `{command}` |\n| commit | `{commit}` |\n| ended | yes |\n"
        )
    }

    #[test]
    fn a_part_takes_the_place_of_the_one_before() {
        let page = format!("# Performance\n\n{BEGIN}\nOld.\n\n{END}\n\nBehind.\n");
        let new = part("comity bench", "0123456789ab");
        let put = |page: &str| put(page, &new, Parts::Refused);
        let once = put(&page).expect("it has marks");
        assert!(once.contains("0123456789ab") && !once.contains("Old."));
        assert!(once.starts_with("# Performance\n\n<!--") && once.ends_with("-->\n\nBehind.\n"));
        assert_eq!(put(&once), Ok(once));
    }

    #[test]
    fn a_part_of_the_plan_is_let_in_only_if_it_says_so() {
        let page = format!("{BEGIN}{END}");
        for narrowed in [
            "--networks lan",
            "--networks=lan",
            "--transports 'gRPC, session'",
            "--flows concurrent",
            "--scenarios steady",
            "--seeds 2",
            "--seed 3",
            "--seconds 0.3",
            "--no-emulation",
        ] {
            let command = format!("comity bench {narrowed} --output report");
            let new = part(&command, "0123456789ab");
            assert!(put(&page, &new, Parts::Refused).is_err(), "{narrowed}");
            let with = put(&page, &new, Parts::Allowed).expect("it is asked for");
            assert!(with.contains(OF_A_PART), "{narrowed}");
            assert_eq!(checked(&with), Ok(()), "{narrowed}");
            assert!(checked(&new).is_err(), "{narrowed}");
        }
        // One that does not say that it has ended.
        let silent = part("comity bench", "0123456789ab").replace("| ended | yes |\n", "");
        assert!(put(&page, &silent, Parts::Refused).is_err());
        let whole = part("comity bench --all --output report", "0123456789ab");
        let with = put(&page, &whole, Parts::Allowed).expect("it is whole");
        assert!(!with.contains(OF_A_PART));
        assert_eq!(checked(&whole), Ok(()));
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
                put(&page, &part(command, commit), Parts::Allowed).is_err(),
                "{command} {commit}"
            );
        }
        let unfinished =
            part("comity bench", "0123456789ab") + "| ended | unfinished: 1 of 2 cells |\n";
        assert!(put(&page, &unfinished, Parts::Allowed).is_err());
        let whole = part("comity bench", "0123456789ab");
        assert!(put("no marks", &whole, Parts::Allowed).is_err());
    }
}
