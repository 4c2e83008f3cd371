//! The lexical rules that all passes share: where a string's plain run ends, what an escape means, what a number is.

use std::cmp::Ordering;

const ONES: u64 = u64::from_le_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
const BACKSLASHES: u64 = u64::from_le_bytes([b'\\'; 8]);
const SPACES: u64 = u64::from_le_bytes([0x20; 8]);

/// The largest integer of canonical JSON: 2^53-1.
pub(super) const LARGEST_INTEGER: i64 = (1 << 53) - 1;

/// Passes over the bytes of a string that stand for themselves. Returns where the first `"`, `\` or control character is (or the
/// end of `text`), and whether a byte before it is not ASCII.
#[inline(always)]
pub(super) fn plain_run(text: &[u8], start: usize) -> (usize, bool) {
    let mut at = start;
    let mut seen = 0u64;
    // Most names and many values end within two words; only what is longer pays for the set-up of wide blocks.
    for _ in 0..2 {
        let Some(word) = word_at(text, at) else {
            return plain_tail(text, at, seen);
        };
        let hits = hits(word);
        if hits != 0 {
            return first_hit(at, word, hits, seen);
        }
        seen |= word;
        at += 8;
    }
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<32>()) {
        let stop = block.iter().fold(false, |stop, &byte| {
            stop | (byte == b'"') | (byte == b'\\') | (byte < 0x20)
        });
        if stop {
            break;
        }
        seen |= u64::from(!block.is_ascii()) << 63;
        at += 32;
    }
    while let Some(word) = word_at(text, at) {
        let hits = hits(word);
        if hits != 0 {
            return first_hit(at, word, hits, seen);
        }
        seen |= word;
        at += 8;
    }
    plain_tail(text, at, seen)
}

#[inline(always)]
fn word_at(text: &[u8], at: usize) -> Option<u64> {
    let chunk = text.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*chunk))
}

/// The high bits of the bytes that end a run; the lowest one is exact, because subtracting borrows out of a byte only if that byte
/// is itself a hit. The three constants are ASCII, so `!word` clears the false hits of non-ASCII bytes for all of them.
#[inline(always)]
fn hits(word: u64) -> u64 {
    ((word ^ QUOTES).wrapping_sub(ONES)
        | (word ^ BACKSLASHES).wrapping_sub(ONES)
        | word.wrapping_sub(SPACES))
        & !word
        & HIGHS
}

#[inline(always)]
fn first_hit(at: usize, word: u64, hits: u64, seen: u64) -> (usize, bool) {
    let before = word & hits.wrapping_sub(1) & !hits;
    let end = at + (hits.trailing_zeros() / 8) as usize;
    (end, (seen | before) & HIGHS != 0)
}

/// The last bytes of the text, fewer than a word.
fn plain_tail(text: &[u8], mut at: usize, seen: u64) -> (usize, bool) {
    let mut high = seen & HIGHS != 0;
    while let Some(&byte) = text.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        high |= byte >= 0x80;
        at += 1;
    }
    (at, high)
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
    match (a.first(), b.first()) {
        // Neighbours mostly differ here, and a call of memcmp costs more than this.
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
            for filler in [b'a', 0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f] {
                for length in 0..40 {
                    let mut text = vec![filler; length];
                    text.push(special);
                    text.extend([b'"', b'\\', 0x01, 0xff, 0x80, b'a', b'b', b'c']);
                    assert_eq!(plain_run(&text, 0), (length, false));
                    assert_eq!(plain_run(&text[..length], 0), (length, false));
                }
            }
            for filler in [0x80u8, 0xa2, 0xdc, 0xa0, 0xff] {
                for length in 1..40 {
                    let mut text = vec![filler; length];
                    text.push(special);
                    text.extend([b'x'; 9]);
                    assert_eq!(plain_run(&text, 0), (length, true));
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
