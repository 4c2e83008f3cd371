//! The fast pass: is this text canonical JSON, and where are its members and elements?
//!
//! It never explains: at the first departure from canonical form it gives up, and [`normalise`](super::normalise) either repairs the
//! text or finds the error. So nothing here can refuse what ought to be accepted, and all that has to hold is: what this pass
//! accepts *is* canonical.

use super::Facts;
use super::error::LARGEST_TEXT;
use super::index::{ElementSpan, Index, Mark, MemberSpan};
use super::nesting::Nesting;
use super::scan::{Number, canonical_escape, compare_names, number, plain_run};

/// A transaction's list takes up to 100 (SS "Transactions").
const USUAL_ELEMENTS: usize = 100;

/// The text is not canonical (or no JSON at all).
#[derive(Debug)]
pub(super) struct NotCanonical;

/// Checks a text and finds its facts only.
pub(super) fn check(text: &[u8]) -> Result<Facts, NotCanonical> {
    Pass::<false>::new(text)?.run().map(|index| index.facts)
}

/// Checks a text and finds its facts, members and elements.
pub(super) fn check_and_index(text: &[u8]) -> Result<Index, NotCanonical> {
    Pass::<true>::new(text)?.run()
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

/// Depth and numbers of what has been seen since some value began. Depths count from the text's start.
#[derive(Clone, Copy, Default)]
struct Seen {
    deepest: u32,
    odd: bool,
}

impl Seen {
    #[inline(always)]
    fn add(&mut self, other: Self) {
        self.deepest = self.deepest.max(other.deepest);
        self.odd |= other.odd;
    }

    #[inline(always)]
    fn facts(self, outside: u32) -> Facts {
        Facts {
            depth: self.deepest - outside,
            odd_numbers: self.odd,
        }
    }
}

struct Pass<'a, const INDEX: bool> {
    text: &'a [u8],
    at: usize,
    nesting: Nesting,
    /// Valid while the innermost container is an object.
    previous: Name,
    /// `previous` of the objects around the innermost container.
    outer: Vec<Name>,
    index: Index,
    /// The depth at which the values that have an index entry lie: 1, or 2 within an array that is a member's value.
    unit_depth: u32,
    /// Since the innermost indexed value began.
    unit: Seen,
    /// Over the finished elements of the current array member.
    elements: Seen,
    /// Over everything that is finished.
    whole: Seen,
}

impl<'a, const INDEX: bool> Pass<'a, INDEX> {
    fn new(text: &'a [u8]) -> Result<Self, NotCanonical> {
        if text.len() > LARGEST_TEXT {
            return Err(NotCanonical);
        }
        Ok(Self {
            text,
            at: 0,
            nesting: Nesting::default(),
            previous: Name::NONE,
            outer: Vec::new(),
            index: Index::default(),
            unit_depth: if INDEX { 1 } else { u32::MAX },
            unit: Seen::default(),
            elements: Seen::default(),
            whole: Seen::default(),
        })
    }

    fn run(mut self) -> Result<Index, NotCanonical> {
        loop {
            self.begin_unit();
            if self.value()? {
                continue;
            }
            // A value has just ended: close what ends with it, then step to the next one.
            loop {
                self.end_unit();
                if self.nesting.depth() == 0 {
                    if self.at != self.text.len() {
                        return Err(NotCanonical);
                    }
                    self.whole.add(self.unit);
                    self.index.facts = self.whole.facts(0);
                    return Ok(self.index);
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
                self.unit.odd |= what == Number::Odd;
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
        self.unit.deepest = self.unit.deepest.max(self.nesting.depth());
        if INDEX && !object && self.nesting.depth() == 2 && !self.index.members.is_empty() {
            // An array as a member of the top-level object.
            self.unit_depth = 2;
            self.elements = self.unit;
            // 1 KiB at most, where a list of events would otherwise grow step by step.
            if self.index.elements.capacity() == 0 && self.text.len() > USUAL_ELEMENTS * 64 {
                self.index.elements.reserve(USUAL_ELEMENTS);
            }
        }
        self.at += 1;
    }

    #[inline(always)]
    fn close(&mut self) {
        self.nesting.close();
        if self.nesting.depth() > 0 && self.nesting.in_object() {
            self.previous = self.outer.pop().unwrap_or(Name::NONE);
        }
        if INDEX && self.nesting.depth() < self.unit_depth && self.unit_depth == 2 {
            self.unit_depth = 1;
            self.unit = self.elements;
        }
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
            self.index.members.push(MemberSpan {
                name: (start - 1) as u32,
                value: self.at as u32,
                first_element: self.index.elements.len() as u32,
                mark: Mark::default().with_escaped_name(escaped),
            });
        }
        Ok(())
    }

    /// A string with both its quotes; says whether it contains an escape.
    #[inline(always)]
    fn string(&mut self) -> Result<bool, NotCanonical> {
        let start = self.at + 1;
        let (mut at, mut high) = plain_run(self.text, start);
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
            let (next, more) = plain_run(self.text, at);
            at = next;
            high |= more;
        }
        if high && simdutf8::basic::from_utf8(&self.text[start..at]).is_err() {
            return Err(NotCanonical);
        }
        self.at = at + 1;
        Ok(escaped)
    }

    /// If the value that begins here gets an index entry, starts to note its facts.
    #[inline(always)]
    fn begin_unit(&mut self) {
        if INDEX && self.nesting.depth() == self.unit_depth {
            self.unit = Seen {
                deepest: self.unit_depth,
                odd: false,
            };
            if self.unit_depth == 2 || self.index.members.is_empty() {
                self.index.elements.push(ElementSpan {
                    start: self.at as u32,
                    mark: Mark::default(),
                });
            }
        }
    }

    /// If the value that ended here has an index entry, completes it.
    #[inline(always)]
    fn end_unit(&mut self) {
        if !INDEX || self.nesting.depth() != self.unit_depth {
            return;
        }
        let mark = Mark::new(self.unit.facts(self.unit_depth));
        if self.unit_depth == 2 {
            self.elements.add(self.unit);
            if let Some(element) = self.index.elements.last_mut() {
                element.mark = mark;
            }
        } else {
            self.whole.add(self.unit);
            if let Some(member) = self.index.members.last_mut() {
                member.mark = mark.with_escaped_name(member.mark.escaped_name());
            } else if let Some(element) = self.index.elements.last_mut() {
                element.mark = mark;
            }
        }
    }
}
