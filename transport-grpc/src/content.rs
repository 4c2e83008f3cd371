//! From a message's fields back to the content and parameters that they stand for.
//!
//! The pieces are joined to the canonical text of one object, which is ingested once. That each `bytes` field is exactly one
//! canonical value follows from a comparison afterwards: the object must have the joined text, and the members and elements
//! must begin and end where the pieces did. So a piece like `1},"x":{` changes a boundary and is refused.

use std::borrow::Cow;

use bytes::Bytes;
use comity_core::{
    endpoint::{Content, EndpointParts, Query},
    json::{IngestError, IngestErrorKind, Object, Value, write_string},
};
use comity_proto::{JsonList, JsonMap, JsonMember, StringList};

use crate::MAX_MESSAGE;

/// Greatest integer that canonical JSON has, either side of zero.
const MAX_INTEGER: i64 = (1 << 53) - 1;

/// Why a message stands for no content.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CodecError {
    /// It is no message of the type.
    #[error("the message is malformed: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A member that a field gives stands in `extra_json` too.
    #[error("member `{name}` is in two fields")]
    Duplicate {
        /// The member.
        name: String,
    },
    /// An integer that canonical JSON does not have.
    #[error("member `{name}` is outside the range of canonical JSON")]
    OutOfRange {
        /// The member.
        name: String,
    },
    /// A field of the content is set although there is said to be none.
    #[error("`no_content` is set beside a field of the content")]
    ContentAndNone,
    /// A field that has to be set is not.
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    /// The fields together are no JSON.
    #[error("a field holds no JSON value")]
    Json(#[source] IngestError),
    /// A `bytes` field is not exactly one canonical JSON value.
    #[error("`{name}` is not exactly one canonical JSON value")]
    NotOneValue {
        /// The member, or the field.
        name: String,
    },
    /// The members of a map are not as canonical JSON orders them.
    #[error("the members of `{name}` are not in order, or one comes twice: `{member}`")]
    Unordered {
        /// The member that is the map.
        name: String,
        /// The first of its members that is out of order.
        member: String,
    },
    /// The lists of the message together have too many elements.
    #[error("the message has more than {limit} elements")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The content is over its limit.
    #[error("the content is over the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

/// What the fields of a request message stand for.
#[derive(Debug)]
pub struct RequestFields<'m> {
    /// Path parameters, in the order of the path.
    pub path: Vec<&'m str>,
    /// Query parameters: the known ones in the order of their fields, then the others.
    pub query: Query,
    /// The body.
    pub content: ContentFields<'m>,
}

impl RequestFields<'_> {
    /// Whether these are the parameters, and byte for byte the content, of `parts`.
    pub fn matches(&self, parts: &EndpointParts) -> bool {
        self.path.iter().eq(parts.path.iter())
            && self.query == parts.query
            && match (&self.content, &parts.content) {
                (ContentFields::Absent, Content::Absent) => true,
                (ContentFields::Whole(text), Content::Json(object)) => *text == object.text(),
                (ContentFields::Members(fields), Content::Json(object)) => {
                    fields.is_text(object.text())
                }
                _ => false,
            }
    }

    /// Takes them in as a peer's: each `bytes` field has to be exactly one canonical value.
    ///
    /// # Errors
    /// A field holds something else, or the content is over `limit` bytes.
    pub fn ingest(self, limit: usize) -> Result<EndpointParts, CodecError> {
        Ok(EndpointParts {
            path: self.path.into_iter().map(str::to_owned).collect(),
            query: self.query,
            content: match self.content.ingest(limit)? {
                Some(object) => Content::Json(object),
                None => Content::Absent,
            },
        })
    }
}

/// What the fields of a message say of the content.
#[derive(Debug)]
pub enum ContentFields<'m> {
    /// There was none.
    Absent,
    /// One field holds the whole object.
    Whole(&'m Bytes),
    /// The fields are its members.
    Members(Fields<'m>),
}

impl<'m> ContentFields<'m> {
    /// The members, or none if `no_content` says so.
    ///
    /// # Errors
    /// `no_content` is set beside a field.
    pub fn unless(no_content: bool, fields: Fields<'m>) -> Result<Self, CodecError> {
        match (no_content, fields.members.is_empty()) {
            (false, _) => Ok(Self::Members(fields)),
            (true, true) => Ok(Self::Absent),
            (true, false) => Err(CodecError::ContentAndNone),
        }
    }

    /// Takes it in as a peer's; `None` if there was none.
    ///
    /// # Errors
    /// As [`RequestFields::ingest`].
    pub fn ingest(self, limit: usize) -> Result<Option<Object>, CodecError> {
        match self {
            Self::Absent => Ok(None),
            Self::Whole(text) => canonical_object(text, limit, "content").map(Some),
            Self::Members(fields) => fields.ingest(limit).map(Some),
        }
    }
}

/// The members that a message's fields give, in any order.
#[derive(Debug, Default)]
pub struct Fields<'m> {
    members: Vec<(Cow<'m, str>, Field<'m>)>,
}

#[derive(Debug)]
enum Field<'m> {
    String(&'m str),
    Integer(i64),
    Boolean(bool),
    Json(&'m [u8]),
    List(&'m [Bytes]),
    Strings(&'m [String]),
    Map(&'m [JsonMember]),
    Extra(Value),
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
        self.add(name, field.map(|text| Field::Json(text)))
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

    fn ingest(mut self, limit: usize) -> Result<Object, CodecError> {
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
        let object = canonical_object(&Bytes::from(text), limit, "a field")?;
        self.same_boundaries(&object, &lengths)?;
        Ok(object)
    }

    /// The text is the joined one, so equal lengths in order mean equal boundaries.
    fn same_boundaries(&self, object: &Object, lengths: &[usize]) -> Result<(), CodecError> {
        let not_one_value = |name: &str| CodecError::NotOneValue {
            name: name.to_owned(),
        };
        if object.len() != self.members.len() {
            return Err(not_one_value("a field"));
        }
        for (((name, field), length), (found, value)) in
            self.members.iter().zip(lengths).zip(object.members())
        {
            if *name != found || *length != value.as_bytes().len() {
                return Err(not_one_value(name));
            }
            let same = match field {
                Field::List(items) => object.array(name).is_some_and(|elements| {
                    let found = elements.map(|element| element.as_bytes().len());
                    found.eq(items.iter().map(Bytes::len))
                }),
                Field::Map(members) => Object::from_value(&value).is_some_and(|map| {
                    let found = map.members().map(|(_, value)| value.as_bytes().len());
                    found.eq(members.iter().map(|member| member.value.len()))
                }),
                _ => true,
            };
            if !same {
                return Err(not_one_value(name));
            }
        }
        Ok(())
    }

    /// About how long the text is.
    fn text_size(&self) -> usize {
        let members = self.members.iter().map(|(name, field)| {
            let value = match field {
                Field::String(string) => string.len() + 2,
                Field::Integer(_) => 20,
                Field::Boolean(_) => 5,
                Field::Json(text) => text.len(),
                Field::List(items) => items.iter().map(|item| item.len() + 1).sum::<usize>() + 2,
                Field::Strings(items) => items.iter().map(|item| item.len() + 3).sum::<usize>() + 2,
                Field::Map(members) => {
                    let members = members.iter();
                    let sizes = members.map(|member| member.name.len() + member.value.len() + 4);
                    sizes.sum::<usize>() + 2
                }
                Field::Extra(value) => value.as_bytes().len(),
            };
            name.len() + 4 + value
        });
        members.sum::<usize>() + 2
    }

    /// Whether the members joined are this text. No copy is made: a sender asks this of each message.
    fn is_text(&self, text: &[u8]) -> bool {
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

impl Field<'_> {
    /// What cannot be seen of the joined text, or not said of it as well.
    fn check(&self, name: &str) -> Result<(), CodecError> {
        match self {
            Self::Integer(number) if number.unsigned_abs() > MAX_INTEGER as u64 => {
                Err(CodecError::OutOfRange {
                    name: name.to_owned(),
                })
            }
            Self::Map(members) => {
                let unordered = members.windows(2).find(|pair| pair[0].name >= pair[1].name);
                unordered.map_or(Ok(()), |pair| {
                    Err(CodecError::Unordered {
                        name: name.to_owned(),
                        member: pair[1].name.clone(),
                    })
                })
            }
            _ => Ok(()),
        }
    }

    fn write(&self, out: &mut impl FnMut(&[u8])) {
        let mut scratch = Vec::new();
        match self {
            Self::String(string) => {
                write_string(&mut scratch, string);
                out(&scratch);
            }
            Self::Integer(number) => out(number.to_string().as_bytes()),
            Self::Boolean(truth) => out(if *truth { b"true" } else { b"false" }),
            Self::Json(text) => out(text),
            Self::Extra(value) => out(value.as_bytes()),
            Self::List(items) => {
                out(b"[");
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out(b",");
                    }
                    out(item);
                }
                out(b"]");
            }
            Self::Map(members) => {
                out(b"{");
                for (at, member) in members.iter().enumerate() {
                    scratch.clear();
                    if at > 0 {
                        scratch.push(b',');
                    }
                    write_string(&mut scratch, &member.name);
                    scratch.push(b':');
                    out(&scratch);
                    out(&member.value);
                }
                out(b"}");
            }
            Self::Strings(items) => {
                out(b"[");
                for (at, item) in items.iter().enumerate() {
                    scratch.clear();
                    if at > 0 {
                        scratch.push(b',');
                    }
                    write_string(&mut scratch, item);
                    out(&scratch);
                }
                out(b"]");
            }
        }
    }
}

/// One canonical object and nothing else.
pub(crate) fn canonical_object(
    text: &Bytes,
    limit: usize,
    what: &str,
) -> Result<Object, CodecError> {
    let object = Object::parse(text.clone(), limit).map_err(|error| refused(error, limit))?;
    is_same(object.text(), text, what)?;
    Ok(object)
}

/// One canonical value and nothing else.
pub(crate) fn canonical_value(text: &Bytes, limit: usize, what: &str) -> Result<Value, CodecError> {
    let value = Value::parse(text.clone(), limit).map_err(|error| refused(error, limit))?;
    is_same(value.text(), text, what)?;
    Ok(value)
}

/// The ingest keeps canonical text where it is and re-encodes any other.
fn is_same(kept: &Bytes, given: &Bytes, what: &str) -> Result<(), CodecError> {
    if kept.len() == given.len() && (kept.as_ptr() == given.as_ptr() || kept == given) {
        return Ok(());
    }
    Err(CodecError::NotOneValue {
        name: what.to_owned(),
    })
}

fn refused(error: IngestError, limit: usize) -> CodecError {
    match error.kind() {
        IngestErrorKind::TooLarge { .. } => CodecError::TooLarge { limit },
        _ => CodecError::Json(error),
    }
}

/// The elements of a JSON array as a list field; an absent array is an unset field. [`Fields::list`] gives them back.
pub fn json_list(elements: Option<Vec<Value>>) -> Option<JsonList> {
    elements.map(|elements| JsonList {
        items: elements.iter().map(|value| value.text().clone()).collect(),
    })
}

/// The members of a JSON object as a map field; an absent object is an unset field. [`Fields::map`] gives them back.
pub fn json_map(object: Option<Value>) -> Option<JsonMap> {
    let object = Object::from_value(&object?)?;
    let members = object.members().map(|(name, value)| JsonMember {
        name: name.into_owned(),
        value: value.text().clone(),
    });
    Some(JsonMap {
        members: members.collect(),
    })
}

/// The text of a JSON value as a field; an absent value is an unset field. [`Fields::json`] gives it back.
pub fn json(value: Option<Value>) -> Option<Bytes> {
    value.map(|value| value.text().clone())
}

/// Strings as a list field; an absent array is an unset field. [`Fields::strings`] gives them back.
pub fn string_list(items: Option<Vec<String>>) -> Option<StringList> {
    items.map(|items| StringList { items })
}

/// The members that nobody took out of a reader, as the field `extra_json`: one canonical object, or no bytes if there is none.
/// [`Fields::extra`] gives them back.
pub fn extra_json(reader: comity_core::json::ObjectReader<'_>) -> Bytes {
    let rest = reader.rest();
    if rest.is_empty() {
        Bytes::new()
    } else {
        rest.to_object().text().clone()
    }
}
