//! One member that a message's field gives.

use bytes::Bytes;
use comity_core::json::{ObjectWriter, Value, write_string};
use comity_proto::JsonMember;

use super::{CodecError, canonical_value};

/// Greatest integer that canonical JSON has, either side of zero.
pub(crate) const MAX_INTEGER: i64 = (1 << 53) - 1;

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
    /// What cannot be seen of its values one by one.
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

    /// Adds the member to an object, each value checked where it lies to be exactly one canonical value.
    pub(super) fn ingest(&self, name: &str, object: &mut ObjectWriter) -> Result<(), CodecError> {
        let checked = |text: &Bytes| canonical_value(text.clone(), usize::MAX, name);
        match self {
            Self::String(string) => object.string(name, string),
            Self::Integer(number) => object.integer(name, *number),
            Self::Boolean(truth) => object.boolean(name, *truth),
            Self::Json(text) => object.value(name, &checked(text)?),
            Self::Extra(value) => object.value(name, value),
            Self::Strings(items) => object.strings(name, *items),
            Self::List(items) => {
                // Straight into the object, so that there is one list of them and not two.
                let mut fault = None;
                let values = items
                    .iter()
                    .map_while(|item| checked(item).map_err(|error| fault = Some(error)).ok());
                object.array(name, values);
                return fault.map_or(Ok(()), Err);
            }
            Self::Map(members) => {
                let mut map = ObjectWriter::new();
                for member in *members {
                    map.value(&member.name, &checked(&member.value)?);
                }
                object.value(name, &map.into_object().to_value())
            }
        };
        Ok(())
    }

    /// The least that its text can have.
    pub(super) fn least(&self) -> usize {
        match self {
            Self::String(string) => string.len() + 2,
            Self::Integer(_) | Self::Boolean(_) => 1,
            Self::Json(text) => text.len(),
            Self::List(items) => items.iter().map(|item| item.len() + 1).sum(),
            Self::Strings(items) => items.iter().map(|item| item.len() + 3).sum(),
            Self::Map(members) => {
                let members = members.iter();
                let sizes = members.map(|member| member.name.len() + member.value.len() + 4);
                sizes.sum()
            }
            Self::Extra(value) => value.as_bytes().len(),
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
