//! One event as it crosses a wire.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::OnceLock,
};

use super::{
    BadEvent, EventFault, Listed, MAX_EVENT_BYTES, MAX_EVENT_DEPTH, extensible::ContentBlocks,
};
use crate::json::{Object, Value};

/// A persistent data unit: one event as the canonical text of a JSON object within the limits of size and depth.
///
/// Hashes and signatures cover this text, so no wire re-encodes it. Cheap to clone; equal and hashed by its text. Its
/// members are found when the first of them is asked for; each of the readers below gives `None` if the member is absent or of another
/// type. Whether its numbers are canonical is left to the room version ([`Pdu::has_odd_numbers`]), as are its
/// hashes and signatures ([`check_event`](super::check_event)).
#[derive(Clone)]
pub struct Pdu {
    value: Value,
    object: OnceLock<Object>,
}

impl Pdu {
    /// Judges a value as an event.
    ///
    /// # Errors
    /// It is not an object, too large, or too deep. Nothing else of the request or reply is touched by that.
    pub fn judge(value: Value) -> Result<Self, EventFault> {
        Self::check(&value)?;
        Ok(Self::of(value))
    }

    /// Judges the elements of a list one by one, as [`judge_all`](super::judge_all) does, without holding each of them twice.
    pub(crate) fn judge_all(values: Vec<Value>) -> Vec<Listed<Self>> {
        let judge = |(index, value)| match Self::check(&value) {
            Ok(()) => Ok(Self::of(value)),
            Err(fault) => Err(BadEvent {
                index,
                fault,
                value: Some(value),
            }),
        };
        (0..).zip(values).map(judge).collect()
    }

    fn of(value: Value) -> Self {
        Self {
            value,
            object: OnceLock::new(),
        }
    }

    fn check(value: &Value) -> Result<(), EventFault> {
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
        Ok(())
    }

    /// The canonical text.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The canonical text, taken out.
    pub fn into_value(self) -> Value {
        self.value
    }

    /// The same event in a buffer of its own. An event that was read from a body keeps all of that body alive, so detach what is to be
    /// stored.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self::of(self.value.detached())
    }

    /// The same text with its members found.
    pub fn object(&self) -> &Object {
        self.object
            .get_or_init(|| Object::from_value(&self.value).expect("it was judged to be an object"))
    }

    /// Whether a number in it is outside the canonical range. Room versions 6 and later refuse such an event.
    pub fn has_odd_numbers(&self) -> bool {
        self.value.facts().odd_numbers
    }

    /// A member of any type.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.object().get(name)
    }

    /// `type`
    pub fn event_type(&self) -> Option<String> {
        self.string("type")
    }

    /// `room_id`. The create event of a room of version 12 has none.
    pub fn room_id(&self) -> Option<String> {
        self.string("room_id")
    }

    /// `sender`: a user ID.
    pub fn sender(&self) -> Option<String> {
        self.string("sender")
    }

    /// `state_key`, if it is a state event.
    pub fn state_key(&self) -> Option<String> {
        self.string("state_key")
    }

    /// `depth`
    pub fn depth(&self) -> Option<i64> {
        self.get("depth")?.as_i64()
    }

    /// `origin_server_ts`, in milliseconds since the Unix epoch.
    pub fn origin_server_ts(&self) -> Option<i64> {
        self.get("origin_server_ts")?.as_i64()
    }

    /// `content`
    pub fn content(&self) -> Option<Object> {
        self.object().object("content")
    }

    /// What its content holds, whatever its type is (MSC1767). Empty if there is no content.
    pub fn content_blocks(&self) -> ContentBlocks {
        ContentBlocks::new(self.content().unwrap_or_default())
    }

    /// The IDs in `prev_events`.
    pub fn prev_events(&self) -> Option<Vec<String>> {
        self.references("prev_events")
    }

    /// The IDs in `auth_events`.
    pub fn auth_events(&self) -> Option<Vec<String>> {
        self.references("auth_events")
    }

    fn string(&self, name: &str) -> Option<String> {
        Some(self.get(name)?.as_str()?.into_owned())
    }

    /// Room versions 1 and 2 write `[id, {"sha256": hash}]` for each, later ones the ID alone.
    fn references(&self, name: &str) -> Option<Vec<String>> {
        let id = |reference: Value| match reference.as_str() {
            Some(id) => Some(id.into_owned()),
            None => Some(reference.elements()?.first()?.as_str()?.into_owned()),
        };
        self.object().array(name)?.map(id).collect()
    }
}

impl PartialEq for Pdu {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Pdu {}

impl Hash for Pdu {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl fmt::Debug for Pdu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pdu").field(&self.value).finish()
    }
}
