//! Text that someone else chose, where it is put: a page, a plot, a table, a document, a file's name.

use comity_core::shown::is_unseen;

/// Longest name in a plot; the middle of a longer one is left out.
pub(super) const SHORT: usize = 17;

/// The text with what cannot be seen shown as its number. What is left may stand in XML.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if is_unseen(c) => {
                shown.push_str(&format!("\u{fffd}{:x}", u32::from(c)));
            }
            c => shown.push(c),
        }
    }
    shown
}

/// At most `most` characters of it, its begin and its end.
pub(super) fn short(text: &str, most: usize) -> String {
    let text = shown(text);
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= most {
        return text;
    }
    let head = most / 2;
    let tail = most - head - 1;
    let head: String = characters[..head].iter().collect();
    let tail: String = characters[characters.len() - tail..].iter().collect();
    format!("{head}…{tail}")
}

/// A network's name in a sentence or a title.
pub(super) fn network_name(network: &str) -> String {
    short(network, 40)
}

/// A field of RFC 4180. One that a spreadsheet would take for a formula gets an apostrophe in front.
pub(super) fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = match formula {
        true => format!("'{text}"),
        false => text.to_owned(),
    };
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

/// For a cell of a table in Markdown: no mark of it, and no HTML, is left one.
pub(super) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in shown(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// For the name of a file, and for an anchor: lower-case letters, digits and hyphens, of which there is at least one.
pub(super) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().take(60) {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => slug.push(c),
            _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    match slug.trim_end_matches('-') {
        "" => "other".to_owned(),
        slug => slug.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_one_field_and_no_formula() {
        assert_eq!(field("gRPC, session"), "\"gRPC, session\"");
        assert_eq!(field("a \"b\""), "\"a \"\"b\"\"\"");
        assert_eq!(field("=1+1"), "'=1+1");
        assert_eq!(field("@a\nb"), "\"'@a\nb\"");
        assert_eq!(field("HTTP/2"), "HTTP/2");
    }

    #[test]
    fn a_slug_is_a_plain_file_name() {
        assert_eq!(slug("../../etc/passwd"), "etc-passwd");
        assert_eq!(slug("75ms-1%-5Mbit"), "75ms-1-5mbit");
        assert_eq!(slug("<>"), "other");
        assert!(slug(&"a".repeat(900)).len() <= 60);
    }

    #[test]
    fn a_long_name_keeps_both_ends() {
        assert_eq!(short("gRPC, session", SHORT), "gRPC, session");
        let name = short(&format!("begin{}end", "x".repeat(200)), 9);
        assert_eq!(name, "begi…xend");
        assert_eq!(shown("a\u{202e}b\0"), "a\u{fffd}202eb\u{fffd}0");
    }
}
