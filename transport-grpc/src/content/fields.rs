//! The members that a message's fields give, and the object that they are together.

use std::borrow::Cow;

use bytes::Bytes;
use comity_core::json::{Object, write_string};
use comity_proto::{JsonList, JsonMap, StringList};

use super::{CodecError, canonical_object, field::Field};
use crate::MAX_MESSAGE;

/// What an error calls the fields together.
const CONTENT: &str = "content";

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
        let mut text = Vec::with_capacity(self.text_size());
        let mut lengths = Vec::with_capacity(self.members.len());
        text.push(b'{');
        for (at, (name, field)) in self.members.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            write_string(&mut text, name);
            text.push(b':');
            let begin = text.len();
            field.write(&mut |piece| text.extend_from_slice(piece));
            lengths.push(text.len() - begin);
        }
        text.push(b'}');
        match canonical_object(&Bytes::from(text), limit, CONTENT) {
            Ok(object) if self.are_divided_as(&object, &lengths) => Ok(object),
            Err(error @ CodecError::TooLarge { .. }) => Err(error),
            // The joined text tells that something is wrong, and not what.
            _ => Err(self.first_bad()),
        }
    }

    /// Whether the members of `object`, which has the joined text, begin and end where the fields do.
    fn are_divided_as(&self, object: &Object, lengths: &[usize]) -> bool {
        let fields = self.members.iter().zip(lengths);
        object.len() == self.members.len()
            && fields
                .zip(object.members())
                .all(|(((name, field), length), (found, value))| {
                    *name == found
                        && *length == value.as_bytes().len()
                        && field.is_divided_as(object, name, &value)
                })
    }

    /// The first field that is not canonical by itself: if each is, so is what they are joined to.
    fn first_bad(&self) -> CodecError {
        let mut members = self.members.iter();
        let bad = members.find_map(|(name, field)| field.check_values(name).err());
        bad.unwrap_or_else(|| CodecError::NotOneValue {
            name: CONTENT.to_owned(),
        })
    }

    /// About how long the text is.
    fn text_size(&self) -> usize {
        let members = self.members.iter();
        let sizes = members.map(|(name, field)| name.len() + 4 + field.size());
        sizes.sum::<usize>() + 2
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
