//! A JSON object with its members and the elements of its arrays found.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::FusedIterator;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::error::{IngestError, IngestErrorKind, ReadError, ReadErrorKind, TooMany};
use super::index::Index;
use super::reader::ObjectReader;
use super::scan::is_space;
use super::text::decode;
use super::value::{Facts, Value, debug_text, ingest};
use super::writer::Output;

/// A JSON object's canonical text, with its top-level members and the elements of its top-level arrays found in the one ingest
/// pass. Cheap to clone; equal and hashed by its text. Every value taken out of it is a slice of the same buffer.
#[derive(Clone)]
pub struct Object {
    text: Bytes,
    index: Arc<Index>,
}

impl Object {
    /// Takes a JSON object from a peer: strict, one pass. Canonical bytes are kept without a copy, others are re-encoded.
    ///
    /// `max_bytes` bounds the text as it came (never more than 2 GiB - 1).
    ///
    /// # Errors
    /// Whatever refuses a body as a whole, and [`IngestErrorKind::NotAnObject`].
    pub fn parse(bytes: Bytes, max_bytes: usize) -> Result<Self, IngestError> {
        let start = bytes.iter().take_while(|&&byte| is_space(byte)).count();
        let object = bytes.get(start) == Some(&b'{');
        let (text, index) = ingest::<true>(bytes, max_bytes)?;
        if !object {
            return Err(IngestError::new(IngestErrorKind::NotAnObject, start));
        }
        Ok(Self {
            text,
            index: Arc::new(index),
        })
    }

    /// The same object with its members found; `None` if the value is no object. Costs a pass over the text.
    pub fn from_value(value: &Value) -> Option<Self> {
        value.is_object().then(|| Self {
            text: value.text().clone(),
            index: Arc::new(value.index()),
        })
    }

    pub(super) fn from_checked(text: Bytes, index: Index) -> Self {
        Self {
            text,
            index: Arc::new(index),
        }
    }

    /// `{}`
    pub fn empty() -> Self {
        let facts = Facts {
            depth: 1,
            odd_numbers: false,
        };
        Self::from_checked(
            Bytes::from_static(b"{}"),
            Index {
                facts,
                ..Index::default()
            },
        )
    }

    /// The canonical text.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// The object as one value.
    pub fn to_value(&self) -> Value {
        Value::from_checked(self.text.clone(), self.facts())
    }

    /// What the pass noticed.
    pub fn facts(&self) -> Facts {
        self.index.facts
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.index.members.len()
    }

    /// Is this `{}`?
    pub fn is_empty(&self) -> bool {
        self.index.members.is_empty()
    }

    /// The member with this decoded name.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.find(name).map(|at| self.value_at(at))
    }

    /// The object that is the member with this decoded name; `None` if it is absent or no object. Costs a pass over its text.
    pub fn object(&self, name: &str) -> Option<Self> {
        Self::from_value(&self.get(name)?)
    }

    /// The elements of the array that is the member with this decoded name; `None` if it is absent or no array.
    pub fn array(&self, name: &str) -> Option<Elements<'_>> {
        self.find(name).and_then(|at| self.array_at(at))
    }

    /// Looks for more than `limit` members, or an array of more elements than that, without making any of them: taken out, a
    /// member or element is many times as large as the two or three bytes that it may have in the text.
    ///
    /// # Errors
    /// Says what there is too much of.
    pub fn check_counts(&self, limit: usize) -> Result<(), TooMany> {
        if self.len() > limit {
            return Err(TooMany::Members {
                members: self.len(),
                limit,
            });
        }
        for at in 0..self.len() {
            let elements = self.index.elements_of(at).len();
            if elements > limit {
                return Err(TooMany::Elements(ReadError::new(
                    &self.name_at(at),
                    ReadErrorKind::TooMany { elements, limit },
                )));
            }
        }
        Ok(())
    }

    /// The members with their decoded names, ordered by name.
    pub fn members(&self) -> impl Iterator<Item = (Cow<'_, str>, Value)> {
        (0..self.len()).map(|at| (self.name_at(at), self.value_at(at)))
    }

    /// The object without the members that `keep` says no to. One copy of the rest, and no second look at it.
    pub fn filtered(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        let mut out = Output::new(self.text.len());
        for at in 0..self.len() {
            if keep(&self.name_at(at)) {
                out.copy(&self.text, &self.index, at);
            }
        }
        out.finish()
    }

    /// The object with this member: added, or in place of the one of that name.
    pub fn with_member(&self, name: &str, value: &Value) -> Self {
        let mut out = Output::new(self.text.len() + name.len() + value.as_bytes().len() + 4);
        let mut new = Some(value);
        for at in 0..self.len() {
            let order = name.cmp(&self.name_at(at));
            if order.is_le()
                && let Some(value) = new.take()
            {
                out.name(name);
                out.whole(value);
            }
            if order.is_ne() {
                out.copy(&self.text, &self.index, at);
            }
        }
        if let Some(value) = new {
            out.name(name);
            out.whole(value);
        }
        out.finish()
    }

    /// Reads members by type, and keeps the rest.
    pub fn reader(&self) -> ObjectReader<'_> {
        ObjectReader::new(self)
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.index.find(&self.text, name)
    }

    pub(super) fn name_at(&self, at: usize) -> Cow<'_, str> {
        decode(&self.text[self.index.name_range(at)])
    }

    pub(super) fn value_at(&self, at: usize) -> Value {
        let range = self.index.value_range(at, self.text.len());
        Value::from_checked(self.text.slice(range), self.index.members[at].mark.facts())
    }

    pub(super) fn array_at(&self, at: usize) -> Option<Elements<'_>> {
        let range = self.index.value_range(at, self.text.len());
        (self.text[range.start] == b'[').then(|| {
            let left = self.index.elements_of(at);
            Elements {
                object: self,
                last: left.end,
                left,
                array_end: range.end,
            }
        })
    }
}

/// The elements of one array of an [`Object`], as slices of its buffer.
#[derive(Clone)]
pub struct Elements<'a> {
    object: &'a Object,
    left: Range<usize>,
    /// Behind the array's last element, in the index.
    last: usize,
    /// Behind the array's `]`, in the text.
    array_end: usize,
}

impl Elements<'_> {
    fn element(&self, at: usize) -> Value {
        let index = &self.object.index;
        let range = index.element_range(at, self.last, self.array_end);
        Value::from_checked(
            self.object.text.slice(range),
            index.elements[at].mark.facts(),
        )
    }
}

impl Iterator for Elements<'_> {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        self.left.next().map(|at| self.element(at))
    }

    fn nth(&mut self, n: usize) -> Option<Value> {
        self.left.nth(n).map(|at| self.element(at))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl DoubleEndedIterator for Elements<'_> {
    fn next_back(&mut self) -> Option<Value> {
        self.left.next_back().map(|at| self.element(at))
    }
}

impl ExactSizeIterator for Elements<'_> {}
impl FusedIterator for Elements<'_> {}

impl fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Object {}

impl Hash for Object {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// The text, cut short behind 200 characters.
impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_text(&self.text, f)
    }
}

impl Default for Object {
    fn default() -> Self {
        Self::empty()
    }
}
