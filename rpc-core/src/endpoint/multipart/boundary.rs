//! The `boundary` parameter of a `Content-Type` (RFC 2046 §5.1.1, RFC 9110 §5.6.6).

/// The first `boundary` among `;`-separated parameters, unquoted. An unquoted one may have characters
/// that should have been quoted, as some servers write them.
pub(super) fn boundary_parameter(mut parameters: &str) -> Option<String> {
    while !parameters.is_empty() {
        let (name, rest) = parameters.split_once('=')?;
        // Pieces without `=` may stand before the name.
        let name = name.rsplit(';').next().unwrap_or(name).trim();
        let rest = rest.trim_start();
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = rest.find(';').unwrap_or(rest.len());
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        if name.eq_ignore_ascii_case("boundary") {
            return Some(value);
        }
        parameters = rest;
    }
    None
}

/// A quoted string behind its first quote (RFC 9110 §5.6.4), and what follows it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[index + 1..])),
            '\\' => value.push(characters.next()?.1),
            character => value.push(character),
        }
    }
    None
}
