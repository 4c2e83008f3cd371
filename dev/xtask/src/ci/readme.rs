//! The commands that README.md tells its readers to run, so that CI runs those and no others.

/// The commands under the heading marked with `<!-- ci: {mark} -->`: the lines of the first fenced block behind the mark.
///
/// # Errors
/// The mark is missing, stands twice, does not follow a heading, or no block with a command comes before the next heading.
pub(crate) fn commands(readme: &str, mark: &str) -> Result<Vec<String>, String> {
    let comment = format!("<!-- ci: {mark} -->");
    let lines: Vec<&str> = readme.lines().collect();
    let mut places = (0..lines.len()).filter(|place| lines[*place].trim() == comment);
    let place = places
        .next()
        .ok_or_else(|| format!("README.md has no `{comment}`"))?;
    if places.next().is_some() {
        return Err(format!("README.md has `{comment}` twice"));
    }
    let before = lines[..place]
        .iter()
        .rev()
        .find(|line| !line.trim().is_empty());
    if !before.is_some_and(|line| line.starts_with('#')) {
        return Err(format!(
            "`{comment}` does not stand under a heading of README.md"
        ));
    }
    let section = lines[place + 1..]
        .iter()
        .take_while(|line| !line.starts_with('#'));
    let mut block = section.skip_while(|line| !line.starts_with("```")).skip(1);
    let mut commands = Vec::new();
    for line in block.by_ref() {
        if line.starts_with("```") {
            if commands.is_empty() {
                return Err(format!("the block under `{comment}` has no command"));
            }
            return Ok(commands);
        }
        if !line.trim().is_empty() {
            commands.push(line.trim().to_owned());
        }
    }
    Err(format!(
        "no fenced block follows `{comment}` before the next heading"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "# Name\n\n## Try it\n<!-- ci: demo -->\n\nIt takes a minute:\n```sh\ncargo run\n\ncargo run -- b\n```\n\
        ```sh\nnot this\n```\n## Check it\n\n<!-- ci: test -->\n```sh\ncargo test --workspace\n```\n";

    #[test]
    fn the_first_block_under_the_mark_is_read() {
        assert_eq!(
            commands(README, "demo").unwrap(),
            ["cargo run", "cargo run -- b"]
        );
        assert_eq!(
            commands(README, "test").unwrap(),
            ["cargo test --workspace"]
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        for (readme, expected) in [
            ("# A\n", "has no"),
            ("# A\n<!-- ci: x -->\n# B\n<!-- ci: x -->\n", "twice"),
            ("text\n<!-- ci: x -->\n```\na\n```\n", "under a heading"),
            ("# A\n<!-- ci: x -->\n# B\n```\na\n```\n", "no fenced block"),
            ("# A\n<!-- ci: x -->\n```\n```\n", "has no command"),
            ("# A\n<!-- ci: x -->\n```\na\n", "no fenced block"),
        ] {
            let error = commands(readme, "x").unwrap_err();
            assert!(error.contains(expected), "{readme:?}: {error}");
        }
    }
}
