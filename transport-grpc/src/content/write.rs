//! From content to a message's fields.

use bytes::Bytes;
use comity_core::{
    endpoint::Content,
    json::{Object, ObjectReader, Value},
};
use comity_proto::{JsonList, JsonMap, JsonMember, StringList};

/// The members of a request's content, for the fields of its message: `Some(None)` if there was no body, which the field `no_content`
/// says; `None` if it is no JSON, which no message carries.
pub fn content_reader(content: &Content) -> Option<Option<ObjectReader<'_>>> {
    match content {
        Content::Absent => Some(None),
        Content::Json(object) => Some(Some(object.reader())),
        Content::Opaque { .. } => None,
    }
}

/// The elements of a JSON array as a list field; an absent array is an unset field. [`Fields::list`](super::Fields::list) gives them back.
pub fn json_list(elements: Option<Vec<Value>>) -> Option<JsonList> {
    elements.map(|elements| JsonList {
        items: elements.iter().map(|value| value.text().clone()).collect(),
    })
}

/// The members of a JSON object as a map field; an absent object is an unset field. [`Fields::map`](super::Fields::map) gives them back.
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

/// The text of a JSON value as a field; an absent value is an unset field. [`Fields::json`](super::Fields::json) gives it back.
pub fn json(value: Option<Value>) -> Option<Bytes> {
    value.map(|value| value.text().clone())
}

/// Strings as a list field; an absent array is an unset field. [`Fields::strings`](super::Fields::strings) gives them back.
pub fn string_list(items: Option<Vec<String>>) -> Option<StringList> {
    items.map(|items| StringList { items })
}

/// The members that nobody took out of a reader, as the field `extra_json`: one canonical object, or no bytes if there is none.
/// [`Fields::extra`](super::Fields::extra) gives them back.
pub fn extra_json(reader: ObjectReader<'_>) -> Bytes {
    let rest = reader.rest();
    if rest.is_empty() {
        Bytes::new()
    } else {
        rest.to_object().text().clone()
    }
}
