//! The fast pass: is this text canonical JSON, and where are its members and elements?
//!
//! It never explains: at the first departure from canonical form it gives up, and [`normalise`](super::normalise) either repairs the
//! text or finds the error. So nothing here can refuse what ought to be accepted, and all that has to hold is: what this pass
//! accepts *is* canonical.

use super::blocks::Blocks;
use super::error::LARGEST_TEXT;
use super::index::Index;
use super::nesting::Nesting;
use super::scan::{Number, canonical_escape, compare_names, number};
use super::units::Units;

/// The text is not canonical (or no JSON at all).
#[derive(Debug)]
pub(super) struct NotCanonical;

/// Where a text stopped being canonical: at the latest behind what was finished by then.
pub(super) type Departure<const INDEX: bool> = Option<Units<INDEX>>;

/// Checks a text and finds its facts; with `INDEX`, its members and elements, too.
///
/// # Errors
/// What is known of the canonical text before the departure, or `None` if the text is no UTF-8 or too long.
pub(super) fn check<const INDEX: bool>(text: &[u8]) -> Result<Index, Departure<INDEX>> {
    // One pass over the whole text: for strings one by one, calling it costs more than the pass does.
    if text.len() > LARGEST_TEXT || simdutf8::basic::from_utf8(text).is_err() {
        return Err(None);
    }
    let mut pass = Pass::<INDEX>::new(text);
    match pass.run() {
        Ok(()) => Ok(pass.units.finish()),
        Err(NotCanonical) => Err(Some(pass.units)),
    }
}

/// The name before the current one in one open object, as the text between its quotes: start, "has an escape", end, in one word
/// (that is stored and loaded at once).
#[derive(Clone, Copy)]
struct Name(u64);

impl Name {
    const ESCAPED: u64 = 1 << 31;
    /// No name yet: no real name begins where the text does.
    const NONE: Self = Self(0);

    #[inline(always)]
    fn new(start: usize, end: usize, escaped: bool) -> Self {
        Self((start as u64) << 32 | if escaped { Self::ESCAPED } else { 0 } | end as u64)
    }

    #[inline(always)]
    fn text(self, text: &[u8]) -> &[u8] {
        &text[(self.0 >> 32) as usize..(self.0 & (Self::ESCAPED - 1)) as usize]
    }
}

struct Pass<'a, const INDEX: bool> {
    text: &'a [u8],
    at: usize,
    blocks: Blocks,
    nesting: Nesting,
    /// Valid while the innermost container is an object.
    previous: Name,
    /// `previous` of the objects around the innermost container.
    outer: Vec<Name>,
    units: Units<INDEX>,
}

impl<'a, const INDEX: bool> Pass<'a, INDEX> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            blocks: Blocks::new(),
            nesting: Nesting::default(),
            previous: Name::NONE,
            outer: Vec::new(),
            units: Units::new(),
        }
    }

    #[inline(always)]
    fn run(&mut self) -> Result<(), NotCanonical> {
        loop {
            self.units.begin(self.nesting.depth(), self.at);
            if self.value()? {
                continue;
            }
            // A value has just ended: close what ends with it, then step to the next one.
            loop {
                self.units.end(self.nesting.depth(), self.at);
                if self.nesting.depth() == 0 {
                    if self.at != self.text.len() {
                        return Err(NotCanonical);
                    }
                    return Ok(());
                }
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        if self.nesting.in_object() {
                            self.name()?;
                        }
                        break;
                    }
                    Some(b'}') if self.nesting.in_object() => self.close(),
                    Some(b']') if !self.nesting.in_object() => self.close(),
                    _ => return Err(NotCanonical),
                }
            }
        }
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Passes over a scalar or an empty container; or over the start of a container up to its first value, then `true`.
    #[inline(always)]
    fn value(&mut self) -> Result<bool, NotCanonical> {
        match self.peek() {
            Some(b'"') => {
                self.string()?;
            }
            Some(b'{') => {
                self.open(true);
                if self.peek() != Some(b'}') {
                    self.name()?;
                    return Ok(true);
                }
                self.close();
            }
            Some(b'[') => {
                self.open(false);
                if self.peek() != Some(b']') {
                    return Ok(true);
                }
                self.close();
            }
            Some(b'-' | b'0'..=b'9') => {
                let (end, what) = number(self.text, self.at).map_err(|_| NotCanonical)?;
                if what == Number::NegativeZero {
                    return Err(NotCanonical);
                }
                self.units.odd_number(what == Number::Odd);
                self.at = end;
            }
            Some(b't') => self.literal(b"true")?,
            Some(b'f') => self.literal(b"false")?,
            Some(b'n') => self.literal(b"null")?,
            _ => return Err(NotCanonical),
        }
        Ok(false)
    }

    #[inline(always)]
    fn literal(&mut self, literal: &[u8]) -> Result<(), NotCanonical> {
        if !self.text[self.at..].starts_with(literal) {
            return Err(NotCanonical);
        }
        self.at += literal.len();
        Ok(())
    }

    #[inline(always)]
    fn open(&mut self, object: bool) {
        if self.nesting.depth() > 0 && self.nesting.in_object() {
            self.outer.push(self.previous);
        }
        self.nesting.open(object);
        self.previous = Name::NONE;
        self.units
            .open(object, self.nesting.depth(), self.text.len());
        self.at += 1;
    }

    #[inline(always)]
    fn close(&mut self) {
        self.nesting.close();
        if self.nesting.depth() > 0 && self.nesting.in_object() {
            self.previous = self.outer.pop().unwrap_or(Name::NONE);
        }
        self.units.close(self.nesting.depth());
        self.at += 1;
    }

    /// A member's name and its colon. Names must ascend, so a repeated one is a departure too.
    #[inline(always)]
    fn name(&mut self) -> Result<(), NotCanonical> {
        if self.peek() != Some(b'"') {
            return Err(NotCanonical);
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        let end = self.at - 1;
        if self.peek() != Some(b':') {
            return Err(NotCanonical);
        }
        self.at += 1;
        let name = Name::new(start, end, escaped);
        let previous = self.previous;
        if previous.0 != 0 {
            let escapes = (previous.0 | name.0) & Name::ESCAPED != 0;
            if compare_names(previous.text(self.text), name.text(self.text), escapes).is_ge() {
                return Err(NotCanonical);
            }
        }
        self.previous = name;
        if INDEX && self.nesting.depth() == 1 {
            self.units.member(start - 1, self.at, escaped);
        }
        Ok(())
    }

    /// A string with both its quotes; says whether it contains an escape.
    #[inline(always)]
    fn string(&mut self) -> Result<bool, NotCanonical> {
        let start = self.at + 1;
        let mut at = self.blocks.next_end(self.text, start);
        let mut escaped = false;
        loop {
            match self.text.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    at += canonical_escape(self.text, at).ok_or(NotCanonical)?;
                }
                _ => return Err(NotCanonical),
            }
            at = self.blocks.next_end(self.text, at);
        }
        self.at = at + 1;
        Ok(escaped)
    }
}
