//! The JSON Canonicalization Scheme (RFC 8785).

use bytes::Bytes;

use super::{EventError, Rule};
use crate::json::{Kind, Object, Value, write_string};

/// What is still to be written.
enum Piece {
    Text(&'static str),
    Name(String),
    Value(Value),
}

/// Writes an object. From canonical JSON only the order of names and the form of numbers differ: strings have the same escapes.
///
/// Nesting is kept on a stack of our own. Each level is looked at once more for each level around it, so the time grows with depth times size;
/// an event's limits bound both.
pub(super) fn write(object: &Object) -> Result<Bytes, EventError> {
    let mut text = Vec::with_capacity(object.text().len());
    let mut stack = vec![Piece::Value(object.to_value())];
    while let Some(piece) = stack.pop() {
        match piece {
            Piece::Text(piece) => text.extend_from_slice(piece.as_bytes()),
            Piece::Name(name) => write_string(&mut text, &name),
            Piece::Value(value) => match value.kind() {
                Kind::Object => push_object(&mut stack, &value),
                Kind::Array => push_array(&mut stack, &value),
                Kind::Number => text.extend_from_slice(number(&value)?.as_bytes()),
                Kind::String | Kind::Bool | Kind::Null => text.extend_from_slice(value.as_bytes()),
            },
        }
    }
    Ok(text.into())
}

/// What is pushed last is written first.
fn push_object(stack: &mut Vec<Piece>, value: &Value) {
    let object = Object::from_value(value).expect("it is one");
    let mut members: Vec<(String, Value)> = object
        .members()
        .map(|(name, value)| (name.into_owned(), value))
        .collect();
    members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
    stack.push(Piece::Text("}"));
    for (at, (name, value)) in members.into_iter().enumerate().rev() {
        stack.push(Piece::Value(value));
        stack.push(Piece::Text(":"));
        stack.push(Piece::Name(name));
        if at > 0 {
            stack.push(Piece::Text(","));
        }
    }
    stack.push(Piece::Text("{"));
}

fn push_array(stack: &mut Vec<Piece>, value: &Value) {
    let elements = value.elements().expect("it is one");
    stack.push(Piece::Text("]"));
    for (at, element) in elements.into_iter().enumerate().rev() {
        stack.push(Piece::Value(element));
        if at > 0 {
            stack.push(Piece::Text(","));
        }
    }
    stack.push(Piece::Text("["));
}

/// As ECMAScript writes the double that is nearest.
fn number(value: &Value) -> Result<String, EventError> {
    let double: f64 = value.as_text().parse().unwrap_or(f64::INFINITY);
    if !double.is_finite() {
        return Err(EventError::new(
            Rule::CanonicalForm,
            "a number is beyond the range of doubles",
        ));
    }
    Ok(ryu_js::Buffer::new().format_finite(double).to_owned())
}
