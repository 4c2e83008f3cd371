//! One member that a message's field gives.

use bytes::Bytes;
use comity_core::json::{Object, Value, write_string};
use comity_proto::JsonMember;

use super::{CodecError, canonical_value};

/// Greatest integer that canonical JSON has, either side of zero.
const MAX_INTEGER: i64 = (1 << 53) - 1;
#[derive(Debug)]
pub(super) enum Field<'m> {
    String(&'m str),
    Integer(i64),
    Boolean(bool),
    Json(&'m Bytes),
    List(&'m [Bytes]),
    Strings(&'m [String]),
    Map(&'m [JsonMember]),
    Extra(Value),
}

impl Field<'_> {
    /// What cannot be seen of the joined text, or not said of it as well.
    pub(super) fn check(&self, name: &str) -> Result<(), CodecError> {
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

    /// That what it holds is canonical by itself. Only asked to name the field that spoiled the joined text.
    pub(super) fn check_values(&self, name: &str) -> Result<(), CodecError> {
        let check = |text: &Bytes| canonical_value(text.clone(), usize::MAX, name).map(|_| ());
        match self {
            Self::Json(text) => check(text),
            Self::List(items) => items.iter().try_for_each(check),
            Self::Map(members) => members.iter().try_for_each(|member| check(&member.value)),
            _ => Ok(()),
        }
    }

    /// About how long its text is.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::String(string) => string.len() + 2,
            Self::Integer(_) => 20,
            Self::Boolean(_) => 5,
            Self::Json(text) => text.len(),
            Self::List(items) => items.iter().map(|item| item.len() + 1).sum::<usize>() + 2,
            Self::Strings(items) => items.iter().map(|item| item.len() + 3).sum::<usize>() + 2,
            Self::Map(members) => {
                let members = members.iter();
                let sizes = members.map(|member| member.name.len() + member.value.len() + 4);
                sizes.sum::<usize>() + 2
            }
            Self::Extra(value) => value.as_bytes().len(),
        }
    }

    /// Whether `value`, the member `name` of `object`, has the elements that the field has. Their text is equal, so equal lengths in
    /// order mean equal boundaries.
    pub(super) fn is_divided_as(&self, object: &Object, name: &str, value: &Value) -> bool {
        match self {
            Self::List(items) => object.array(name).is_some_and(|elements| {
                let found = elements.map(|element| element.as_bytes().len());
                found.eq(items.iter().map(Bytes::len))
            }),
            Self::Map(members) => Object::from_value(value).is_some_and(|map| {
                let found = map.members().map(|(_, value)| value.as_bytes().len());
                found.eq(members.iter().map(|member| member.value.len()))
            }),
            _ => true,
        }
    }

    /// Gives its text piece by piece.
    pub(super) fn write(&self, out: &mut impl FnMut(&[u8])) {
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
