//! What others wrote, made fit for a terminal.

use std::{
    fmt::{self, Write as _},
    io::{self, Write as _},
};

use comity_core::shown::is_unseen;
use serde_json::Value;

use crate::failure::Failure;

/// Writes a command's result to standard output.
pub(crate) fn put(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Failure::output("the result", &error))
}

/// Displays a text with what a terminal would obey, what would turn the line around, and what would end it, as escapes: nobody adds a line to what is told of them.
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, |_| false, f)
    }
}

/// A JSON text in which only strings can hold what has to be escaped: it stays the same JSON.
pub(crate) struct JsonText<'a>(pub(crate) &'a str);

impl fmt::Display for JsonText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, |c| matches!(c, '\n' | ' '), f)
    }
}

/// A JSON value on several lines.
pub(crate) fn pretty(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).expect("a JSON value is JSON");
    JsonText(&text).to_string()
}

fn escape(text: &str, keep: impl Fn(char) -> bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for c in text.chars() {
        if !is_unseen(c) || keep(c) {
            f.write_char(c)?;
            continue;
        }
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            write!(f, "\\u{unit:04x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_peer_writes_reaches_the_terminal_as_a_command() {
        let hostile = "a\u{1b}]0;title\u{7}\u{9b}31m\u{202e}b\r\nnothing is wrong";
        let shown = Printable(hostile).to_string();
        assert!(!shown.contains(|c: char| c.is_control()), "{shown:?}");
        assert!(shown.contains("\\u001b]0;title"), "{shown}");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({ "a\u{9b}": "\u{202e}\u{e0001}\u{1b}", "b": [1, "\n"] });
        let text = pretty(&value);
        assert!(
            !text.contains(['\u{9b}', '\u{202e}', '\u{e0001}']),
            "{text:?}"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
