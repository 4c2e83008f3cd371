//! Ephemeral events: any of them as text, and the contents of the six types that the specification knows.
//!
//! An [`Edu`] is text that nobody here changes. Who wants to know what is in it reads it: [`Edu::read`] as one type of content, [`Edu::known`] as
//! whichever it is. Types that nobody knows pass untouched, as do members that a type does not know.
//!
//! | file | contents |
//! | --- | --- |
//! | `rooms` | of rooms: `m.typing`, `m.receipt` |
//! | `presence` | `m.presence` |
//! | `devices` | of users' devices and keys: `m.device_list_update`, `m.signing_key_update`, `m.direct_to_device` |
//! | `content`, `reading` | what a content is, and how one is read strictly and within bounds |

mod content;
mod devices;
mod presence;
mod reading;
mod rooms;

pub use content::{EduContent, EduError, KnownEdu, MAX_ENTRIES};
pub use devices::{DeviceListUpdate, DirectToDevice, SigningKeyUpdate};
pub use presence::{Presence, PresenceState, UserPresence};
pub use rooms::{ReceiptData, Receipts, RoomReceipts, Typing, UserReceipt};

use super::{EventFault, MAX_EVENT_DEPTH};
use crate::{
    ServerName,
    json::{Object, ObjectWriter, Value},
};

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

    /// An EDU of one's own.
    ///
    /// # Errors
    /// The content is beyond a limit, so that no reader would take it.
    pub fn new<C: EduContent>(content: &C) -> Result<Self, EduError> {
        content.check()?;
        let mut edu = ObjectWriter::new();
        edu.string("edu_type", C::TYPES[0]);
        edu.value("content", &content.write().to_value());
        Ok(Self(edu.into_object().to_value()))
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
        type_of(&self.object())
    }

    /// `content`
    pub fn content(&self) -> Option<Object> {
        self.object().object("content")
    }

    /// Its content as a `C`; `None` if it is of another type.
    ///
    /// # Errors
    /// It is of that type, and its content is not: says which member.
    pub fn read<C: EduContent>(&self) -> Result<Option<C>, EduError> {
        let object = self.object();
        match type_of(&object) {
            Some(edu_type) if C::TYPES.contains(&&*edu_type) => read_content(&object).map(Some),
            _ => Ok(None),
        }
    }

    /// Its content, if it is of one of the six types; `None` if it is of another type or of none.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn known(&self) -> Result<Option<KnownEdu>, EduError> {
        let object = self.object();
        let Some(edu_type) = type_of(&object) else {
            return Ok(None);
        };
        KnownEdu::read(&edu_type, &object).transpose()
    }

    /// Whether every user in whose name it speaks is of the server that sent it: a receiver drops what is said of others' users.
    /// A type that is not known speaks in nobody's name.
    ///
    /// # Errors
    /// [`EduError::NotOfOrigin`] with a user who is not; as [`read`](Self::read) if that cannot be told.
    pub fn check_origin(&self, origin: &ServerName) -> Result<(), EduError> {
        match self.known()? {
            Some(known) => known.check_origin(origin),
            None => Ok(()),
        }
    }

    /// The rooms that it belongs to, each of whose server ACLs has to let the origin in (SS "Server Access Control Lists (ACLs)"): that of
    /// `m.typing`, those of `m.receipt`, none of any other. Also of an EDU whose content is wrong otherwise. Of a receipt in more than
    /// [`MAX_ENTRIES`] rooms, which nobody reads, so many.
    pub fn rooms(&self) -> Vec<String> {
        let object = self.object();
        match RoomsOf::of(&object) {
            RoomsOf::Room(room) => vec![room],
            RoomsOf::Members(content) => {
                let rooms = content.members().map(|(room, _)| room.into_owned());
                rooms.take(MAX_ENTRIES).collect()
            }
            RoomsOf::None => Vec::new(),
        }
    }

    /// The EDU without the [`rooms`](Self::rooms) that `keep` says no to; `None` if that leaves nothing of it. Rooms are all that is taken
    /// out, and an EDU of no room is left as it is.
    #[must_use]
    pub fn retain_rooms(&self, mut keep: impl FnMut(&str) -> bool) -> Option<Self> {
        let object = self.object();
        match RoomsOf::of(&object) {
            RoomsOf::Room(room) => keep(&room).then(|| self.clone()),
            RoomsOf::Members(content) => {
                let kept = content.filtered(keep);
                match kept.len() {
                    all if all == content.len() => Some(self.clone()),
                    0 => None,
                    _ => {
                        let edu = object.with_member("content", &kept.to_value());
                        Some(Self(edu.to_value()))
                    }
                }
            }
            RoomsOf::None => Some(self.clone()),
        }
    }
}

/// Where an EDU says which rooms it belongs to.
enum RoomsOf {
    /// It is of this one.
    Room(String),
    /// Every member of its content is one.
    Members(Object),
    /// It is of none.
    None,
}

impl RoomsOf {
    fn of(edu: &Object) -> Self {
        let content = edu.object("content");
        match (type_of(edu).as_deref(), content) {
            (Some("m.typing"), Some(content)) => {
                let room = content.get("room_id");
                let room = room.and_then(|room| Some(room.as_str()?.into_owned()));
                room.map_or(Self::None, Self::Room)
            }
            (Some("m.receipt"), Some(content)) => Self::Members(content),
            _ => Self::None,
        }
    }
}

fn type_of(edu: &Object) -> Option<String> {
    Some(edu.get("edu_type")?.as_str()?.into_owned())
}

/// The content of an EDU that is of this type.
fn read_content<C: EduContent>(edu: &Object) -> Result<C, EduError> {
    let content = edu.reader().object("content")?;
    let content = Object::from_value(&content).expect("it was read as an object");
    let content = C::read(&content)?;
    content.check()?;
    Ok(content)
}
