//! From a message's fields back to the content and parameters that they stand for.
//!
//! Each `bytes` field is checked where it lies to be exactly one canonical value, with what the ingest finds in it. The object's text is then written once from
//! what was found, and not looked at again: canonical values joined in canonical order are canonical. So a piece like `1},"x":{` never gets into a text.
//!
//! | file | subject |
//! | --- | --- |
//! | here | what a message stands for: parameters and content |
//! | `fields`, `field` | content whose members are fields |
//! | `error` | why it stands for none |
//! | `write` | the other direction: from content to fields |

mod error;
mod field;
mod fields;
mod write;

use bytes::Bytes;
use comity_core::{
    endpoint::{Content, EndpointParts, Query},
    json::{IngestError, IngestErrorKind, Object, Value},
};

pub use error::CodecError;
pub(crate) use field::MAX_INTEGER;
pub use fields::Fields;
pub use write::{content_reader, extra_json, json, json_list, json_map, string_list};

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
                (ContentFields::Whole { text, .. }, Content::Json(object)) => {
                    *text == object.text()
                }
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
    Whole {
        /// The field's name, for errors.
        name: &'static str,
        /// What it holds.
        text: &'m Bytes,
    },
    /// The fields are its members.
    Members(Fields<'m>),
}

impl<'m> ContentFields<'m> {
    /// The members, or none if `no_content` says so.
    ///
    /// # Errors
    /// `no_content` is set beside a field.
    pub fn unless(no_content: bool, fields: Fields<'m>) -> Result<Self, CodecError> {
        match (no_content, fields.is_empty()) {
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
            Self::Whole { name, text } => canonical_object(text, limit, name).map(Some),
            Self::Members(fields) => fields.ingest(limit).map(Some),
        }
    }
}
/// The one canonical object that the field `name` holds, and nothing else.
pub(crate) fn canonical_object(
    text: &Bytes,
    limit: usize,
    name: &str,
) -> Result<Object, CodecError> {
    let object = Object::parse(text.clone(), limit).map_err(|error| refused(error, limit, name))?;
    is_kept(object.text(), place(text), name)?;
    Ok(object)
}

/// The one canonical value that the field `name` holds, and nothing else.
pub(crate) fn canonical_value(text: Bytes, limit: usize, name: &str) -> Result<Value, CodecError> {
    let given = place(&text);
    let value = Value::parse(text, limit).map_err(|error| refused(error, limit, name))?;
    is_kept(value.text(), given, name)?;
    Ok(value)
}

/// Where a text is. The ingest keeps canonical text there and re-encodes any other, so a look at it tells them apart.
fn place(text: &Bytes) -> (*const u8, usize) {
    (text.as_ptr(), text.len())
}

fn is_kept(kept: &Bytes, given: (*const u8, usize), name: &str) -> Result<(), CodecError> {
    if place(kept) == given {
        return Ok(());
    }
    Err(CodecError::NotOneValue {
        name: name.to_owned(),
    })
}

fn refused(error: IngestError, limit: usize, name: &str) -> CodecError {
    match error.kind() {
        IngestErrorKind::TooLarge { .. } => CodecError::TooLarge { limit },
        _ => CodecError::Json {
            name: name.to_owned(),
            source: error,
        },
    }
}
