//! What members a content has: a definition as a constant, and the check that it stands for.

use super::ContentFault;
use crate::json::{Kind, Object, Value};

/// A member that a definition names. Members that it does not name may be there, of any kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    name: &'static str,
    shape: Shape,
    required: bool,
}

impl Field {
    pub(super) const fn required(name: &'static str, shape: Shape) -> Self {
        Self {
            name,
            shape,
            required: true,
        }
    }

    pub(super) const fn optional(name: &'static str, shape: Shape) -> Self {
        Self {
            name,
            shape,
            required: false,
        }
    }
}

/// What a member is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    String,
    /// Profiles: live servers write `null` for a user who has no name.
    StringOrNull,
    Boolean,
    Integer,
    /// A power level: an integer, or the text of one, which room versions before 10 take for it.
    Level,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// An object of any members.
    Object,
    /// An object with these members.
    ObjectOf(&'static [Field]),
    /// An object whose members are all of this shape.
    MapOf(&'static Shape),
    /// An array whose elements are all of this shape.
    ListOf(&'static Shape),
}

impl Shape {
    fn expected(self) -> String {
        match self {
            Self::String => "a string".to_owned(),
            Self::StringOrNull => "a string or null".to_owned(),
            Self::Boolean => "a boolean".to_owned(),
            Self::Integer => "an integer".to_owned(),
            Self::Level => "an integer, or the text of one".to_owned(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Object | Self::ObjectOf(_) | Self::MapOf(_) => "an object".to_owned(),
            Self::ListOf(_) => "an array".to_owned(),
        }
    }
}

/// Whether the members of a content are what the fields say.
pub(super) fn check(content: &Object, fields: &[Field]) -> Result<(), ContentFault> {
    members(content, fields, "")
}

fn members(object: &Object, fields: &[Field], path: &str) -> Result<(), ContentFault> {
    for field in fields {
        let member = || format!("{path}{}", field.name);
        match object.get(field.name) {
            Some(value) => value_of(&value, field.shape, &member)?,
            None if field.required => {
                return Err(ContentFault::Missing {
                    member: member(),
                    expected: field.shape.expected(),
                });
            }
            None => {}
        }
    }
    Ok(())
}

/// As deep as the definition is, which is a constant: an event's own depth costs nothing here.
fn value_of(value: &Value, shape: Shape, member: &dyn Fn() -> String) -> Result<(), ContentFault> {
    let fits = match shape {
        Shape::String => value.kind() == Kind::String,
        Shape::StringOrNull => matches!(value.kind(), Kind::String | Kind::Null),
        Shape::Boolean => value.kind() == Kind::Bool,
        Shape::Integer => value.as_i64().is_some(),
        Shape::Level => {
            let text = value.as_str();
            value.as_i64().is_some() || text.is_some_and(|text| text.trim().parse::<i64>().is_ok())
        }
        Shape::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&&*word)),
        Shape::Object => value.is_object(),
        Shape::ObjectOf(fields) => match Object::from_value(value) {
            Some(object) => return members(&object, fields, &format!("{}.", member())),
            None => false,
        },
        Shape::MapOf(shape) => match Object::from_value(value) {
            Some(object) => {
                for (name, value) in object.members() {
                    value_of(&value, *shape, &|| format!("{}.{name}", member()))?;
                }
                true
            }
            None => false,
        },
        Shape::ListOf(shape) => match value.elements() {
            Some(elements) => {
                for (place, value) in elements.iter().enumerate() {
                    value_of(value, *shape, &|| format!("{}[{place}]", member()))?;
                }
                true
            }
            None => false,
        },
    };
    match fits {
        true => Ok(()),
        false => Err(ContentFault::Unexpected {
            member: member(),
            expected: shape.expected(),
        }),
    }
}
