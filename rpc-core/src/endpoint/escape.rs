//! Percent-encoding (RFC 3986 §2.1), of one piece of a target.

use std::{borrow::Cow, fmt::Write as _};

/// Why a parameter cannot be unescaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEscape {
    /// A `%` without two hexadecimal digits behind it.
    #[error("a percent sign without two hexadecimal digits")]
    Hex,
    /// The unescaped bytes are no UTF-8.
    #[error("escaped bytes that are no UTF-8")]
    Utf8,
}

/// What `+` stands for: itself in a path, a space in a query.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    Literal,
    Space,
}

pub(super) fn escape(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string does not fail");
        }
    }
}

/// A raw segment of a path, unescaped once.
///
/// # Errors
/// [`BadEscape`] if it cannot be.
pub fn unescape_segment(raw: &str) -> Result<Cow<'_, str>, BadEscape> {
    match raw.contains('%') {
        true => unescape(raw, Plus::Literal).map(Cow::Owned),
        false => Ok(Cow::Borrowed(raw)),
    }
}

pub(super) fn unescape(raw: &str, plus: Plus) -> Result<String, BadEscape> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let high = rest.next().and_then(hex).ok_or(BadEscape::Hex)?;
                let low = rest.next().and_then(hex).ok_or(BadEscape::Hex)?;
                high << 4 | low
            }
            b'+' if plus == Plus::Space => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| BadEscape::Utf8)
}

fn hex(digit: u8) -> Option<u8> {
    // At most 15.
    char::from(digit).to_digit(16).map(|value| value as u8)
}
