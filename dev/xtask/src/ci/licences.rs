//! Whether every dependency may be used: its licence expression (SPDX, annex D of the specification) against a list.

use super::cargo::Metadata;

/// Licences that a program under `MIT OR Apache-2.0` can be built from. MPL-2.0 binds the files under it alone, and we change none.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Every package whose licence is not satisfied by the list.
pub(crate) fn check(metadata: &Metadata) -> Vec<String> {
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let (name, version) = (&package.name, &package.version);
        let Some(expression) = &package.license else {
            findings.push(format!("{name} {version} names no licence"));
            continue;
        };
        match is_satisfied(expression, ALLOWED) {
            Ok(true) => {}
            Ok(false) => findings.push(format!(
                "{name} {version} is under {expression}, which is not on the list"
            )),
            Err(error) => findings.push(format!(
                "{name} {version}: the licence `{expression}` {error}"
            )),
        }
    }
    findings
}

/// Whether a licence expression can be satisfied by licences that are on the list alone. `/` is the old way to write `OR`.
///
/// # Errors
/// Why the text is no expression.
fn is_satisfied(expression: &str, allowed: &[&str]) -> Result<bool, String> {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut parser = Parser {
        words: spaced.split_whitespace().collect(),
        place: 0,
        allowed,
    };
    let satisfied = parser.either()?;
    match parser.peek() {
        None => Ok(satisfied),
        Some(word) => Err(format!("has `{word}` where it should end")),
    }
}

/// Recursive descent; `AND` binds tighter than `OR`. Both sides are always read, so that a mistake behind a satisfied one is found.
struct Parser<'a> {
    words: Vec<&'a str>,
    place: usize,
    allowed: &'a [&'a str],
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.place).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let taken = self.peek() == Some(word);
        self.place += usize::from(taken);
        taken
    }

    fn either(&mut self) -> Result<bool, String> {
        let mut satisfied = self.both()?;
        while self.take("OR") {
            satisfied |= self.both()?;
        }
        Ok(satisfied)
    }

    fn both(&mut self) -> Result<bool, String> {
        let mut satisfied = self.one()?;
        while self.take("AND") {
            satisfied &= self.one()?;
        }
        Ok(satisfied)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.take("(") {
            let satisfied = self.either()?;
            return if self.take(")") {
                Ok(satisfied)
            } else {
                Err("lacks a `)`".to_owned())
            };
        }
        let licence = self.identifier()?;
        // An exception only gives more rights than the licence it stands behind.
        if self.take("WITH") {
            self.identifier()?;
        }
        Ok(self.allowed.contains(&licence))
    }

    fn identifier(&mut self) -> Result<&'a str, String> {
        match self.peek() {
            Some("AND" | "OR" | "WITH" | "(" | ")") | None => {
                Err(format!("lacks an identifier at word {}", self.place + 1))
            }
            Some(word) => {
                self.place += 1;
                Ok(word)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn satisfied(expression: &str) -> Result<bool, String> {
        is_satisfied(expression, &["MIT", "ISC", "Apache-2.0"])
    }

    #[test]
    fn one_side_of_or_and_both_of_and_are_needed() {
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("GPL-3.0-only OR MIT", true),
            ("GPL-3.0-only/MIT", true),
            ("Apache-2.0 / MIT", true),
            ("MIT AND GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only AND GPL-2.0-only", true),
            ("(MIT OR GPL-3.0-only) AND GPL-2.0-only", false),
            ("ISC AND (Apache-2.0 OR ISC)", true),
            ("Apache-2.0 WITH LLVM-exception OR GPL-2.0-only", true),
            ("((MIT))", true),
            // An identifier is matched whole and as it is written.
            ("mit", false),
            ("MIT-0", false),
        ] {
            assert_eq!(satisfied(expression), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for expression in [
            "",
            "MIT OR",
            "AND MIT",
            "(MIT",
            "MIT)",
            "MIT ISC",
            "MIT WITH",
            "()",
            "MIT OR OR ISC",
        ] {
            assert!(satisfied(expression).is_err(), "{expression}");
        }
    }

    #[test]
    fn a_package_off_the_list_is_named() {
        let metadata = serde_json::from_str(
            r#"{"workspace_members":[],"resolve":{"nodes":[]},"packages":[
                {"id":"a","name":"good","version":"1.0.0","license":"MIT OR Apache-2.0"},
                {"id":"b","name":"bad","version":"2.0.0","license":"AGPL-3.0-only"},
                {"id":"c","name":"silent","version":"3.0.0"},
                {"id":"d","name":"broken","version":"4.0.0","license":"MIT AND"}]}"#,
        )
        .unwrap();
        let findings = check(&metadata);
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert!(findings[0].contains("bad 2.0.0 is under AGPL-3.0-only"));
        assert!(findings[1].contains("silent 3.0.0 names no licence"));
        assert!(findings[2].contains("broken 4.0.0"));
    }
}
