//! Words that belong to a wire, and so not into the page: one section excepted, which is about them.

/// The heading of that section.
const EXEMPT: &str = "## Why a method and a target are still signed";

/// Found anywhere, in any case.
const PARTS: &[&str] = &[
    "http",
    "grpc",
    "protobuf",
    "status",
    "header",
    "endpoint",
    "multipart",
    "content-type",
    "query parameter",
    "query string",
    "path parameter",
    "request line",
    "/_matrix",
    "::",
];

/// Found as whole words, in this case.
const WORDS: &[&str] = &[
    "GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "URI", "TLS", "TCP", "200", "202",
    "204", "301", "302", "304", "307", "308", "400", "401", "403", "404", "405", "408", "409",
    "413", "414", "429", "431", "500", "501", "502", "503", "504",
];

/// Every line with such a word, the word first. Neither where a link leads to is read, nor the name of a member that has more words than one
/// (`status_msg`).
pub(super) fn words(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut exempt = false;
    for line in page.lines() {
        if line.starts_with("## ") {
            exempt = line == EXEMPT;
        }
        if exempt {
            continue;
        }
        let read = without_names(&without_destinations(line));
        let lower = read.to_lowercase();
        let parts = PARTS.iter().filter(|part| lower.contains(**part));
        let whole = WORDS.iter().filter(|word| {
            read.split(|at: char| !at.is_alphanumeric() && !"_,.".contains(at))
                .any(|piece| piece.trim_matches(['.', ',']) == **word)
        });
        found.extend(parts.chain(whole).map(|word| format!("`{word}`: {line}")));
    }
    found
}

/// A line of Markdown without the destinations of its links.
fn without_destinations(line: &str) -> String {
    let mut pieces = line.split("](");
    let mut read = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        read += piece.split_once(')').map_or(piece, |(_, after)| after);
    }
    read
}

/// A line of Markdown without the code in it that has an underscore.
fn without_names(line: &str) -> String {
    let pieces = line.split('`').enumerate();
    let kept = pieces.filter(|(place, piece)| place % 2 == 0 || !piece.contains('_'));
    kept.map(|(_, piece)| piece).collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_the_wire_is_found_outside_its_section() {
        for (line, expected) in [
            ("sent as HTTP does", 1),
            ("answered 404, or so", 1),
            ("a GET or a PUT", 2),
            ("the Header and the status", 2),
            ("GetVersion gets 1,404 or 40.4 targets", 0),
            ("the [specification](https://spec.matrix.org)", 0),
            ("`push[].status_msg` and the status", 1),
            ("the `status`", 1),
        ] {
            assert_eq!(words(line).len(), expected, "{line}");
        }
        let page = format!("{EXEMPT}\nHTTP\n## Next\nHTTP\n");
        assert_eq!(words(&page), ["`http`: HTTP"]);
    }
}
