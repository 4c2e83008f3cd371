//! Events as they cross a wire: opaque canonical text, judged one by one.
//!
//! | file | subject |
//! | --- | --- |
//! | here | elements of lists: good ones, and bad ones that harm no neighbour |
//! | `pdu`, [`edu`] | one event; the contents of ephemeral ones |
//! | `checks` | checks 1 to 3 on receipt of a PDU: format and size, signatures, hashes |
//! | `keys` | the keys that events are checked with |
//! | `sign` | events of one's own |
//! | [`room_version`] | the rules that these follow, in an open registry |
//! | [`types`] | what is known of event types, in another one, which nothing depends on |
//! | [`extensible`] | content that can be read from an event of any type |

mod checks;
pub mod edu;
pub mod extensible;
mod keys;
mod pdu;
pub mod room_version;
mod sign;
pub mod types;

pub use checks::{Receipt, Refusal, check_event, check_past_event};
pub use edu::Edu;
pub use keys::{EventKeySet, EventKeys, KeyLimits, fetch_event_keys, needed_keys};
pub use pdu::Pdu;
pub use sign::{add_signature, sign_event};

use thiserror::Error;

use crate::json::Value;

/// Greatest size of an event in canonical JSON, in bytes (SS "Size limits").
pub const MAX_EVENT_BYTES: usize = 65_536;

/// Greatest size of an event's ID, in bytes (AP "Event IDs").
pub const MAX_ID_BYTES: usize = 255;

/// Greatest nesting of an event. The specification names none; live servers take about this much.
pub const MAX_EVENT_DEPTH: u32 = 1_000;

/// Why one element of a list of events is no event. Its neighbours are untouched.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EventFault {
    /// Some other JSON value.
    #[error("is not a JSON object")]
    NotAnObject,
    /// Where the ID of an event is expected, some other JSON value than a string.
    #[error("is not a JSON string")]
    NotAnId,
    /// Beyond [`MAX_ID_BYTES`].
    #[error("takes {size} bytes, more than the limit of {MAX_ID_BYTES} of an event ID")]
    IdTooLong {
        /// Size of its JSON text in bytes.
        size: usize,
    },
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

    /// What is said of an element of `size` bytes that was too large to be kept.
    fn too_large(size: usize) -> EventFault;

    /// The element as a value again.
    fn into_value(self) -> Value;
}

impl Element for Pdu {
    fn judge(value: Value) -> Result<Self, EventFault> {
        Self::judge(value)
    }

    fn too_large(size: usize) -> EventFault {
        EventFault::TooLarge { size }
    }

    fn into_value(self) -> Value {
        self.into_value()
    }
}

/// The ID of an event.
impl Element for String {
    fn judge(value: Value) -> Result<Self, EventFault> {
        let id = value.as_str().ok_or(EventFault::NotAnId)?.into_owned();
        match id.len() <= MAX_ID_BYTES {
            true => Ok(id),
            false => Err(Self::too_large(value.as_bytes().len())),
        }
    }

    fn too_large(size: usize) -> EventFault {
        EventFault::IdTooLong { size }
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
