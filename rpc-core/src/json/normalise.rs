//! The slow pass: any JSON to canonical JSON, or the exact error.
//!
//! Two steps, so that the cost stays n log n for any input:
//!
//! 1. [`Rewrite`] reads the source once and writes every value in canonical spelling, members still in source order. Runs that need
//!    no change are copied whole, and nothing is copied while the text needs no change. An object whose names do not ascend is noted.
//! 2. If there was such an object, the text is copied once more, with the members of noted objects in their order ([`Reorder`]).
//!
//! It goes on where [`check`](super::check) gave up, and notes the same: its result is not read again.

use super::blocks::Blocks;
use super::check::check;
use super::error::{IngestError, IngestErrorKind, expected};
use super::index::Index;
use super::nesting::Nesting;
use super::reorder::{CHUNK, ESCAPED, Reorder, append};
use super::scan::{Number, canonical_escape, compare_names, is_space, number};
use super::text::{respell_escape, unescape};
use super::units::{Finished, Units};

/// Writes the canonical text of the JSON value that `source` begins with; nothing but white space may follow it. `source` is UTF-8,
/// its length was checked, and `units` are those of its canonical beginning.
pub(super) fn normalise<const INDEX: bool>(
    source: &[u8],
    units: Units<INDEX>,
) -> Result<(Vec<u8>, Index), IngestError> {
    let mut rewrite = Rewrite::new(source, units);
    let end = rewrite.run()?;
    let Rewrite {
        run,
        mut out,
        reorder,
        units,
        ..
    } = rewrite;
    let index = units.finish();
    if run > 0 || !reorder.is_needed() {
        append(&mut out, source, run, end);
    }
    if !reorder.is_needed() {
        return Ok((out, index));
    }
    // As long as nothing was respelled, there was nothing to copy.
    let text = if run > 0 { &out[..] } else { &source[..end] };
    match reorder.write(text, index) {
        (text, Some(index)) => Ok((text, index)),
        (text, None) => match check::<INDEX>(&text) {
            Ok(index) => Ok((text, index)),
            // Not an assertion: bytes from a peer reach this line, and a refusal is the safe way to be wrong.
            Err(_) => Err(IngestError::new(IngestErrorKind::Internal, 0)),
        },
    }
}

/// An object that is still open.
struct OpenObject {
    /// Where its `{` is in the output.
    start: u32,
    /// Its first entry among the pending members.
    first: u32,
    /// The name before the current one, in the source; `ESCAPED` in `name_end` says that it contains an escape.
    name_start: u32,
    name_end: u32,
    /// Each name so far is greater than the one before; is less.
    ascending: bool,
    descending: bool,
    /// An object within a member is disordered.
    disordered_within: bool,
}

impl OpenObject {
    fn new(start: u32, first: u32) -> Self {
        Self {
            start,
            first,
            name_start: 0,
            name_end: 0,
            ascending: true,
            descending: true,
            disordered_within: false,
        }
    }
}

/// Which text of a string contains an escape: the source, the output.
#[derive(Default, Clone, Copy)]
struct Escapes {
    read: bool,
    written: bool,
}

struct Rewrite<'a, const INDEX: bool> {
    source: &'a [u8],
    at: usize,
    blocks: Blocks,
    /// What of the source is canonical as it stands but not yet copied begins here; 0 as long as nothing was copied.
    run: usize,
    out: Vec<u8>,
    nesting: Nesting,
    objects: Vec<OpenObject>,
    reorder: Reorder,
    units: Units<INDEX>,
}

impl<'a, const INDEX: bool> Rewrite<'a, INDEX> {
    fn new(source: &'a [u8], mut units: Units<INDEX>) -> Self {
        let Finished { end, depth } = units.rewind();
        let mut rewrite = Self {
            source,
            at: end,
            blocks: Blocks::new(),
            run: 0,
            out: Vec::new(),
            nesting: Nesting::default(),
            objects: Vec::new(),
            reorder: Reorder::default(),
            units,
        };
        if depth > 0 {
            rewrite.resume(depth);
        }
        rewrite
    }

    /// Opens what is open behind the finished units: the whole, and if they are two levels deep, an array in it.
    fn resume(&mut self, depth: u32) {
        let object = self.source.first() == Some(&b'{');
        self.nesting.open(object);
        if depth == 2 {
            self.nesting.open(false);
        }
        if !object {
            return;
        }
        let mut whole = OpenObject::new(0, 0);
        let members = self.units.members();
        whole.descending = members.len() < 2;
        for member in members {
            let escaped = member.mark.escaped_name();
            self.reorder
                .begin_member(member.name, member.value - 2, escaped);
            whole.name_start = member.name + 1;
            let mark = if escaped { ESCAPED } else { 0 };
            whole.name_end = (member.value - 2) | mark;
        }
        self.objects.push(whole);
    }

    /// Reads the whole value and returns where it ends.
    #[inline(always)]
    fn run(&mut self) -> Result<usize, IngestError> {
        let mut behind_value = self.at > 0;
        loop {
            if !behind_value {
                self.units.begin(self.nesting.depth(), self.out_place());
                if self.value()? {
                    continue;
                }
                self.units.end(self.nesting.depth(), self.at);
            }
            behind_value = true;
            if self.nesting.depth() == 0 {
                let end = self.at;
                let spaces = self.source[end..]
                    .iter()
                    .take_while(|&&byte| is_space(byte));
                let behind = end + spaces.count();
                if behind != self.source.len() {
                    return Err(IngestError::new(IngestErrorKind::TrailingBytes, behind));
                }
                return Ok(end);
            }
            self.space();
            let in_object = self.nesting.in_object();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                    if in_object {
                        self.name()?;
                    }
                    behind_value = false;
                }
                Some(b'}') if in_object => {
                    self.close();
                    self.units.end(self.nesting.depth(), self.at);
                }
                Some(b']') if !in_object => {
                    self.close();
                    self.units.end(self.nesting.depth(), self.at);
                }
                _ if in_object => return Err(expected(self.source, "',' or '}'", self.at)),
                _ => return Err(expected(self.source, "',' or ']'", self.at)),
            }
        }
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    /// Where the byte at `self.at` is going to be in the output.
    #[inline(always)]
    fn out_place(&self) -> usize {
        // Output is never longer than source, and that is below 2 GiB.
        self.out.len() + (self.at - self.run)
    }

    #[inline(always)]
    fn copy_run(&mut self) {
        if self.out.capacity() == 0 {
            self.out.reserve(self.source.len() + CHUNK);
        }
        append(&mut self.out, self.source, self.run, self.at);
        self.run = self.at;
    }

    /// Leaves white space out.
    #[inline(always)]
    fn space(&mut self) {
        if self.peek().is_some_and(is_space) {
            self.copy_run();
            self.at = behind_spaces(self.source, self.at + 1);
            self.run = self.at;
        }
    }

    /// A scalar or an empty container; or the start of a container up to its first value, then `true`.
    #[inline(always)]
    fn value(&mut self) -> Result<bool, IngestError> {
        match self.peek() {
            Some(b'"') => {
                self.string()?;
            }
            Some(b'{') => {
                let start = self.out_place();
                let first = self.reorder.pending();
                self.objects.push(OpenObject::new(start as u32, first));
                self.nesting.open(true);
                self.units
                    .open(true, self.nesting.depth(), self.source.len());
                self.at += 1;
                self.space();
                if self.peek() != Some(b'}') {
                    self.name()?;
                    return Ok(true);
                }
                self.close();
            }
            Some(b'[') => {
                self.nesting.open(false);
                self.units
                    .open(false, self.nesting.depth(), self.source.len());
                self.at += 1;
                self.space();
                if self.peek() != Some(b']') {
                    return Ok(true);
                }
                self.close();
            }
            Some(b'-' | b'0'..=b'9') => {
                let (end, what) = number(self.source, self.at)
                    .map_err(|at| expected(self.source, "a digit", at))?;
                self.units.odd_number(what == Number::Odd);
                if what == Number::NegativeZero {
                    self.copy_run();
                    self.run += 1;
                }
                self.at = end;
            }
            Some(b't') => self.literal(b"true", "'true'")?,
            Some(b'f') => self.literal(b"false", "'false'")?,
            Some(b'n') => self.literal(b"null", "'null'")?,
            _ => return Err(expected(self.source, "a value", self.at)),
        }
        Ok(false)
    }

    #[inline(always)]
    fn literal(&mut self, literal: &[u8], name: &'static str) -> Result<(), IngestError> {
        if !self.source[self.at..].starts_with(literal) {
            let wrong = literal
                .iter()
                .zip(self.at..)
                .find(|(byte, at)| self.source.get(*at) != Some(byte));
            let at = wrong.map_or(self.at, |(_, at)| at);
            return Err(expected(self.source, name, at));
        }
        self.at += literal.len();
        Ok(())
    }

    /// A member's name, the colon, and what space is around it.
    #[inline(always)]
    fn name(&mut self) -> Result<(), IngestError> {
        if self.peek() != Some(b'"') {
            return Err(expected(self.source, "a member name", self.at));
        }
        let start = self.out_place();
        let name_start = self.at + 1;
        let Escapes { read, written } = self.string()?;
        let name_end = (self.at - 1) as u32 | if read { ESCAPED } else { 0 };
        self.reorder
            .begin_member(start as u32, self.out_place() as u32 - 1, written);
        self.space();
        if self.peek() != Some(b':') {
            return Err(expected(self.source, "':'", self.at));
        }
        self.at += 1;
        self.space();
        if INDEX && self.nesting.depth() == 1 {
            self.units.member(start, self.out_place(), written);
        }
        let object = self
            .objects
            .last_mut()
            .expect("a name is read only within an object");
        if object.name_start != 0 && (object.ascending || object.descending) {
            let previous = object.name_start as usize..(object.name_end & !ESCAPED) as usize;
            let name = name_start..(name_end & !ESCAPED) as usize;
            let (previous, name) = (&self.source[previous], &self.source[name]);
            let order = if (object.name_end | name_end) & ESCAPED == 0 {
                compare_names(previous, name, false)
            } else {
                unescape(previous).cmp(&unescape(name))
            };
            object.ascending &= order.is_lt();
            object.descending &= order.is_gt();
        }
        object.name_start = name_start as u32;
        object.name_end = name_end;
        Ok(())
    }

    /// The innermost container ends here.
    #[inline(always)]
    fn close(&mut self) {
        let object = self.nesting.in_object();
        self.nesting.close();
        self.units.close(self.nesting.depth());
        self.at += 1;
        if object && let Some(object) = self.objects.pop() {
            if object.ascending {
                self.reorder.end_ordered(object.first);
            } else {
                self.end_disordered(&object);
            }
            if (!object.ascending || object.disordered_within)
                && let Some(outer) = self.objects.last_mut()
            {
                outer.disordered_within = true;
                self.reorder.disorder_within();
            }
        }
    }

    #[inline(always)]
    fn end_disordered(&mut self, object: &OpenObject) {
        let text = if self.run == 0 {
            &self.source[..self.at]
        } else {
            self.copy_run();
            &self.out
        };
        self.reorder
            .end_disordered(object.start, object.first, object.descending, text);
    }

    /// A string with both its quotes, respelled where needed.
    #[inline(always)]
    fn string(&mut self) -> Result<Escapes, IngestError> {
        self.at += 1;
        let mut escapes = Escapes::default();
        loop {
            self.at = self.blocks.next_end(self.source, self.at);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escapes);
                }
                Some(b'\\') => {
                    escapes.read = true;
                    match canonical_escape(self.source, self.at) {
                        Some(length) => {
                            escapes.written = true;
                            self.at += length;
                        }
                        None => {
                            self.copy_run();
                            let place = self.out.len();
                            self.at = respell_escape(self.source, self.at, &mut self.out)?;
                            escapes.written |= self.out.get(place) == Some(&b'\\');
                            self.run = self.at;
                        }
                    }
                }
                _ => {
                    let what = "no control character within a string";
                    return Err(expected(self.source, what, self.at));
                }
            }
        }
    }
}

/// The first place from `at` on where there is no white space. Indentation is passed over in large steps: each is a guess that the
/// processor makes before it has seen the text.
#[inline(always)]
fn behind_spaces(source: &[u8], mut at: usize) -> usize {
    // One space behind a separator is what most writers write.
    if !source.get(at).copied().is_some_and(is_space) {
        return at;
    }
    loop {
        while source[at..].first_chunk() == Some(b"        ") {
            at += 8;
        }
        if source[at..].first_chunk() == Some(b"    ") {
            at += 4;
        }
        if source[at..].first_chunk() == Some(b"  ") {
            at += 2;
        }
        if !source.get(at).copied().is_some_and(is_space) {
            return at;
        }
        at += 1;
    }
}
