//! Writes an object in canonical order.

use bytes::Bytes;

use super::error::{DuplicateMember, LARGEST_TEXT};
use super::index::{ElementSpan, Index, Mark, MemberSpan};
use super::members::Members;
use super::object::Object;
use super::text::write_string;
use super::value::{Facts, Kind, Value};

/// Writes an object: members in any order, canonical order on [`finish`](Self::finish). The index is built on the way, and each
/// value is copied once.
///
/// ```
/// # use comity_core::json::ObjectWriter;
/// let mut writer = ObjectWriter::new();
/// writer.string("origin", "one.example").integer("limit", 10);
/// assert_eq!(writer.finish().unwrap().text(), r#"{"limit":10,"origin":"one.example"}"#);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ObjectWriter {
    /// All decoded names, one behind the other.
    names: String,
    members: Vec<Pending>,
    /// The elements of all arrays that were given as elements.
    elements: Vec<Value>,
}

#[derive(Clone, Debug)]
struct Pending {
    name_start: usize,
    name_end: usize,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Whole(Value),
    /// A range of `elements`.
    Array {
        first: usize,
        last: usize,
    },
}

impl ObjectWriter {
    /// An object without members yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member of any type.
    pub fn value(&mut self, name: &str, value: &Value) -> &mut Self {
        self.whole(name, value.clone())
    }

    /// Adds a member of any type if there is one.
    pub fn value_opt(&mut self, name: &str, value: Option<&Value>) -> &mut Self {
        match value {
            Some(value) => self.value(name, value),
            None => self,
        }
    }

    /// Adds a string.
    pub fn string(&mut self, name: &str, value: &str) -> &mut Self {
        self.whole(name, Value::string(value))
    }

    /// Adds a string if there is one.
    pub fn string_opt(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.string(name, value),
            None => self,
        }
    }

    /// Adds an integer. Outside ±(2^53-1) it is an odd number, as [`Value::integer`] says.
    pub fn integer(&mut self, name: &str, value: i64) -> &mut Self {
        self.whole(name, Value::integer(value))
    }

    /// Adds an integer if there is one.
    pub fn integer_opt(&mut self, name: &str, value: Option<i64>) -> &mut Self {
        match value {
            Some(value) => self.integer(name, value),
            None => self,
        }
    }

    /// Adds a boolean.
    pub fn boolean(&mut self, name: &str, value: bool) -> &mut Self {
        self.whole(name, Value::boolean(value))
    }

    /// Adds a boolean if there is one.
    pub fn boolean_opt(&mut self, name: &str, value: Option<bool>) -> &mut Self {
        match value {
            Some(value) => self.boolean(name, value),
            None => self,
        }
    }

    /// Adds an array of these elements.
    pub fn array(&mut self, name: &str, elements: impl IntoIterator<Item = Value>) -> &mut Self {
        let first = self.elements.len();
        self.elements.extend(elements);
        let last = self.elements.len();
        self.push(name, Content::Array { first, last })
    }

    /// Adds an array of these elements if there is one.
    pub fn array_opt(
        &mut self,
        name: &str,
        elements: Option<impl IntoIterator<Item = Value>>,
    ) -> &mut Self {
        match elements {
            Some(elements) => self.array(name, elements),
            None => self,
        }
    }

    /// Adds an array of strings.
    pub fn strings<S: AsRef<str>>(
        &mut self,
        name: &str,
        strings: impl IntoIterator<Item = S>,
    ) -> &mut Self {
        self.array(
            name,
            strings
                .into_iter()
                .map(|string| Value::string(string.as_ref())),
        )
    }

    /// Adds an array of strings if there is one.
    pub fn strings_opt<S: AsRef<str>>(
        &mut self,
        name: &str,
        strings: Option<impl IntoIterator<Item = S>>,
    ) -> &mut Self {
        match strings {
            Some(strings) => self.strings(name, strings),
            None => self,
        }
    }

    /// Adds an object, written by `write`.
    pub fn object(&mut self, name: &str, write: impl FnOnce(&mut Self)) -> &mut Self {
        let mut object = Self::new();
        write(&mut object);
        self.value(name, &object.into_object().to_value())
    }

    /// Adds all of these members.
    pub fn members(&mut self, members: &Members) -> &mut Self {
        for (name, value) in members.iter() {
            self.value(name, value);
        }
        self
    }

    fn whole(&mut self, name: &str, value: Value) -> &mut Self {
        self.push(name, Content::Whole(value))
    }

    fn push(&mut self, name: &str, content: Content) -> &mut Self {
        let name_start = self.names.len();
        self.names.push_str(name);
        self.members.push(Pending {
            name_start,
            name_end: self.names.len(),
            content,
        });
        self
    }

    /// Writes the object.
    ///
    /// # Errors
    /// If a name was given twice.
    ///
    /// # Panics
    /// If the text reaches 2 GiB, which only a program without limits can ask for.
    pub fn finish(mut self) -> Result<Object, DuplicateMember> {
        self.sort();
        let repeated = self
            .members
            .windows(2)
            .find(|pair| self.name(&pair[0]) == self.name(&pair[1]));
        match repeated {
            Some(pair) => Err(DuplicateMember {
                name: self.name(&pair[0]).to_owned(),
            }),
            None => Ok(self.write()),
        }
    }

    /// Writes the object. Of two members with one name the one given first stands: write what is known before what is not,
    /// and nothing unknown can take its place.
    ///
    /// # Panics
    /// As [`finish`](Self::finish).
    pub fn into_object(mut self) -> Object {
        // The sort is stable, so the first one given is the first of its name.
        self.sort();
        let names = &self.names;
        self.members.dedup_by(|later, first| {
            names[later.name_start..later.name_end] == names[first.name_start..first.name_end]
        });
        self.write()
    }

    fn sort(&mut self) {
        let names = &self.names;
        let name = |member: &Pending| &names[member.name_start..member.name_end];
        self.members.sort_by(|a, b| name(a).cmp(name(b)));
    }

    fn name(&self, member: &Pending) -> &str {
        &self.names[member.name_start..member.name_end]
    }

    /// Writes the members in the order they are in.
    fn write(&self) -> Object {
        let mut out = Output::new(self.capacity());
        for member in &self.members {
            out.name(self.name(member));
            match &member.content {
                Content::Whole(value) => out.whole(value),
                Content::Array { first, last } => out.array(&self.elements[*first..*last]),
            }
        }
        out.finish()
    }

    /// Enough for the text unless a name needs escapes.
    fn capacity(&self) -> usize {
        let whole = self.members.iter().map(|member| match &member.content {
            Content::Whole(value) => value.as_bytes().len(),
            Content::Array { .. } => 2,
        });
        let elements = self
            .elements
            .iter()
            .map(|element| element.as_bytes().len() + 1);
        2 + self.names.len()
            + 4 * self.members.len()
            + whole.sum::<usize>()
            + elements.sum::<usize>()
    }
}

/// The text and the index of an object while they grow.
pub(super) struct Output {
    text: Vec<u8>,
    index: Index,
}

impl Output {
    pub(super) fn new(capacity: usize) -> Self {
        let mut text = Vec::with_capacity(capacity);
        text.push(b'{');
        let facts = Facts {
            depth: 1,
            odd_numbers: false,
        };
        Self {
            text,
            index: Index {
                facts,
                ..Index::default()
            },
        }
    }

    /// The current place. Places beyond the bound wrap; `finish` refuses such a text.
    fn place(&self) -> u32 {
        self.text.len() as u32
    }

    pub(super) fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(b',');
        }
        let start = self.place();
        write_string(&mut self.text, name);
        let escaped = self.text.len() - start as usize != name.len() + 2;
        self.text.push(b':');
        self.index.members.push(MemberSpan {
            name: start,
            value: self.place(),
            first_element: self.index.elements.len() as u32,
            mark: Mark::default().with_escaped_name(escaped),
        });
    }

    pub(super) fn whole(&mut self, value: &Value) {
        if value.kind() == Kind::Array {
            // Its elements belong into the index. Only here a value is looked at again.
            let start = self.place();
            let found = value.index().elements;
            self.index
                .elements
                .extend(found.into_iter().map(|element| ElementSpan {
                    start: start.wrapping_add(element.start),
                    ..element
                }));
        }
        self.text.extend_from_slice(value.as_bytes());
        self.end_member(value.facts());
    }

    fn array(&mut self, elements: &[Value]) {
        let mut facts = Facts {
            depth: 1,
            odd_numbers: false,
        };
        self.text.push(b'[');
        for (at, element) in elements.iter().enumerate() {
            if at > 0 {
                self.text.push(b',');
            }
            let mark = Mark::new(element.facts());
            self.index.elements.push(ElementSpan {
                start: self.place(),
                mark,
            });
            self.text.extend_from_slice(element.as_bytes());
            facts = facts.around(element.facts());
        }
        self.text.push(b']');
        self.end_member(facts);
    }

    fn end_member(&mut self, facts: Facts) {
        self.index.facts = self.index.facts.around(facts);
        if let Some(member) = self.index.members.last_mut() {
            member.mark = Mark::new(facts).with_escaped_name(member.mark.escaped_name());
        }
    }

    /// Copies member `at` of another object, with what is known of it.
    pub(super) fn copy(&mut self, text: &[u8], index: &Index, at: usize) {
        if self.text.len() > 1 {
            self.text.push(b',');
        }
        let span = index.members[at];
        // Places wrap as those of `place` do.
        let moved = self.place().wrapping_sub(span.name);
        let end = index.value_range(at, text.len()).end;
        self.text.extend_from_slice(&text[span.name as usize..end]);
        self.index.members.push(MemberSpan {
            name: span.name.wrapping_add(moved),
            value: span.value.wrapping_add(moved),
            first_element: self.index.elements.len() as u32,
            ..span
        });
        let elements = &index.elements[index.elements_of(at)];
        self.index
            .elements
            .extend(elements.iter().map(|element| ElementSpan {
                start: element.start.wrapping_add(moved),
                ..*element
            }));
        self.index.facts = self.index.facts.around(span.mark.facts());
    }

    pub(super) fn finish(mut self) -> Object {
        self.text.push(b'}');
        assert!(
            self.text.len() <= LARGEST_TEXT,
            "an object's text is below 2 GiB"
        );
        Object::from_checked(Bytes::from(self.text), self.index)
    }
}
