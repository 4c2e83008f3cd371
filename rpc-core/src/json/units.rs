//! What a pass notes of the values that have an entry in the [`Index`], while it goes over the text.
//!
//! These *units* are the members of a top-level object, the elements of its arrays, and the elements of a top-level array.

use super::Facts;
use super::index::{ElementSpan, Index, Mark, MemberSpan};

/// A transaction's list takes up to 100 (SS "Transactions").
const USUAL_ELEMENTS: usize = 100;

/// Depth and numbers of what has been seen since some value began. Depths count from the text's start.
#[derive(Debug, Clone, Copy, Default)]
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

/// The index so far. Without `INDEX`, the facts of the whole text only.
#[derive(Debug)]
pub(super) struct Units<const INDEX: bool> {
    index: Index,
    /// The depth at which units lie: 1, or 2 within an array that is a member's value.
    unit_depth: u32,
    /// Since the innermost unit began.
    unit: Seen,
    /// Over the finished elements of the current array member.
    elements: Seen,
    /// Over everything that is finished.
    whole: Seen,
    finished: Finished,
}

/// Where a pass can be taken up: behind the newest unit that is finished.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Finished {
    /// The place behind that unit; 0 if there is none.
    pub(super) end: usize,
    /// How many containers are open there.
    pub(super) depth: u32,
}

impl<const INDEX: bool> Units<INDEX> {
    pub(super) fn new() -> Self {
        Self {
            index: Index::default(),
            unit_depth: if INDEX { 1 } else { u32::MAX },
            unit: Seen::default(),
            elements: Seen::default(),
            whole: Seen::default(),
            finished: Finished::default(),
        }
    }

    /// A number was seen that is no integer within ±(2^53-1).
    #[inline(always)]
    pub(super) fn odd_number(&mut self, odd: bool) {
        self.unit.odd |= odd;
    }

    /// A member of the top-level object: the places of its name's opening quote and of its value.
    #[inline(always)]
    pub(super) fn member(&mut self, name: usize, value: usize, escaped: bool) {
        self.index.members.push(MemberSpan {
            name: name as u32,
            value: value as u32,
            first_element: self.index.elements.len() as u32,
            mark: Mark::default().with_escaped_name(escaped),
        });
    }

    /// A container was opened, the `depth`th; the text has `length` bytes.
    #[inline(always)]
    pub(super) fn open(&mut self, object: bool, depth: u32, length: usize) {
        self.unit.deepest = self.unit.deepest.max(depth);
        if INDEX && !object && depth == 2 && !self.index.members.is_empty() {
            // An array as a member of the top-level object.
            self.unit_depth = 2;
            self.elements = self.unit;
            // 1 KiB at most, where a list of events would otherwise grow step by step.
            if self.index.elements.capacity() == 0 && length > USUAL_ELEMENTS * 64 {
                self.index.elements.reserve(USUAL_ELEMENTS);
            }
        }
    }

    /// A container was closed; `depth` are still open.
    #[inline(always)]
    pub(super) fn close(&mut self, depth: u32) {
        if INDEX && depth < self.unit_depth && self.unit_depth == 2 {
            self.unit_depth = 1;
            self.unit = self.elements;
        }
    }

    /// If the value that begins at `at` is a unit, starts to note its facts.
    #[inline(always)]
    pub(super) fn begin(&mut self, depth: u32, at: usize) {
        if INDEX && depth == self.unit_depth {
            self.unit = Seen {
                deepest: self.unit_depth,
                odd: false,
            };
            if self.unit_depth == 2 || self.index.members.is_empty() {
                self.index.elements.push(ElementSpan {
                    start: at as u32,
                    mark: Mark::default(),
                });
            }
        }
    }

    /// If the value that ended before `at` (a place in the source) is a unit, completes it.
    #[inline(always)]
    pub(super) fn end(&mut self, depth: u32, at: usize) {
        if !INDEX || depth != self.unit_depth {
            return;
        }
        self.finished = Finished { end: at, depth };
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

    /// The text is at its end.
    #[inline(always)]
    pub(super) fn finish(mut self) -> Index {
        self.whole.add(self.unit);
        self.index.facts = self.whole.facts(0);
        self.index
    }

    /// Takes back what was noted of units that are not finished, and says where the next pass goes on.
    pub(super) fn rewind(&mut self) -> Finished {
        let Finished { end, depth } = self.finished;
        let index = &mut self.index;
        let members = index.members.partition_point(|it| (it.name as usize) < end);
        let elements = index
            .elements
            .partition_point(|it| (it.start as usize) < end);
        index.members.truncate(members);
        index.elements.truncate(elements);
        self.unit = Seen {
            deepest: depth,
            odd: false,
        };
        if INDEX {
            self.unit_depth = depth.max(1);
        }
        self.finished
    }

    /// The top-level members so far.
    pub(super) fn members(&self) -> &[MemberSpan] {
        &self.index.members
    }
}
