//! Room versions: the rules that an event's format, ID, hashes and signatures follow.
//!
//! No binding and no router knows any of this; only [`check_event`](super::check_event) and [`sign_event`](super::sign_event) ask a room
//! version. It is a trait in an [open registry](RoomVersions): a break with what was stays inside its version, even one without a graph
//! or with another canonical form, and one server supports both editions of the protocol by registering both (MSC3923).
//!
//! Two drafts define a version `I.1` differently. [`RoomVersions::ietf`] has that of draft-ralston-mimi-matrix-framework: version 10 with
//! extensible events. That of the Linearized Matrix draft goes by `org.matrix.i-d.ralston-mimi-linearized-matrix.02`; it is not here.

mod jcs;
mod matrix;
mod redaction;
mod registry;

pub use matrix::MatrixRoomVersion;
pub use registry::{Designation, RegisterError, RoomVersionEntry, RoomVersions};

use std::{collections::BTreeSet, fmt};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::Pdu;
use crate::{ServerName, json::Object};

/// The rules of a room version, as far as they concern one event alone. Authorization and state resolution are a homeserver's.
///
/// What has to be written: format, redaction, required signers. The rest follows, as it does in every version of Matrix since 4.
pub trait RoomVersion: fmt::Debug + Send + Sync + 'static {
    /// Step 1 of the checks on receipt: members, their types, and size limits. That the event is in canonical form is checked before.
    ///
    /// # Errors
    /// What the event lacks or exceeds.
    fn check_format(&self, event: &Pdu, age: Age) -> Result<(), EventError>;

    /// The event with what a redaction leaves of it.
    ///
    /// # Errors
    /// It has no type, or another fault that leaves open what to keep.
    fn redact(&self, event: &Object) -> Result<Object, EventError>;

    /// The servers whose signature the event needs.
    ///
    /// # Errors
    /// A member that names one is missing or malformed.
    fn required_signers(&self, event: &Pdu) -> Result<BTreeSet<ServerName>, EventError>;

    /// What is hashed and signed.
    fn canonical_form(&self) -> CanonicalForm {
        CanonicalForm::Matrix
    }

    /// Whether an event that has no canonical form is refused. If not, it can only not be verified, and is carried unchanged.
    fn is_strict(&self) -> bool {
        true
    }

    /// Whether a signature counts only if its key was valid at the event's `origin_server_ts`.
    fn enforces_key_validity(&self) -> bool {
        true
    }

    /// The event's ID, whose [signed text](Self::signed_text) this is: the hash of that text, behind `$`.
    ///
    /// # Errors
    /// The ID is a member of the event, and is missing.
    fn event_id_of(&self, event: &Object, signed_text: &[u8]) -> Result<String, EventError> {
        let _ = event;
        let hash = Sha256::digest(signed_text);
        Ok(format!("${}", BASE64_URL_SAFE_NO_PAD.encode(hash)))
    }

    /// The event's ID.
    ///
    /// # Errors
    /// The event cannot be redacted, or has no canonical form.
    fn event_id(&self, event: &Object) -> Result<String, EventError> {
        self.event_id_of(event, &self.signed_text(event)?)
    }

    /// The text that servers sign: the redacted event without `signatures` and `unsigned`. Its hash is the reference hash.
    ///
    /// # Errors
    /// As [`event_id`](Self::event_id).
    fn signed_text(&self, event: &Object) -> Result<Bytes, EventError> {
        let redacted = self.redact(event)?;
        let signed = redacted.filtered(|name| !matches!(name, "signatures" | "unsigned"));
        self.canonical_form().write(&signed)
    }

    /// The hash of all that a redaction might remove: of the event without `hashes`, `signatures` and `unsigned`.
    ///
    /// # Errors
    /// The event has no canonical form.
    fn content_hash(&self, event: &Object) -> Result<[u8; 32], EventError> {
        let hashed = event.filtered(|name| !matches!(name, "hashes" | "signatures" | "unsigned"));
        Ok(Sha256::digest(self.canonical_form().write(&hashed)?).into())
    }
}

/// Whether an event is new, or was asked for: some limits came late, and events in old rooms exceed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Pushed to us.
    New,
    /// Pulled by backfill, or as part of a room's state.
    Past,
}

/// The one text of an object that is hashed and signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanonicalForm {
    /// Canonical JSON (AP "Canonical JSON"): names ordered by code point, integers within ±(2^53-1) only.
    Matrix,
    /// JSON Canonicalization Scheme, RFC 8785: names ordered by UTF-16 code unit, numbers as ECMAScript writes doubles.
    Jcs,
}

impl CanonicalForm {
    /// The text.
    ///
    /// # Errors
    /// A number has no such form.
    pub fn write(self, object: &Object) -> Result<Bytes, EventError> {
        match self {
            Self::Matrix if object.facts().odd_numbers => Err(EventError::new(
                Rule::CanonicalForm,
                "a number is no integer within ±(2^53-1)",
            )),
            Self::Matrix => Ok(object.text().clone()),
            Self::Jcs => jcs::write(object),
        }
    }
}

/// Which rule an event breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Members and their types (the room version's "Event format").
    Format,
    /// SS "Size limits".
    Size,
    /// AP "Canonical JSON", or what the room version has instead.
    CanonicalForm,
    /// SS "Validating hashes and signatures on received events".
    Signatures,
    /// The same section.
    Hashes,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => "event format",
            Self::Size => "size limits",
            Self::CanonicalForm => "canonical form",
            Self::Signatures => "signatures",
            Self::Hashes => "hashes",
        })
    }
}

/// What is wrong with an event, and which rule says so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{rule}: {why}")]
pub struct EventError {
    rule: Rule,
    why: String,
}

impl EventError {
    /// This rule is broken, in this way.
    pub fn new(rule: Rule, why: impl Into<String>) -> Self {
        Self {
            rule,
            why: why.into(),
        }
    }

    /// The rule.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// In what way it is broken.
    pub fn why(&self) -> &str {
        &self.why
    }
}
