//! Joins texts that nobody has checked to an object, and checks them all in one pass.

use bytes::Bytes;

use super::check::check;
use super::index::Index;
use super::object::Object;
use super::text::write_string;

/// Joins a peer's texts to an object: each is copied once, and one pass over what came of it checks them all. That costs less than a pass over each of them,
/// and tells less of what is wrong: for an error, look at them one by one ([`Value::parse`](super::Value::parse)).
///
/// ```
/// # use comity_core::json::ObjectJoiner;
/// let join = |texts: &[&str]| {
///     let mut joiner = ObjectJoiner::with_capacity(64);
///     joiner.array("pdus", texts.iter().map(|text| text.as_bytes()));
///     joiner.finish()
/// };
/// assert_eq!(join(&["1", "{}"]).unwrap().text(), r#"{"pdus":[1,{}]}"#);
/// // One text is one value.
/// assert_eq!(join(&["1,2"]), None);
/// assert_eq!(join(&["[1", "2]"]), None);
/// ```
#[derive(Clone, Debug)]
pub struct ObjectJoiner {
    text: Vec<u8>,
    members: Vec<Place>,
    /// Where the elements of all arrays begin.
    elements: Vec<u32>,
}

/// Where a member was put.
#[derive(Clone, Copy, Debug)]
struct Place {
    name: u32,
    value: u32,
    /// How many elements were put before it.
    first_element: u32,
}

impl ObjectJoiner {
    /// An object without members yet, and memory for so many bytes of text. There may come more.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut text = Vec::with_capacity(bytes);
        text.push(b'{');
        Self {
            text,
            members: Vec::new(),
            elements: Vec::new(),
        }
    }

    /// The current place. Places wrap; the check refuses a text that is so long.
    fn place(&self) -> u32 {
        self.text.len() as u32
    }

    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(b',');
        }
        let start = self.place();
        write_string(&mut self.text, name);
        self.text.push(b':');
        self.members.push(Place {
            name: start,
            value: self.place(),
            first_element: self.elements.len() as u32,
        });
    }

    /// Adds a string.
    pub fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        write_string(&mut self.text, value);
    }

    /// Adds an integer.
    pub fn integer(&mut self, name: &str, value: i64) {
        self.name(name);
        self.text.extend_from_slice(value.to_string().as_bytes());
    }

    /// Adds an array, each of whose elements has to be the text of one canonical value; else [`finish`](Self::finish) gives `None`.
    pub fn array<'t>(&mut self, name: &str, elements: impl IntoIterator<Item = &'t [u8]>) {
        self.name(name);
        self.text.push(b'[');
        for (at, element) in elements.into_iter().enumerate() {
            if at > 0 {
                self.text.push(b',');
            }
            self.elements.push(self.place());
            self.text.extend_from_slice(element);
        }
        self.text.push(b']');
    }

    /// The object, if it is canonical: the names came in canonical order, and each text is exactly one canonical value.
    pub fn finish(mut self) -> Option<Object> {
        self.text.push(b'}');
        let index = check::<true>(&self.text).ok()?;
        self.is_where_it_was_put(&index)
            .then(|| Object::from_checked(Bytes::from(self.text), index))
    }

    /// Whether the pass found every member and element where it was put, and no other. Exactly one comma of ours stands between neighbours, so a text that
    /// begins and ends with a value of the whole is that value: `1,2` would be one element too many, `1},"x":{` another object's members.
    fn is_where_it_was_put(&self, index: &Index) -> bool {
        let members = index.members.iter();
        let elements = index.elements.iter();
        index.members.len() == self.members.len()
            && index.elements.len() == self.elements.len()
            && members.zip(&self.members).all(|(found, put)| {
                found.name == put.name
                    && found.value == put.value
                    && found.first_element == put.first_element
            })
            && elements
                .zip(&self.elements)
                .all(|(found, put)| found.start == *put)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::super::{ObjectWriter, Value};
    use super::*;

    fn joined(origin: &str, number: i64, lists: [&[&str]; 2]) -> Option<Object> {
        let mut joiner = ObjectJoiner::with_capacity(0);
        joiner.array("edus", lists[0].iter().map(|text| text.as_bytes()));
        joiner.string("origin", origin);
        joiner.integer("origin_server_ts", number);
        joiner.array("pdus", lists[1].iter().map(|text| text.as_bytes()));
        joiner.finish()
    }

    /// Each text by itself, then the object written of them.
    fn one_by_one(origin: &str, number: i64, lists: [&[&str]; 2]) -> Option<Object> {
        let values = |texts: &[&str]| -> Option<Vec<Value>> {
            texts
                .iter()
                .map(|text| {
                    let value = Value::parse(Bytes::from((*text).to_owned()), usize::MAX).ok()?;
                    (value.as_bytes() == text.as_bytes()).then_some(value)
                })
                .collect()
        };
        let mut writer = ObjectWriter::new();
        writer
            .array("edus", values(lists[0])?)
            .string("origin", origin)
            .integer("origin_server_ts", number)
            .array("pdus", values(lists[1])?);
        writer.finish().ok()
    }

    /// The same, or neither is one: text, members, elements and what is known of each.
    #[track_caller]
    fn assert_same(origin: &str, number: i64, lists: [&[&str]; 2]) {
        let (ours, other) = (
            joined(origin, number, lists),
            one_by_one(origin, number, lists),
        );
        assert_eq!(ours, other);
        let (Some(ours), Some(other)) = (ours, other) else {
            return;
        };
        assert_eq!(ours.facts(), other.facts());
        for (one, two) in ours.members().zip(other.members()) {
            assert_eq!(one, two);
            assert_eq!(one.1.facts(), two.1.facts());
        }
        for name in ["edus", "pdus"] {
            let elements = |object: &Object| -> Vec<_> {
                let elements = object.array(name).expect("it is an array");
                elements.map(|value| (value.facts(), value)).collect()
            };
            assert_eq!(elements(&ours), elements(&other));
        }
    }

    #[test]
    fn what_is_more_or_less_than_a_value_is_none() {
        let pieces = [
            "",
            " ",
            "1",
            "1 ",
            " 1",
            "01",
            "-0",
            "1.0",
            "{}",
            "{",
            "}",
            "[",
            "]",
            "],[",
            "1],[1",
            "1],\"x\":[1",
            "1],\"pdus\":[1",
            "1,2",
            "1,",
            ",1",
            ",",
            "\"",
            "\"a",
            "a\"",
            "\"a\"",
            "\\\"",
            "{\"b\":1,\"a\":1}",
            "{\"a\":1,\"a\":1}",
            "[1,2]",
            "[[]]",
            "true",
            "tru",
            "e",
            "{\"a\"",
            ":1}",
            "\u{0}",
            "\"\u{0}\"",
            "\"é\"",
        ];
        for one in pieces {
            assert_same("a", 1, [&[], &[one]]);
            assert_same("a", 1, [&[one], &[]]);
            for other in pieces {
                assert_same("a", 1, [&[], &[one, other]]);
                assert_same("a", 1, [&[one], &[other]]);
                assert_same("a", 1, [&[one, "1"], &["{}", other]]);
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_no_object() {
        for half in [&b"\"\xc3"[..], b"\xa9\"", b"\"\xff\""] {
            let mut joiner = ObjectJoiner::with_capacity(9);
            joiner.array("a", [half]);
            assert_eq!(joiner.finish(), None);
        }
    }

    #[test]
    fn names_come_in_order_and_once() {
        for (names, canonical) in [(["a", "b"], true), (["b", "a"], false), (["a", "a"], false)] {
            let mut joiner = ObjectJoiner::with_capacity(0);
            for name in names {
                joiner.integer(name, 1);
            }
            assert_eq!(joiner.finish().is_some(), canonical);
        }
    }

    /// Values, and bits of JSON that may come to values beside one another.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            3 => Just("{\"a\":[{\"b\":1.5}]}".to_owned()),
            2 => Just("[[],{}]".to_owned()),
            2 => "[0-9]{1,2}",
            2 => "[\\[\\]{},:\"a1]{0,6}",
            1 => ".{0,4}",
        ]
    }

    proptest! {
        #[test]
        fn joined_they_are_what_they_are_one_by_one(
            origin in ".{0,8}", number in any::<i64>(), edus in vec(text(), 0..4), pdus in vec(text(), 0..4),
        ) {
            let edus: Vec<&str> = edus.iter().map(String::as_str).collect();
            let pdus: Vec<&str> = pdus.iter().map(String::as_str).collect();
            assert_same(&origin, number, [&edus, &pdus]);
        }
    }
}
