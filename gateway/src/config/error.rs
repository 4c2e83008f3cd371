//! What is wrong with a configuration, and where.

use std::{fmt, io, ops::Range};

/// A configuration that is refused: file, line and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The file's name.
    pub file: String,
    /// The line, from 1; none if the file could not be read.
    pub line: Option<usize>,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// What is wrong with a value, and where it stands in the text.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: Range<usize>,
    pub(super) reason: String,
}

impl ConfigError {
    pub(super) fn at(file: &str, text: &str, fault: Fault) -> Self {
        Self {
            file: file.to_owned(),
            line: Some(line_of(text, fault.at.start)),
            reason: fault.reason,
        }
    }

    pub(super) fn unread(file: &str, error: &io::Error) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            reason: format!("the file cannot be read: {error}"),
        }
    }

    pub(super) fn of_toml(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let at = error.span().map_or(0, |span| span.start);
        Self {
            file: file.to_owned(),
            line: Some(line_of(text, at)),
            reason: plainer(error.message()),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.reason),
            None => write!(f, "{}: {}", self.file, self.reason),
        }
    }
}

impl std::error::Error for ConfigError {}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// serde's words on an unknown setting (`serde::de::Error::unknown_field`), with the one that was probably meant in place of the whole list. Its other words
/// stay as they are, and so would these if serde changed them.
fn plainer(message: &str) -> String {
    let message = message.trim_end();
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return message.to_owned();
    };
    let mut names = rest.split('`').step_by(2);
    let unknown = names.next().unwrap_or_default();
    match nearest(unknown, names.filter(|name| !name.is_empty())) {
        Some(name) => format!("there is no setting `{unknown}` here; did you mean `{name}`?"),
        None => message.to_owned(),
    }
}

/// The one of `names` with the fewest letters to change from `word`, the first if several have as few.
pub(super) fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    names.into_iter().min_by_key(|name| distance(word, name))
}

/// Levenshtein's distance, in bytes.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let change = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(
            nearest("adress", ["tls", "address", "key"]),
            Some("address")
        );
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn other_words_stay() {
        assert_eq!(
            plainer("invalid type: integer `7`"),
            "invalid type: integer `7`"
        );
        assert_eq!(
            plainer("unknown field `adress`, expected one of `address`, `tls`"),
            "there is no setting `adress` here; did you mean `address`?"
        );
        assert_eq!(
            plainer("unknown field `grcp`, expected `grpc`"),
            "there is no setting `grcp` here; did you mean `grpc`?"
        );
    }
}
