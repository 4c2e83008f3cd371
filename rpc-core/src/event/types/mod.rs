//! Event types: who defines a type of events, and what their content looks like. Consulted, never required.
//!
//! The format of an arbitrary event is the [room version's](super::room_version) business and nothing here touches it. Whoever vendors a type
//! registers it in [`EventTypes`], beside those of the Matrix specification ([`EventTypes::matrix`]) or without them. No part of the
//! library asks a registry before it carries, checks or signs an event: a type that nobody registered passes, and so does an
//! event whose content is not what its type's definition says. What that means is for the homeserver or the client that asked.

mod matrix;
mod registry;
mod shape;

pub use registry::{ContentCheck, EventTypeEntry, EventTypeError, EventTypes};

use thiserror::Error;

/// How an event's content departs from the definition of its type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ContentFault {
    /// The event has no `content` that is an object.
    #[error("the event has no object `content`")]
    NoContent,
    /// A required member is not there.
    #[error("`content.{member}`: expected {expected}, but it is missing")]
    Missing {
        /// The member, by its path: `public_keys.ed25519`.
        member: String,
        /// What the definition says: "a string".
        expected: String,
    },
    /// A member is another one than the definition says.
    #[error("`content.{member}`: expected {expected}")]
    Unexpected {
        /// The member, by its path: `users.@alice:example.org`.
        member: String,
        /// What the definition says: "an integer".
        expected: String,
    },
}
