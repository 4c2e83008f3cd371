//! The room versions of Matrix, by the rules that ruma lists.

use std::collections::BTreeSet;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use ruma_common::room_version_rules::{
    EventIdFormatVersion, EventsReferenceFormatVersion, RoomVersionRules,
};
use sha2::{Digest, Sha256};

use super::{Age, EventError, Pdu, RoomVersion, Rule, redaction::redact_content};
use crate::{
    ServerName,
    json::{Kind, Object, Value},
};

/// Greatest size of `type`, `sender`, `room_id`, `state_key` and `event_id`, in bytes (SS "Size limits").
const MAX_FIELD_BYTES: usize = 255;

/// Most entries of `prev_events` and of `auth_events` in a new event.
const MAX_PREV_EVENTS: usize = 20;
const MAX_AUTH_EVENTS: usize = 10;

/// A room version whose differences from its neighbours are the ones that [`RoomVersionRules`] can express.
#[derive(Clone, Debug)]
pub struct MatrixRoomVersion {
    rules: RoomVersionRules,
}

impl MatrixRoomVersion {
    /// The version with these rules.
    pub fn new(rules: RoomVersionRules) -> Self {
        Self { rules }
    }

    /// The rules, those for authorization and state resolution among them.
    pub fn rules(&self) -> &RoomVersionRules {
        &self.rules
    }

    fn needs_room_id(&self, event_type: &str) -> bool {
        event_type != "m.room.create" || self.rules.event_format.require_room_create_room_id
    }

    /// `None` for a number that canonical JSON does not have, where the version bears one.
    fn required_integer(&self, event: &Pdu, name: &str) -> Result<Option<i64>, EventError> {
        let number = required(event, name, Kind::Number)?;
        match number.as_i64() {
            None if self.is_strict() => {
                Err(format(format!("`{name}` is no integer within ±(2^53-1)")))
            }
            number => Ok(number),
        }
    }

    /// Event IDs, or pairs of an ID and a hash in versions 1 and 2.
    fn check_references(
        &self,
        event: &Pdu,
        name: &str,
        limit: usize,
        age: Age,
    ) -> Result<(), EventError> {
        required(event, name, Kind::Array)?;
        let references = event.object().array(name);
        let count = references.as_ref().map_or(0, ExactSizeIterator::len);
        if age == Age::New && count > limit {
            return Err(EventError::new(
                Rule::Size,
                format!("`{name}` has {count} entries, more than the limit of {limit}"),
            ));
        }
        let paired = self.rules.events_reference_format == EventsReferenceFormatVersion::V1;
        let good = |reference: &Value| match paired {
            true => is_pair(reference),
            false => reference.kind() == Kind::String,
        };
        let all_good = references
            .into_iter()
            .flatten()
            .all(|reference| good(&reference));
        match (all_good, paired) {
            (true, _) => Ok(()),
            (false, true) => Err(format(format!(
                "an entry of `{name}` is no pair of an event ID and its hash"
            ))),
            (false, false) => Err(format(format!("an entry of `{name}` is no event ID"))),
        }
    }
}

/// `[id, {"sha256": hash}]`. Nobody checks the hash.
fn is_pair(reference: &Value) -> bool {
    let hash = |hashes: &Value| Object::from_value(hashes)?.get("sha256");
    match reference.elements().as_deref() {
        Some([id, hashes]) => {
            id.kind() == Kind::String
                && hash(hashes).is_some_and(|hash| hash.kind() == Kind::String)
        }
        _ => false,
    }
}

impl RoomVersion for MatrixRoomVersion {
    fn check_format(&self, event: &Pdu, age: Age) -> Result<(), EventError> {
        let event_type = required_string(event, "type")?;
        required_string(event, "sender")?;
        if self.needs_room_id(&event_type) {
            required_string(event, "room_id")?;
        }
        if self.rules.event_format.require_event_id {
            required_string(event, "event_id")?;
        }
        optional_string(event, "state_key")?;
        required(event, "content", Kind::Object)?;
        self.required_integer(event, "origin_server_ts")?;
        if self
            .required_integer(event, "depth")?
            .is_some_and(|depth| depth < 0)
        {
            return Err(format("`depth` is negative".to_owned()));
        }
        self.check_references(event, "prev_events", MAX_PREV_EVENTS, age)?;
        self.check_references(event, "auth_events", MAX_AUTH_EVENTS, age)?;
        let authorising = event.auth_events().unwrap_or_default();
        // The room ID is the create event's, so that it needs no mention (version 12).
        if !self.rules.event_format.allow_room_create_in_auth_events
            && let Some(room_id) = event.room_id()
            && let Some(hash) = room_id.strip_prefix('!')
            && authorising
                .iter()
                .any(|id| id.strip_prefix('$') == Some(hash))
        {
            return Err(format("`auth_events` holds the create event".to_owned()));
        }
        Ok(())
    }

    fn redact(&self, event: &Object) -> Result<Object, EventError> {
        let event_type = event
            .get("type")
            .and_then(|name| Some(name.as_str()?.into_owned()))
            .ok_or_else(|| format("`type` is missing or no string".to_owned()))?;
        let older = self.rules.redaction.keep_origin_membership_prev_state;
        let kept = event.filtered(|name| match name {
            "event_id" | "type" | "room_id" | "sender" | "state_key" | "content" | "hashes"
            | "signatures" | "depth" | "prev_events" | "auth_events" | "origin_server_ts" => true,
            "origin" | "membership" | "prev_state" => older,
            _ => false,
        });
        let Some(content) = kept.get("content") else {
            return Ok(kept);
        };
        let content = Object::from_value(&content)
            .ok_or_else(|| format("`content` is no object".to_owned()))?;
        let content = redact_content(&content, &event_type, &self.rules.redaction);
        Ok(kept.with_member("content", &content.to_value()))
    }

    fn required_signers(&self, event: &Pdu) -> Result<BTreeSet<ServerName>, EventError> {
        let mut signers = BTreeSet::new();
        let content = event.content().unwrap_or_else(Object::empty);
        let is_member = event.event_type().as_deref() == Some("m.room.member");
        let membership = content.get("membership");
        let membership = membership.as_ref().and_then(Value::as_str);
        let invited_by_third_party = is_member
            && membership.as_deref() == Some("invite")
            && content
                .get("third_party_invite")
                .is_some_and(|invite| invite.is_object());
        // Such an invite is vouched for by the identity server's signature within it.
        if !invited_by_third_party {
            let sender = required_string(event, "sender")?;
            signers.insert(server_of("sender", &sender)?);
        }
        if self.rules.signatures.check_event_id_server {
            let id = required_string(event, "event_id")?;
            signers.insert(server_of("event_id", &id)?);
        }
        if self.rules.signatures.check_join_authorised_via_users_server
            && is_member
            && membership.as_deref() == Some("join")
            && let Some(user) = content.get("join_authorised_via_users_server")
        {
            let name = "content.join_authorised_via_users_server";
            let user = user
                .as_str()
                .ok_or_else(|| format(format!("`{name}` is no string")))?;
            signers.insert(server_of(name, &user)?);
        }
        Ok(signers)
    }

    fn is_strict(&self) -> bool {
        self.rules.authorization.strict_canonical_json
    }

    fn enforces_key_validity(&self) -> bool {
        self.rules.enforce_key_validity
    }

    fn event_id(&self, event: &Object) -> Result<String, EventError> {
        // Where the ID is a member, nothing has to be canonical to know it.
        let signed_text = match self.rules.event_format.require_event_id {
            true => Bytes::new(),
            false => self.signed_text(event)?,
        };
        self.event_id_of(event, &signed_text)
    }

    fn event_id_of(&self, event: &Object, signed_text: &[u8]) -> Result<String, EventError> {
        if self.rules.event_format.require_event_id {
            let id = event.get("event_id");
            let id = id.as_ref().and_then(Value::as_str);
            return id
                .map(std::borrow::Cow::into_owned)
                .ok_or_else(|| format("`event_id` is missing or no string".to_owned()));
        }
        let hash = Sha256::digest(signed_text);
        Ok(match self.rules.event_id_format {
            EventIdFormatVersion::V2 => format!("${}", BASE64_STANDARD_NO_PAD.encode(hash)),
            _ => format!("${}", BASE64_URL_SAFE_NO_PAD.encode(hash)),
        })
    }
}

fn format(why: String) -> EventError {
    EventError::new(Rule::Format, why)
}

/// The server part of a user ID, or of an event ID of version 1 or 2.
fn server_of(name: &str, id: &str) -> Result<ServerName, EventError> {
    id.split_once(':')
        .and_then(|(_, server)| server.parse().ok())
        .ok_or_else(|| format(format!("`{name}` names no server")))
}

fn required(event: &Pdu, name: &str, kind: Kind) -> Result<Value, EventError> {
    let value = event
        .get(name)
        .ok_or_else(|| format(format!("`{name}` is missing")))?;
    if value.kind() != kind {
        let found = value.kind();
        return Err(format(format!("`{name}` is {found} instead of {kind}")));
    }
    Ok(value)
}

fn required_string(event: &Pdu, name: &str) -> Result<String, EventError> {
    optional_string(event, name)?.ok_or_else(|| format(format!("`{name}` is missing")))
}

fn optional_string(event: &Pdu, name: &str) -> Result<Option<String>, EventError> {
    if event.get(name).is_none() {
        return Ok(None);
    }
    let value = required(event, name, Kind::String)?;
    let text = value.as_str().unwrap_or_default();
    if text.len() > MAX_FIELD_BYTES {
        return Err(EventError::new(
            Rule::Size,
            format!(
                "`{name}` has {} bytes, more than the limit of {MAX_FIELD_BYTES}",
                text.len()
            ),
        ));
    }
    Ok(Some(text.into_owned()))
}
