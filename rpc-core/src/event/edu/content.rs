//! What the content of an EDU is.

use thiserror::Error;

use super::{
    DeviceListUpdate, DirectToDevice, Presence, Receipts, SigningKeyUpdate, Typing, read_content,
};
use crate::{
    ServerName,
    event::MAX_ID_BYTES,
    json::{Object, ReadError},
};

/// Most members and elements that are read of one EDU's content, those of nested objects and lists counted: beyond that, taken apart it would
/// take many times the memory of its text.
pub const MAX_ENTRIES: usize = 100_000;

/// The content of a type of EDU. What is read and written again is the same text: a member that is not known stays with it.
pub trait EduContent: Sized {
    /// Its types; it is written with the first of them.
    const TYPES: &'static [&'static str];

    /// Reads it.
    ///
    /// # Errors
    /// A member is missing or of another type, or there is too much of them: says which.
    fn read(content: &Object) -> Result<Self, EduError>;

    /// Writes it.
    fn write(&self) -> Object;

    /// Whether it is within the limits of its type. Asked of what was read and of what is to be sent.
    ///
    /// # Errors
    /// It is not: says which member.
    fn check(&self) -> Result<(), EduError>;

    /// The users in whose name it speaks, in its order.
    fn users(&self) -> impl Iterator<Item = &str>;

    /// Whether all of these are users of the server that sent it.
    ///
    /// # Errors
    /// [`EduError::NotOfOrigin`] with the first who is not.
    fn check_origin(&self, origin: &ServerName) -> Result<(), EduError> {
        match self.users().find(|user| !origin.has_user(user)) {
            Some(user) => Err(EduError::NotOfOrigin {
                user: user.to_owned(),
                origin: origin.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// Why an EDU is not what its type says, or may not be sent or taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EduError {
    /// A member is missing or of another type.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// An ID is beyond [`MAX_ID_BYTES`].
    #[error("member `{member}` takes {size} bytes, more than the limit of {MAX_ID_BYTES} of an ID")]
    IdTooLong {
        /// Where it stands.
        member: String,
        /// Its size in bytes.
        size: usize,
    },
    /// A `message_id` is beyond [`DirectToDevice::MAX_MESSAGE_ID`].
    #[error(
        "member `message_id` has {length} code points, more than the limit of {}",
        DirectToDevice::MAX_MESSAGE_ID
    )]
    MessageIdTooLong {
        /// Its length in code points.
        length: usize,
    },
    /// There is more in it than [`MAX_ENTRIES`].
    #[error("it has more members and elements than the limit of {MAX_ENTRIES}")]
    TooManyEntries,
    /// It speaks in the name of another server's user.
    #[error("{user:?} is no user of {origin}")]
    NotOfOrigin {
        /// The user.
        user: String,
        /// The server that sent it.
        origin: ServerName,
    },
}

/// The content of an EDU of one of the six types (SS "EDUs" and the modules that they belong to).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum KnownEdu {
    /// `m.typing`
    Typing(Typing),
    /// `m.presence`
    Presence(Presence),
    /// `m.receipt`
    Receipts(Receipts),
    /// `m.device_list_update`
    DeviceListUpdate(DeviceListUpdate),
    /// `m.signing_key_update`
    SigningKeyUpdate(SigningKeyUpdate),
    /// `m.direct_to_device`
    DirectToDevice(DirectToDevice),
}

macro_rules! known {
    ($($Content:ident),*) => {
        impl KnownEdu {
            /// Reads the content of an EDU of this type; `None` if it is none of the six.
            pub(super) fn read(edu_type: &str, edu: &Object) -> Option<Result<Self, EduError>> {
                $(
                    if $Content::TYPES.contains(&edu_type) {
                        return Some(read_content(edu).map(Self::$Content));
                    }
                )*
                None
            }

            /// As [`EduContent::check_origin`].
            ///
            /// # Errors
            /// [`EduError::NotOfOrigin`]
            pub fn check_origin(&self, origin: &ServerName) -> Result<(), EduError> {
                match self {
                    $( Self::$Content(content) => content.check_origin(origin), )*
                }
            }

            /// As [`EduContent::write`].
            pub fn write(&self) -> Object {
                match self {
                    $( Self::$Content(content) => content.write(), )*
                }
            }
        }
    };
}

known!(
    Typing,
    Presence,
    Receipts,
    DeviceListUpdate,
    SigningKeyUpdate,
    DirectToDevice
);
