//! The members that a message's fields give, and the object that they are together.

use std::borrow::Cow;

use bytes::Bytes;
use comity_core::json::{Object, ObjectWriter, write_string};
use comity_proto::{JsonList, JsonMap, StringList};

use super::{CodecError, canonical_object, field::Field};
use crate::MAX_MESSAGE;

/// The members that a message's fields give, in any order.
#[derive(Debug, Default)]
pub struct Fields<'m> {
    members: Vec<(Cow<'m, str>, Field<'m>)>,
}

impl<'m> Fields<'m> {
    /// No member.
    pub fn new() -> Self {
        Self::default()
    }

    /// A string, if the field is set.
    #[must_use]
    pub fn string(self, name: &'static str, field: Option<&'m String>) -> Self {
        self.add(name, field.map(|string| Field::String(string)))
    }

    /// An integer, if the field is set.
    #[must_use]
    pub fn integer(self, name: &'static str, field: Option<i64>) -> Self {
        self.add(name, field.map(Field::Integer))
    }

    /// A boolean, if the field is set.
    #[must_use]
    pub fn boolean(self, name: &'static str, field: Option<bool>) -> Self {
        self.add(name, field.map(Field::Boolean))
    }

    /// Any JSON value, if the field is set.
    #[must_use]
    pub fn json(self, name: &'static str, field: Option<&'m Bytes>) -> Self {
        self.add(name, field.map(Field::Json))
    }

    /// A list of any JSON values, if the field is set.
    #[must_use]
    pub fn list(self, name: &'static str, field: Option<&'m JsonList>) -> Self {
        self.add(name, field.map(|list| Field::List(&list.items)))
    }

    /// A list of strings, if the field is set.
    #[must_use]
    pub fn strings(self, name: &'static str, field: Option<&'m StringList>) -> Self {
        self.add(name, field.map(|list| Field::Strings(&list.items)))
    }

    /// An object of any members, if the field is set.
    #[must_use]
    pub fn map(self, name: &'static str, field: Option<&'m JsonMap>) -> Self {
        self.add(name, field.map(|map| Field::Map(&map.members)))
    }

    /// The members of `extra_json`: none if it is empty.
    ///
    /// # Errors
    /// It is not exactly one canonical JSON object.
    pub fn extra(mut self, extra_json: &Bytes) -> Result<Self, CodecError> {
        if !extra_json.is_empty() {
            let object = canonical_object(extra_json, MAX_MESSAGE, "extra_json")?;
            self.members.extend(
                object
                    .members()
                    .map(|(name, value)| (Cow::Owned(name.into_owned()), Field::Extra(value))),
            );
        }
        Ok(self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn add(mut self, name: &'static str, field: Option<Field<'m>>) -> Self {
        if let Some(field) = field {
            self.members.push((Cow::Borrowed(name), field));
        }
        self
    }

    /// In canonical order: UTF-8 sorts as code points do.
    fn sort(&mut self) -> Result<(), CodecError> {
        self.members.sort_by(|(one, _), (other, _)| one.cmp(other));
        let twice = self.members.windows(2).find(|pair| pair[0].0 == pair[1].0);
        if let Some(pair) = twice {
            return Err(CodecError::Duplicate {
                name: pair[0].0.to_string(),
            });
        }
        self.members
            .iter()
            .try_for_each(|(name, field)| field.check(name))
    }

    pub(super) fn ingest(mut self, limit: usize) -> Result<Object, CodecError> {
        self.sort()?;
        if self.least() > limit {
            return Err(CodecError::TooLarge { limit });
        }
        let mut object = ObjectWriter::new();
        for (name, field) in &self.members {
            field.ingest(name, &mut object)?;
        }
        let object = object.into_object();
        match object.text().len() > limit {
            true => Err(CodecError::TooLarge { limit }),
            false => Ok(object),
        }
    }

    /// The least that the text can have: what is over its limit is refused before it is looked at.
    fn least(&self) -> usize {
        let members = self.members.iter();
        let sizes = members.map(|(name, field)| name.len() + 4 + field.least());
        sizes.sum::<usize>() + 1
    }

    /// Whether the members joined are this text. No copy is made: a sender asks this of each message.
    pub(super) fn is_text(&self, text: &[u8]) -> bool {
        let mut order: Vec<&(Cow<'_, str>, Field<'_>)> = self.members.iter().collect();
        order.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut rest = Some(text);
        let mut expect = |piece: &[u8]| rest = rest.and_then(|rest| rest.strip_prefix(piece));
        expect(b"{");
        let mut name_text = Vec::new();
        for (at, (name, field)) in order.into_iter().enumerate() {
            name_text.clear();
            if at > 0 {
                name_text.push(b',');
            }
            write_string(&mut name_text, name);
            name_text.push(b':');
            expect(&name_text);
            field.write(&mut expect);
        }
        expect(b"}");
        rest.is_some_and(<[u8]>::is_empty)
    }
}
