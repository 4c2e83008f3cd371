//! The slow pass: any JSON to canonical JSON, or the exact error.
//!
//! Two steps, so that the cost stays n log n for any input:
//!
//! 1. [`Rewrite`] reads the source once and writes every value in canonical spelling, members still in source order. Runs that need
//!    no change are copied whole. An object whose names do not ascend is noted, with the places of its members in order.
//! 2. If there was such an object, [`emit`] copies the text once more, taking the members of noted objects in their order.
//!
//! Moving members at the end of each object instead would copy an inner object once for each level around it, and a hostile body has
//! a million levels.

use super::error::{IngestError, IngestErrorKind};
use super::nesting::Nesting;
use super::scan::{
    Number, canonical_escape, compare_names, hex4, is_space, number, plain_run, unescape_short,
};
use super::text::{unescape, write_char};

/// Writes the canonical text of the JSON value that `source` holds. The caller has checked its length.
pub(super) fn normalise(source: &[u8]) -> Result<Vec<u8>, IngestError> {
    if let Err(error) = simdutf8::compat::from_utf8(source) {
        return Err(IngestError::new(IngestErrorKind::Utf8, error.valid_up_to()));
    }
    let mut rewrite = Rewrite {
        source,
        at: 0,
        run: 0,
        out: Vec::with_capacity(source.len()),
        nesting: Nesting::default(),
        objects: Vec::new(),
        pending: Vec::new(),
        disordered: Vec::new(),
        members: Vec::new(),
    };
    rewrite.run()?;
    let Rewrite {
        out,
        mut disordered,
        members,
        ..
    } = rewrite;
    if disordered.is_empty() {
        return Ok(out);
    }
    // Noted when they ended; wanted by where they begin.
    disordered.sort_unstable_by_key(|object| object.start);
    Ok(emit(&out, &disordered, &members))
}

/// An object that is still open.
struct OpenObject {
    /// Where its `{` is in the output.
    start: u32,
    /// Its first entry in `pending`.
    first: u32,
    /// The name before the current one, in the source; `ESCAPED` in `name_end` says that it contains an escape.
    name_start: u32,
    name_end: u32,
    ordered: bool,
}

/// A member, as places in the output: `"name":value`.
#[derive(Clone, Copy)]
struct Member {
    start: u32,
    /// Where the name's closing quote is; with the flag `ESCAPED`.
    name_end: u32,
    end: u32,
}

const ESCAPED: u32 = 1 << 31;

impl Member {
    fn name(self, out: &[u8]) -> &[u8] {
        &out[self.start as usize + 1..(self.name_end & !ESCAPED) as usize]
    }
}

/// An object whose members are to be written in another order, or not all of them.
struct Disordered {
    /// From its `{` ..
    start: u32,
    /// .. to behind its `}`, in the output of the first step.
    end: u32,
    /// Its members' places are `members[first..last]`.
    first: u32,
    last: u32,
}

struct Rewrite<'a> {
    source: &'a [u8],
    at: usize,
    /// What of the source is canonical as it stands but not yet copied begins here.
    run: usize,
    out: Vec<u8>,
    nesting: Nesting,
    objects: Vec<OpenObject>,
    /// The members of all open objects, inner ones last.
    pending: Vec<Member>,
    disordered: Vec<Disordered>,
    members: Vec<(u32, u32)>,
}

impl Rewrite<'_> {
    fn run(&mut self) -> Result<(), IngestError> {
        self.space();
        loop {
            if self.value()? {
                continue;
            }
            loop {
                self.space();
                if self.nesting.depth() == 0 {
                    if self.at != self.source.len() {
                        return Err(IngestError::new(IngestErrorKind::TrailingBytes, self.at));
                    }
                    self.copy_run();
                    return Ok(());
                }
                let in_object = self.nesting.in_object();
                match self.peek() {
                    Some(b',') => {
                        if in_object {
                            self.end_member();
                        }
                        self.at += 1;
                        self.space();
                        if in_object {
                            self.name()?;
                        }
                        break;
                    }
                    Some(b'}') if in_object => {
                        self.end_member();
                        self.close();
                    }
                    Some(b']') if !in_object => self.close(),
                    _ if in_object => return Err(self.expected("',' or '}'")),
                    _ => return Err(self.expected("',' or ']'")),
                }
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    /// The error at the current place: the text ends, or something else was expected.
    fn expected(&self, expected: &'static str) -> IngestError {
        self.expected_at(expected, self.at)
    }

    fn expected_at(&self, expected: &'static str, at: usize) -> IngestError {
        if at >= self.source.len() {
            IngestError::new(IngestErrorKind::Truncated, self.source.len())
        } else {
            IngestError::syntax(expected, at)
        }
    }

    /// Where the byte at `self.at` is going to be in the output.
    #[inline]
    fn out_place(&self) -> u32 {
        // Output is never longer than source, and that is below 2 GiB.
        (self.out.len() + (self.at - self.run)) as u32
    }

    fn copy_run(&mut self) {
        self.out.extend_from_slice(&self.source[self.run..self.at]);
        self.run = self.at;
    }

    /// Leaves white space out.
    #[inline]
    fn space(&mut self) {
        if self.peek().is_some_and(is_space) {
            self.copy_run();
            while self.peek().is_some_and(is_space) {
                self.at += 1;
            }
            self.run = self.at;
        }
    }

    /// A scalar or an empty container; or the start of a container up to its first value, then `true`.
    fn value(&mut self) -> Result<bool, IngestError> {
        match self.peek() {
            Some(b'"') => {
                self.string()?;
            }
            Some(b'{') => {
                self.objects.push(OpenObject {
                    start: self.out_place(),
                    first: self.pending.len() as u32,
                    name_start: 0,
                    name_end: 0,
                    ordered: true,
                });
                self.nesting.open(true);
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
                self.at += 1;
                self.space();
                if self.peek() != Some(b']') {
                    return Ok(true);
                }
                self.close();
            }
            Some(b'-' | b'0'..=b'9') => {
                let (end, what) =
                    number(self.source, self.at).map_err(|at| self.expected_at("a digit", at))?;
                if what == Number::NegativeZero {
                    self.copy_run();
                    self.run += 1;
                }
                self.at = end;
            }
            Some(b't') => self.literal(b"true", "'true'")?,
            Some(b'f') => self.literal(b"false", "'false'")?,
            Some(b'n') => self.literal(b"null", "'null'")?,
            _ => return Err(self.expected("a value")),
        }
        Ok(false)
    }

    fn literal(&mut self, literal: &[u8], expected: &'static str) -> Result<(), IngestError> {
        for (offset, &byte) in literal.iter().enumerate() {
            if self.source.get(self.at + offset) != Some(&byte) {
                return Err(self.expected_at(expected, self.at + offset));
            }
        }
        self.at += literal.len();
        Ok(())
    }

    /// A member's name, the colon, and what space is around it.
    fn name(&mut self) -> Result<(), IngestError> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a member name"));
        }
        let start = self.out_place();
        let name_start = self.at + 1;
        let escaped = self.string()?;
        let name_end = self.at - 1;
        let mut member = Member {
            start,
            name_end: self.out_place() - 1,
            end: 0,
        };
        let mut name_end_marked = name_end as u32;
        if escaped {
            // Set for an escape that the output no longer has, too: then decoding changes nothing.
            member.name_end |= ESCAPED;
            name_end_marked |= ESCAPED;
        }
        self.pending.push(member);
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.expected("':'"));
        }
        self.at += 1;
        self.space();
        let source = self.source;
        let object = self
            .objects
            .last_mut()
            .expect("a name is read only within an object");
        if object.name_start != 0 && object.ordered {
            let previous =
                &source[object.name_start as usize..(object.name_end & !ESCAPED) as usize];
            let name = &source[name_start..name_end];
            object.ordered = if (object.name_end | name_end_marked) & ESCAPED == 0 {
                compare_names(previous, name, false).is_lt()
            } else {
                unescape(previous) < unescape(name)
            };
        }
        object.name_start = name_start as u32;
        object.name_end = name_end_marked;
        Ok(())
    }

    /// The member whose value ended just before: its text is complete.
    fn end_member(&mut self) {
        let end = self.out_place();
        if let Some(member) = self.pending.last_mut() {
            member.end = end;
        }
    }

    /// The innermost container ends here.
    fn close(&mut self) {
        let object = self.nesting.in_object();
        self.nesting.close();
        self.at += 1;
        if !object {
            return;
        }
        let object = self.objects.pop().expect("one entry for each open object");
        let first = object.first as usize;
        if !object.ordered {
            self.copy_run();
            self.note_disordered(object.start, first);
        }
        self.pending.truncate(first);
    }

    /// Sorts the members of an object that has just ended, and lets the last of equal names stand.
    fn note_disordered(&mut self, start: u32, first: usize) {
        let out = &self.out;
        let members = &mut self.pending[first..];
        let by_name = |a: &Member, b: &Member| {
            let escapes = (a.name_end | b.name_end) & ESCAPED != 0;
            compare_names(a.name(out), b.name(out), escapes)
        };
        members.sort_unstable_by(|a, b| by_name(a, b).then(a.start.cmp(&b.start)));
        let first_noted = self.members.len() as u32;
        for (at, member) in members.iter().enumerate() {
            let overridden = members
                .get(at + 1)
                .is_some_and(|next| by_name(member, next).is_eq());
            if !overridden {
                self.members.push((member.start, member.end));
            }
        }
        self.disordered.push(Disordered {
            start,
            end: self.out.len() as u32,
            first: first_noted,
            last: self.members.len() as u32,
        });
    }

    /// A string with both its quotes, respelled where needed; says whether its source contains an escape.
    fn string(&mut self) -> Result<bool, IngestError> {
        self.at += 1;
        let mut escaped = false;
        loop {
            (self.at, _) = plain_run(self.source, self.at);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    match canonical_escape(self.source, self.at) {
                        Some(length) => self.at += length,
                        None => self.respell_escape()?,
                    }
                }
                _ => return Err(self.expected("no control character within a string")),
            }
        }
    }

    /// An escape that canonical JSON spells in another way.
    fn respell_escape(&mut self) -> Result<(), IngestError> {
        self.copy_run();
        let backslash = self.at;
        self.at += 1;
        match self.peek() {
            Some(escape @ (b'/' | b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't')) => {
                self.at += 1;
                write_char(&mut self.out, char::from(unescape_short(escape)));
            }
            Some(b'u') => {
                let first = self.escaped_unit()?;
                let character = match first {
                    0xd800..=0xdbff => {
                        let paired = self.source[self.at..].starts_with(b"\\u");
                        let second = if paired {
                            self.at += 1;
                            self.escaped_unit()?
                        } else {
                            0
                        };
                        char::decode_utf16([first, second])
                            .next()
                            .and_then(Result::ok)
                    }
                    unit => char::from_u32(u32::from(unit)),
                };
                let Some(character) = character else {
                    return Err(IngestError::new(IngestErrorKind::LoneSurrogate, backslash));
                };
                write_char(&mut self.out, character);
            }
            _ => return Err(self.expected("an escape")),
        }
        self.run = self.at;
        Ok(())
    }

    /// The four digits behind the `u` at the current place.
    fn escaped_unit(&mut self) -> Result<u16, IngestError> {
        let digits = self.at + 1;
        let Some(unit) = self.source.get(digits..).and_then(hex4) else {
            let wrong = (digits..digits + 4)
                .find(|&at| !self.source.get(at).is_some_and(u8::is_ascii_hexdigit))
                .unwrap_or(digits);
            return Err(self.expected_at("a hexadecimal digit", wrong));
        };
        self.at = digits + 4;
        Ok(unit)
    }
}

/// What is still to be copied, innermost last.
enum Step {
    /// This part of the text, noted objects within it reordered.
    Copy { from: u32, to: u32 },
    /// The members of a noted object from this one on (a place in `members`), and its closing brace.
    Members { object: u32, next: u32 },
}

/// The second step: copies `text`, taking the members of noted objects in their order.
fn emit(text: &[u8], disordered: &[Disordered], members: &[(u32, u32)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut steps = vec![Step::Copy {
        from: 0,
        to: text.len() as u32,
    }];
    while let Some(step) = steps.pop() {
        match step {
            Step::Copy { from, to } => {
                let within = disordered.partition_point(|object| object.start < from);
                match disordered.get(within).filter(|object| object.start < to) {
                    None => out.extend_from_slice(&text[from as usize..to as usize]),
                    Some(object) => {
                        out.extend_from_slice(&text[from as usize..=object.start as usize]);
                        if object.end < to {
                            steps.push(Step::Copy {
                                from: object.end,
                                to,
                            });
                        }
                        steps.push(Step::Members {
                            object: within as u32,
                            next: object.first,
                        });
                    }
                }
            }
            Step::Members { object, next } => {
                let Disordered { first, last, .. } = disordered[object as usize];
                if next == last {
                    out.push(b'}');
                    continue;
                }
                if next != first {
                    out.push(b',');
                }
                let (from, to) = members[next as usize];
                steps.push(Step::Members {
                    object,
                    next: next + 1,
                });
                steps.push(Step::Copy { from, to });
            }
        }
    }
    out
}
