//! Where the members of an object and the elements of its arrays lie in canonical text.
//!
//! Positions only: in canonical text exactly one comma separates neighbours, so an end is the next start less one. A member costs
//! 16 bytes and an element 8, in two flat lists; no event costs an allocation of its own.

use std::cmp::Ordering;
use std::ops::Range;

use super::Facts;
use super::scan::{CanonicalBytes, compare_names};

/// What one pass found in one canonical text.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Index {
    /// About the text as a whole.
    pub(super) facts: Facts,
    /// If the text is an object: its members, in order.
    pub(super) members: Vec<MemberSpan>,
    /// If the text is an object: the elements of its arrays, in order. If it is an array: its elements.
    pub(super) elements: Vec<ElementSpan>,
}

/// One member of the top-level object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MemberSpan {
    /// Where the name's opening quote is.
    pub(super) name: u32,
    /// Where the value begins.
    pub(super) value: u32,
    /// How many elements were found before this member.
    pub(super) first_element: u32,
    pub(super) mark: Mark,
}

/// One element of a top-level array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ElementSpan {
    pub(super) start: u32,
    pub(super) mark: Mark,
}

/// [`Facts`] in 32 bits, with room for one more: does the member's name contain an escape?
///
/// A level costs two bytes, so the depth of a text below 2 GiB fits 30 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark(u32);

impl Mark {
    const ODD: u32 = 1 << 31;
    const ESCAPED_NAME: u32 = 1 << 30;

    #[inline(always)]
    pub(super) fn new(facts: Facts) -> Self {
        Self(facts.depth & (Self::ESCAPED_NAME - 1) | if facts.odd_numbers { Self::ODD } else { 0 })
    }

    #[inline(always)]
    pub(super) fn with_escaped_name(self, escaped: bool) -> Self {
        Self(self.0 & !Self::ESCAPED_NAME | if escaped { Self::ESCAPED_NAME } else { 0 })
    }

    #[inline(always)]
    pub(super) fn facts(self) -> Facts {
        Facts {
            depth: self.0 & (Self::ESCAPED_NAME - 1),
            odd_numbers: self.0 & Self::ODD != 0,
        }
    }

    #[inline(always)]
    pub(super) fn escaped_name(self) -> bool {
        self.0 & Self::ESCAPED_NAME != 0
    }
}

impl Index {
    /// The text of member `at`'s name, without its quotes and still escaped.
    pub(super) fn name_range(&self, at: usize) -> Range<usize> {
        let member = &self.members[at];
        member.name as usize + 1..member.value as usize - 2
    }

    /// The text of member `at`'s value, in a text of `length` bytes.
    pub(super) fn value_range(&self, at: usize, length: usize) -> Range<usize> {
        let next = match self.members.get(at + 1) {
            Some(next) => next.name as usize,
            None => length,
        };
        self.members[at].value as usize..next - 1
    }

    /// Which elements belong to member `at`.
    pub(super) fn elements_of(&self, at: usize) -> Range<usize> {
        let next = match self.members.get(at + 1) {
            Some(next) => next.first_element as usize,
            None => self.elements.len(),
        };
        self.members[at].first_element as usize..next
    }

    /// The text of element `at` of the array whose elements end before `last` and whose text ends (with `]`) before `array_end`.
    pub(super) fn element_range(&self, at: usize, last: usize, array_end: usize) -> Range<usize> {
        let end = if at + 1 < last {
            self.elements[at + 1].start as usize
        } else {
            array_end
        };
        self.elements[at].start as usize..end - 1
    }

    /// Finds a member by its decoded name.
    pub(super) fn find(&self, text: &[u8], name: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.members.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let candidate = &text[self.name_range(middle)];
            let order = if self.members[middle].mark.escaped_name() {
                CanonicalBytes(candidate).cmp(name.bytes())
            } else {
                compare_names(candidate, name.as_bytes(), false)
            };
            match order {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Some(middle),
                Ordering::Greater => high = middle,
            }
        }
        None
    }
}
