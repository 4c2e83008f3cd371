//! Characters to JSON text and back.

use std::borrow::Cow;

use super::error::{IngestError, IngestErrorKind, expected};
use super::scan::{hex4, plain_run, unescape_short};

/// Appends `s` as a canonical JSON string: quoted, and escaped where canonical JSON demands it, nowhere else.
pub fn write_string(out: &mut Vec<u8>, s: &str) {
    let bytes = s.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut start = 0;
    loop {
        let end = plain_run(bytes, start);
        out.extend_from_slice(&bytes[start..end]);
        match bytes.get(end) {
            Some(&special) => write_char(out, char::from(special)),
            None => break,
        }
        start = end + 1;
    }
    out.push(b'"');
}

/// Appends one character as it stands within a canonical JSON string.
pub(super) fn write_char(out: &mut Vec<u8>, character: char) {
    let short = match character {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\0'..='\u{1f}' => {
            let code = character as u8;
            out.extend_from_slice(b"\\u00");
            out.push(b'0' + (code >> 4));
            out.push(b"0123456789abcdef"[usize::from(code & 15)]);
            return;
        }
        _ => {
            let mut buffer = [0; 4];
            out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// What a string stands for, given the checked text between its quotes, however it is spelled.
pub(super) fn decode(text: &[u8]) -> Cow<'_, str> {
    const CHECKED: &str = "the text of a string was checked to be UTF-8";
    match unescape(text) {
        Cow::Borrowed(bytes) => Cow::Borrowed(std::str::from_utf8(bytes).expect(CHECKED)),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).expect(CHECKED)),
    }
}

/// [`decode`] without the type of the result: bytes of UTF-8.
pub(super) fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    let mut at = plain_run(text, 0);
    if at == text.len() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    out.extend_from_slice(&text[..at]);
    while at < text.len() {
        // Nothing but a backslash stops a run within a checked string.
        match text.get(at + 1) {
            Some(b'u') => {
                let unit = |at: usize| text.get(at..).and_then(hex4);
                let first = unit(at + 2).unwrap_or(0xfffd);
                at += 6;
                let second = match first {
                    0xd800..=0xdbff => {
                        at += 6;
                        unit(at - 4)
                    }
                    _ => None,
                };
                let units = std::iter::once(first).chain(second);
                for character in char::decode_utf16(units) {
                    let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            escape => {
                out.push(unescape_short(escape.copied().unwrap_or(b'\\')));
                at += 2;
            }
        }
        let start = at.min(text.len());
        at = plain_run(text, start);
        out.extend_from_slice(&text[start..at]);
    }
    Cow::Owned(out)
}

/// Appends what the escape at `backslash` stands for, which canonical JSON spells in another way; returns the place behind it.
pub(super) fn respell_escape(
    source: &[u8],
    backslash: usize,
    out: &mut Vec<u8>,
) -> Result<usize, IngestError> {
    let at = backslash + 1;
    let character = match source.get(at) {
        Some(escape @ (b'/' | b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't')) => {
            write_char(out, char::from(unescape_short(*escape)));
            return Ok(at + 1);
        }
        Some(b'u') => escaped_unit(source, at + 1)?,
        _ => return Err(expected(source, "an escape", at)),
    };
    let behind = at + 5;
    let (character, behind) = match character {
        first @ 0xd800..=0xdbff => {
            let second = if source[behind..].starts_with(b"\\u") {
                escaped_unit(source, behind + 2)?
            } else {
                0
            };
            let character = char::decode_utf16([first, second]).next();
            (character.and_then(Result::ok), behind + 6)
        }
        unit => (char::from_u32(u32::from(unit)), behind),
    };
    let Some(character) = character else {
        return Err(IngestError::new(IngestErrorKind::LoneSurrogate, backslash));
    };
    write_char(out, character);
    Ok(behind)
}

/// The four hexadecimal digits at `digits`.
fn escaped_unit(source: &[u8], digits: usize) -> Result<u16, IngestError> {
    source.get(digits..).and_then(hex4).ok_or_else(|| {
        let wrong = (digits..digits + 4)
            .find(|&at| !source.get(at).is_some_and(u8::is_ascii_hexdigit))
            .unwrap_or(digits);
        expected(source, "a hexadecimal digit", wrong)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_canonical_json_demands() {
        let mut out = Vec::new();
        write_string(&mut out, "a\"\\/\u{8}\u{c}\n\r\t\0\u{1}\u{1f}\u{7f}é😀");
        let expected = "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u0001\\u001f\u{7f}é😀\"";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn every_spelling_decodes_to_the_same_string() {
        assert_eq!(decode(br#"a\u0062\/\n\ud83d\ude00\u00e9"#), "ab/\n😀é");
        assert!(matches!(decode("né".as_bytes()), Cow::Borrowed("né")));
    }
}
