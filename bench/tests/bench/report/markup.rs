//! Whether a document is well-formed XML, as far as ours use it: enough to notice what was not escaped or not closed.

use std::collections::BTreeSet;

/// Reads the whole document, and gives its text without markup.
///
/// # Panics
/// If it is not well-formed.
pub fn text(document: &str) -> String {
    let mut open: Vec<&str> = Vec::new();
    let mut text = String::new();
    let mut rest = document;
    if let Some(behind) = rest.strip_prefix("<!DOCTYPE html>\n") {
        rest = behind;
    }
    let mut roots = 0;
    while let Some((before, behind)) = rest.split_once('<') {
        text.push_str(&unescaped(before));
        assert!(
            !open.is_empty() || before.trim().is_empty(),
            "text outside the document: {before:?}"
        );
        let (tag, behind) = behind.split_once('>').expect("a tag has no end");
        rest = behind;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "a tag is closed that is not open");
            continue;
        }
        let (tag, closed) = match tag.strip_suffix('/') {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let name = tag.split([' ', '\n']).next().unwrap();
        assert!(
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()),
            "{tag:?}"
        );
        attributes(&tag[name.len()..]);
        if open.is_empty() {
            roots += 1;
        }
        if !closed {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    assert_eq!((roots, rest.trim()), (1, ""));
    text
}

fn attributes(mut rest: &str) {
    let mut names = BTreeSet::new();
    while !rest.trim().is_empty() {
        assert!(rest.starts_with([' ', '\n']), "no space before {rest:?}");
        let (name, behind) = rest
            .split_once("=\"")
            .unwrap_or_else(|| panic!("no value: {rest:?}"));
        assert!(names.insert(name.trim()), "{name} twice");
        assert!(
            name.trim()
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-:".contains(c)),
            "{name:?}"
        );
        let (value, behind) = behind.split_once('"').expect("a value has no end");
        unescaped(value);
        rest = behind;
    }
}

fn unescaped(text: &str) -> String {
    let characters = text.chars();
    let allowed = |c: char| {
        matches!(c, '\n' | '\t') || (!c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}'))
    };
    assert!(characters.clone().all(allowed), "{text:?}");
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let (entity, behind) = part
            .split_once(';')
            .unwrap_or_else(|| panic!("& alone before {part:?}"));
        plain.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" | "#39" => '\'',
            other => panic!("&{other}; is no entity of XML"),
        });
        plain.push_str(behind);
    }
    plain
}

/// Attributes whose name is this one.
pub fn values<'a>(document: &'a str, name: &str) -> Vec<&'a str> {
    let begin = format!(" {name}=\"");
    let parts = document.split(&begin[..]).skip(1);
    parts.map(|part| part.split('"').next().unwrap()).collect()
}

#[test]
fn what_is_not_well_formed_is_noticed() {
    assert_eq!(text("<a b=\"c\">x &lt; y<br/></a>"), "x < y");
    for wrong in [
        "<a>",
        "<a></b>",
        "<a b=c></a>",
        "<a>&nbsp;</a>",
        "<a>a & b</a>",
        "<a/><b/>",
        "<a>\0</a>",
        "<a b=\"1\" b=\"2\"/>",
    ] {
        assert!(std::panic::catch_unwind(|| text(wrong)).is_err(), "{wrong}");
    }
}
