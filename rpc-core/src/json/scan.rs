//! The lexical rules that all passes share: where a string's plain run ends, what an escape means, what a number is.

use std::cmp::Ordering;

use wide::u8x16;

/// The largest integer of canonical JSON: 2^53-1.
pub(super) const LARGEST_INTEGER: i64 = (1 << 53) - 1;

/// Which of these bytes end a string's plain run: `"`, `\` and control characters, as bits.
#[inline(always)]
pub(super) fn ends_of_run(bytes: &[u8; 16]) -> u32 {
    let bytes = u8x16::new(*bytes);
    // A quote is 0x22, the only byte above the control characters that this exchange brings to 0x20 or below.
    let swapped = bytes ^ u8x16::splat(2);
    let ends =
        swapped.simd_eq(swapped.min(u8x16::splat(0x20))) | bytes.simd_eq(u8x16::splat(b'\\'));
    ends.to_bitmask()
}

/// Passes over the bytes of a string that stand for themselves, to the first `"`, `\` or control character, or the end of `text`.
#[inline(always)]
pub(super) fn plain_run(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let ends = ends_of_run(block);
        if ends != 0 {
            return at + ends.trailing_zeros() as usize;
        }
        at += 16;
    }
    // The last bytes of the text.
    while let Some(&byte) = text.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

/// The length of the escape at `text[at] == '\\'` if canonical JSON spells it so, else `None`.
///
/// Canonical are `\" \\ \b \f \n \r \t`, and `\u00xx` in lower case for the other control characters below U+0020.
#[inline]
pub(super) fn canonical_escape(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at + 1)? {
        b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => match text.get(at + 2..at + 6)? {
            [b'0', b'0', b'0', b'0'..=b'7' | b'b' | b'e' | b'f'] => Some(6),
            [b'0', b'0', b'1', b'0'..=b'9' | b'a'..=b'f'] => Some(6),
            _ => None,
        },
        _ => None,
    }
}

/// Four hexadecimal digits of either case.
pub(super) fn hex4(digits: &[u8]) -> Option<u16> {
    let digits: &[u8; 4] = digits.first_chunk()?;
    digits.iter().try_fold(0u16, |code, &digit| {
        let nibble = (digit as char).to_digit(16)?;
        Some(code << 4 | u16::try_from(nibble).ok()?)
    })
}

/// What a number's text says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// An integer within ±(2^53-1), spelled as canonical JSON spells it.
    Canonical,
    /// `-0`, which canonical JSON writes as `0`.
    NegativeZero,
    /// A fraction, an exponent, or an integer beyond the range: kept as text.
    Odd,
}

/// Reads the number at `start`, which is a `-` or a digit. Returns where it ends and what it is, or where a digit is missing.
#[inline]
pub(super) fn number(text: &[u8], start: usize) -> Result<(usize, Number), usize> {
    let negative = text.get(start) == Some(&b'-');
    let first = start + usize::from(negative);
    let mut at = first;
    let mut magnitude = 0u64;
    while let Some(digit @ b'0'..=b'9') = text.get(at) {
        // Only looked at for up to 16 digits, which cannot overflow.
        magnitude = magnitude
            .wrapping_mul(10)
            .wrapping_add(u64::from(digit - b'0'));
        at += 1;
    }
    let digits = at - first;
    if digits == 0 {
        return Err(at);
    }
    if digits > 1 && text.get(first) == Some(&b'0') {
        // "01": the number ends behind the zero, and no grammar goes on with a digit there.
        return Ok((first + 1, Number::Canonical));
    }
    let mut odd = digits > 16 || magnitude > LARGEST_INTEGER as u64;
    if text.get(at) == Some(&b'.') {
        odd = true;
        at = digit_run(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        odd = true;
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = digit_run(text, at)?;
    }
    let what = if odd {
        Number::Odd
    } else if negative && magnitude == 0 {
        Number::NegativeZero
    } else {
        Number::Canonical
    };
    Ok((at, what))
}

/// One or more digits; the position of the missing one as the error.
fn digit_run(text: &[u8], start: usize) -> Result<usize, usize> {
    let mut at = start;
    while let Some(b'0'..=b'9') = text.get(at) {
        at += 1;
    }
    if at == start { Err(at) } else { Ok(at) }
}

/// Is this one of the four white space characters of RFC 8259 §2?
#[inline(always)]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// Compares two member names, given as the canonical text between their quotes, by the code points that they stand for.
/// The bytes of UTF-8 sort like code points; an escape sorts as what it means (`"\n"` before `"A"`).
#[inline(always)]
pub(super) fn compare_names(a: &[u8], b: &[u8], escapes: bool) -> Ordering {
    if escapes {
        return compare_decoded(a, b);
    }
    // Neighbours mostly differ at once, and a call of memcmp costs more than this.
    match (a.first_chunk::<2>(), b.first_chunk::<2>()) {
        (Some(x), Some(y)) if x != y => x.cmp(y),
        _ => a.cmp(b),
    }
}

#[cold]
fn compare_decoded(a: &[u8], b: &[u8]) -> Ordering {
    CanonicalBytes(a).cmp(CanonicalBytes(b))
}

/// The decoded bytes of a canonical string: there, every escape stands for one ASCII character.
pub(super) struct CanonicalBytes<'a>(pub(super) &'a [u8]);

impl Iterator for CanonicalBytes<'_> {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        if first != b'\\' {
            self.0 = rest;
            return Some(first);
        }
        let (&escape, rest) = rest.split_first()?;
        if escape == b'u' {
            let code = hex4(rest)?;
            self.0 = rest.get(4..)?;
            return u8::try_from(code).ok();
        }
        self.0 = rest;
        Some(unescape_short(escape))
    }
}

/// What a two-character escape stands for.
#[inline]
pub(super) fn unescape_short(escape: u8) -> u8 {
    match escape {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_run_ends_at_the_first_special_byte_wherever_it_lies() {
        for special in [b'"', b'\\', 0x00, 0x1f] {
            for filler in (0x20..=0xff).filter(|byte| !matches!(byte, b'"' | b'\\')) {
                for length in 0..40 {
                    let mut text = vec![filler; length];
                    text.push(special);
                    text.extend([b'"', b'\\', 0x01, 0xff, 0x80, b'a', b'b', b'c']);
                    assert_eq!(plain_run(&text, 0), length);
                    assert_eq!(plain_run(&text[..length], 0), length);
                }
            }
        }
    }

    #[test]
    fn numbers_are_sorted_into_three_kinds() {
        let kinds = [
            ("0", Number::Canonical),
            ("-1", Number::Canonical),
            ("9007199254740991", Number::Canonical),
            ("-9007199254740991", Number::Canonical),
            ("9007199254740992", Number::Odd),
            ("10000000000000000", Number::Odd),
            ("99999999999999999999999999999999999999", Number::Odd),
            ("18446744073709551617", Number::Odd),
            ("-0", Number::NegativeZero),
            ("-0.0", Number::Odd),
            ("-0e1", Number::Odd),
            ("0.5", Number::Odd),
            ("1E+2", Number::Odd),
            ("1e-2", Number::Odd),
        ];
        for (text, kind) in kinds {
            assert_eq!(number(text.as_bytes(), 0), Ok((text.len(), kind)), "{text}");
        }
        for (text, missing) in [
            ("-", 1),
            ("1.", 2),
            ("1e", 2),
            ("1e+", 3),
            ("-x", 1),
            ("1.e1", 2),
        ] {
            assert_eq!(number(text.as_bytes(), 0), Err(missing), "{text}");
        }
        assert_eq!(number(b"01", 0), Ok((1, Number::Canonical)));
        assert_eq!(number(b"-01", 0), Ok((2, Number::Canonical)));
    }
}
