//! Events as they cross a wire: opaque canonical text, judged one by one.

use thiserror::Error;

use crate::json::Value;

/// Greatest size of an event in canonical JSON, in bytes (SS "Size limits").
pub const MAX_EVENT_BYTES: usize = 65_536;

/// Greatest nesting of an event. The specification names none; live servers take about this much.
pub const MAX_EVENT_DEPTH: u32 = 1_000;

/// A persistent data unit: one event as the canonical text of a JSON object within the limits of size and depth.
///
/// Hashes and signatures cover this text, so no wire re-encodes it. Whether its numbers are canonical is left to the
/// room version ([`Pdu::has_odd_numbers`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pdu(Value);

impl Pdu {
    /// Judges a value as an event.
    ///
    /// # Errors
    /// It is not an object, too large, or too deep. Nothing else of the request or reply is touched by that.
    pub fn judge(value: Value) -> Result<Self, EventFault> {
        if !value.is_object() {
            return Err(EventFault::NotAnObject);
        }
        let size = value.as_bytes().len();
        if size > MAX_EVENT_BYTES {
            return Err(EventFault::TooLarge { size });
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

    /// The canonical text, taken out.
    pub fn into_value(self) -> Value {
        self.0
    }

    /// Whether a number in it is outside the canonical range. Room versions 6 and later refuse such an event.
    pub fn has_odd_numbers(&self) -> bool {
        self.0.facts().odd_numbers
    }
}

/// An ephemeral data unit: the canonical text of a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// Why one element of a list of events is no event. Its neighbours are untouched.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EventFault {
    /// Some other JSON value.
    #[error("is not a JSON object")]
    NotAnObject,
    /// Where the ID of an event is expected, some other JSON value than a string.
    #[error("is not a JSON string")]
    NotAnId,
    /// Beyond [`MAX_EVENT_BYTES`], or beyond the limit of a streamed reply's elements.
    #[error("has {size} bytes, more than the limit of {MAX_EVENT_BYTES}")]
    TooLarge {
        /// Size in bytes.
        size: usize,
    },
    /// Beyond [`MAX_EVENT_DEPTH`].
    #[error("is nested {depth} levels deep, more than the limit of {MAX_EVENT_DEPTH}")]
    TooDeep {
        /// Levels.
        depth: u32,
    },
}

/// An element that is no event: where it stood, why, and what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadEvent {
    /// Place in its array, from 0.
    pub index: u64,
    /// What is wrong with it.
    pub fault: EventFault,
    /// The element itself, unless it was too large to be kept.
    pub value: Option<Value>,
}

/// An element of a list of events: good, or bad without harm to the others.
pub type Listed<T> = Result<T, BadEvent>;

/// What an array of a streamed reply holds: events, or the IDs of events.
pub trait Element: Sized + Send + 'static {
    /// Judges a value as such an element.
    ///
    /// # Errors
    /// It is none. Its neighbours are untouched.
    fn judge(value: Value) -> Result<Self, EventFault>;

    /// The element as a value again.
    fn into_value(self) -> Value;
}

impl Element for Pdu {
    fn judge(value: Value) -> Result<Self, EventFault> {
        Self::judge(value)
    }

    fn into_value(self) -> Value {
        self.into_value()
    }
}

/// The ID of an event.
impl Element for String {
    fn judge(value: Value) -> Result<Self, EventFault> {
        value
            .as_str()
            .map(std::borrow::Cow::into_owned)
            .ok_or(EventFault::NotAnId)
    }

    fn into_value(self) -> Value {
        Value::string(&self)
    }
}

/// Judges the elements of a list one by one.
pub fn judge_all<T>(
    values: impl IntoIterator<Item = Value>,
    judge: fn(Value) -> Result<T, EventFault>,
) -> Vec<Listed<T>> {
    (0..)
        .zip(values)
        .map(|(index, value)| {
            // Two pointers and a count: cloning a value copies no text.
            judge(value.clone()).map_err(|fault| BadEvent {
                index,
                fault,
                value: Some(value),
            })
        })
        .collect()
}

/// What stood in a list, good or bad, to write it again. An element that was too large to keep is left out; a request or message
/// has none, because it is read whole.
pub(crate) fn listed_values<'a, T: 'a>(
    list: &'a [Listed<T>],
    value: fn(&T) -> &Value,
) -> impl Iterator<Item = Value> + 'a {
    list.iter().filter_map(move |item| match item {
        Ok(event) => Some(value(event).clone()),
        Err(bad) => bad.value.clone(),
    })
}
