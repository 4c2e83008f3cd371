//! One ephemeral event.

use super::{EventFault, MAX_EVENT_DEPTH};
use crate::json::{Object, Value};

/// An ephemeral data unit: the canonical text of a JSON object, with a type and a content (SS "EDUs").
///
/// Types that nobody here knows pass untouched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Edu(Value);

impl Edu {
    /// Judges a value as an EDU.
    ///
    /// # Errors
    /// It is not an object, or too deep.
    pub fn judge(value: Value) -> Result<Self, EventFault> {
        if !value.is_object() {
            return Err(EventFault::NotAnObject);
        }
        let depth = value.facts().depth;
        if depth > MAX_EVENT_DEPTH {
            return Err(EventFault::TooDeep { depth });
        }
        Ok(Self(value))
    }

    /// The canonical text.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The same text with its members found. Costs a pass over it.
    pub fn object(&self) -> Object {
        Object::from_value(&self.0).expect("it was judged to be an object")
    }

    /// `edu_type`, such as `m.typing`.
    pub fn edu_type(&self) -> Option<String> {
        Some(self.object().get("edu_type")?.as_str()?.into_owned())
    }

    /// `content`
    pub fn content(&self) -> Option<Object> {
        self.object().object("content")
    }
}
