//! Objects whose members are to be written in another order, or not all of them.
//!
//! They are noted while the text is read, and written in one further pass over it. Moving members at the end of each object instead
//! would copy an inner object once for each level around it, and a hostile body has a million levels.

use super::index::{ElementSpan, Index, MemberSpan};
use super::scan::compare_names;

/// Of a member's `name_end`: its name contains an escape.
pub(super) const ESCAPED: u32 = 1 << 31;

/// Of a member's `start`: an object within it is disordered, too.
const DISORDER_WITHIN: u32 = 1 << 31;

/// A member, as places in the text: `"name":value`. It ends where the comma before the next one is, or its object's brace.
#[derive(Clone, Copy)]
struct Member {
    /// Where the name's opening quote is; with the flag `DISORDER_WITHIN`.
    start: u32,
    /// Where the name's closing quote is; with the flag `ESCAPED`.
    name_end: u32,
}

impl Member {
    fn place(self) -> u32 {
        self.start & !DISORDER_WITHIN
    }

    fn name(self, text: &[u8]) -> &[u8] {
        &text[self.place() as usize + 1..(self.name_end & !ESCAPED) as usize]
    }
}

/// An object whose members are not to be written as they stand.
struct Disordered {
    /// From its `{` ..
    start: u32,
    /// .. to behind its `}`.
    end: u32,
    /// Its members' places are `members[first..last]`.
    first: u32,
    last: u32,
}

/// What has been noted of a text.
#[derive(Default)]
pub(super) struct Reorder {
    /// The members of all open objects, inner ones last.
    pending: Vec<Member>,
    disordered: Vec<Disordered>,
    /// The members of disordered objects in their order: where they begin with the flag `DISORDER_WITHIN`, and where they end.
    members: Vec<(u32, u32)>,
    /// For sorting: the beginnings of names, and which member each belongs to.
    keys: Vec<(u64, u32)>,
    /// A member was overridden by a later one of its name.
    overridden: bool,
}

impl Reorder {
    /// How many members the open objects have.
    #[inline(always)]
    pub(super) fn pending(&self) -> u32 {
        self.pending.len() as u32
    }

    /// A member begins: where its name's quotes are.
    #[inline(always)]
    pub(super) fn begin_member(&mut self, start: u32, name_end: u32, escaped: bool) {
        self.pending.push(Member {
            start,
            name_end: name_end | if escaped { ESCAPED } else { 0 },
        });
    }

    /// An object within the newest member is disordered.
    #[inline(always)]
    pub(super) fn disorder_within(&mut self) {
        if let Some(member) = self.pending.last_mut() {
            member.start |= DISORDER_WITHIN;
        }
    }

    /// The innermost object ends, and its names ascend: its members are the pending ones from `first` on.
    #[inline(always)]
    pub(super) fn end_ordered(&mut self, first: u32) {
        self.pending.truncate(first as usize);
    }

    /// The innermost object ends, and its names do not ascend (but each is less than the one before, if `descending`). It began at
    /// `start`, and `text` ends with it.
    pub(super) fn end_disordered(&mut self, start: u32, first: u32, descending: bool, text: &[u8]) {
        let members = &self.pending[first as usize..];
        let first_noted = self.members.len() as u32;
        if descending {
            let mut end = text.len() as u32 - 1;
            self.members.extend(members.iter().rev().map(|member| {
                let span = (member.start, end);
                end = member.place() - 1;
                span
            }));
        } else {
            self.overridden |= sorted(members, text, &mut self.keys, &mut self.members);
        }
        self.disordered.push(Disordered {
            start,
            end: text.len() as u32,
            first: first_noted,
            last: self.members.len() as u32,
        });
        self.pending.truncate(first as usize);
    }

    /// Was any object disordered?
    pub(super) fn is_needed(&self) -> bool {
        !self.disordered.is_empty()
    }

    /// The text with all members in their order, and its index (made for the text as it was), unless members were left out and the
    /// index has to be made anew.
    pub(super) fn write(mut self, text: &[u8], index: Index) -> (Vec<u8>, Option<Index>) {
        // Noted when they ended; wanted by where they begin.
        self.disordered.sort_unstable_by_key(|object| object.start);
        let out = self.emit(text);
        if self.overridden {
            return (out, None);
        }
        let index = match self.disordered.first() {
            Some(top) if top.start == 0 && !index.members.is_empty() => {
                moved(&index, &self.members[top.first as usize..top.last as usize])
            }
            // Within a unit, reordering moves neither its start nor its end.
            _ => index,
        };
        (out, Some(index))
    }

    fn emit(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + CHUNK);
        let mut steps = vec![Step::Copy {
            from: 0,
            to: text.len() as u32,
        }];
        while let Some(step) = steps.pop() {
            match step {
                Step::Copy { from, to } => {
                    let within = self.disordered.partition_point(|it| it.start < from);
                    match self.disordered.get(within).filter(|it| it.start < to) {
                        None => append(&mut out, text, from as usize, to as usize),
                        Some(object) => {
                            append(&mut out, text, from as usize, object.start as usize + 1);
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
                    let Disordered { first, last, .. } = self.disordered[object as usize];
                    let mut inner = None;
                    for at in next..last {
                        if at != first {
                            out.push(b',');
                        }
                        let (from, to) = self.members[at as usize];
                        if from & DISORDER_WITHIN != 0 {
                            inner = Some((at + 1, from & !DISORDER_WITHIN, to));
                            break;
                        }
                        append(&mut out, text, from as usize, to as usize);
                    }
                    match inner {
                        None => out.push(b'}'),
                        Some((next, from, to)) => {
                            steps.push(Step::Members { object, next });
                            steps.push(Step::Copy { from, to });
                        }
                    }
                }
            }
        }
        out
    }
}

/// Appends the places of these members, whose object ends with `text`, to `order`, sorted by name, the last one of equal names only; says whether there were any.
fn sorted(
    members: &[Member],
    text: &[u8],
    keys: &mut Vec<(u64, u32)>,
    order: &mut Vec<(u32, u32)>,
) -> bool {
    let by_name = |a: Member, b: Member| {
        let escapes = (a.name_end | b.name_end) & ESCAPED != 0;
        compare_names(a.name(text), b.name(text), escapes)
    };
    // What an escape stands for sorts otherwise than its text.
    let escapes = members.iter().any(|member| member.name_end & ESCAPED != 0);
    keys.clear();
    keys.extend(members.iter().zip(0..).map(|(member, at)| match escapes {
        true => (0, at),
        false => (beginning(member.name(text)), at),
    }));
    let mut repeated = false;
    // Two equal names that end up as neighbours have been compared with each other, whatever sorted them.
    keys.sort_unstable_by(|a, b| {
        a.0.cmp(&b.0).then_with(|| {
            by_name(members[a.1 as usize], members[b.1 as usize]).then_with(|| {
                repeated = true;
                a.1.cmp(&b.1)
            })
        })
    });
    let member = |key: &(u64, u32)| members[key.1 as usize];
    for (at, key) in keys.iter().enumerate() {
        let next = keys.get(at + 1).filter(|_| repeated);
        if next.is_none_or(|next| by_name(member(key), member(next)).is_ne()) {
            let behind = members.get(key.1 as usize + 1);
            let end = behind.map_or(text.len() as u32, |member| member.place()) - 1;
            order.push((member(key).start, end));
        }
    }
    repeated
}

/// The first eight bytes of a name without escapes, as a number that sorts as they do. A shorter name is filled up with zeros, which
/// no name contains.
#[inline(always)]
fn beginning(name: &[u8]) -> u64 {
    match name.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let filled = name.iter().fold(0, |key, byte| key << 8 | u64::from(*byte));
            // An empty name is shifted by all 64 bits.
            filled
                .checked_shl(64 - 8 * name.len() as u32)
                .unwrap_or_default()
        }
    }
}

/// What is still to be copied, innermost last.
enum Step {
    /// This part of the text, disordered objects within it reordered.
    Copy { from: u32, to: u32 },
    /// The members of a disordered object from this one on (a place in `members`), and its closing brace.
    Members { object: u32, next: u32 },
}

/// The index of a text whose top-level object has these members in this order.
fn moved(index: &Index, order: &[(u32, u32)]) -> Index {
    let mut members = Vec::with_capacity(order.len());
    let mut elements: Vec<ElementSpan> = Vec::with_capacity(index.elements.len());
    let mut place = 1;
    for (start, end) in order {
        let start = start & !DISORDER_WITHIN;
        let at = index.members.partition_point(|it| it.name < start);
        let member = index.members[at];
        let first_element = elements.len() as u32;
        let of_member = &index.elements[index.elements_of(at)];
        elements.extend(of_member.iter().map(|element| ElementSpan {
            start: element.start - start + place,
            mark: element.mark,
        }));
        members.push(MemberSpan {
            name: place,
            value: member.value - start + place,
            first_element,
            mark: member.mark,
        });
        place += end - start + 1;
    }
    Index {
        facts: index.facts,
        members,
        elements,
    }
}

/// So many bytes are copied where a run is no longer: a call of memcpy costs more than the bytes too many.
pub(super) const CHUNK: usize = 48;

/// Appends `text[from..to]`. Quickest if `out` has room for [`CHUNK`] bytes.
#[inline(always)]
pub(super) fn append(out: &mut Vec<u8>, text: &[u8], from: usize, to: usize) {
    let length = out.len() + (to - from);
    match text[from..].first_chunk::<CHUNK>() {
        Some(chunk) if to - from <= CHUNK => {
            out.extend_from_slice(chunk);
            out.truncate(length);
        }
        _ => out.extend_from_slice(&text[from..to]),
    }
}
