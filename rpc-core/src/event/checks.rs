//! Checks 1 to 3 on receipt of a PDU (SS "Checks performed on receipt of a PDU"). Whether an event is allowed is for
//! authorization rules, which are a homeserver's.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use thiserror::Error;

use super::{
    EventKeys, Pdu,
    room_version::{Age, EventError, RoomVersion, Rule},
};
use crate::{
    auth::{KeyId, Signature},
    json::Object,
};

/// What became of an event that is not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Format, signatures and content hash are good.
    Good {
        /// The event's ID.
        event_id: String,
    },
    /// The signatures are good, the content hash is not: from here on the event is what a redaction leaves of it.
    Redacted {
        /// The event's ID.
        event_id: String,
        /// What is left.
        event: Pdu,
    },
    /// What is hashed or signed of it has no canonical form, which room versions 1 to 5 bear, so nobody can check it alike. What else there is to
    /// check is good. To be carried unchanged, never to be called good.
    Unverifiable {
        /// The event's ID, if it can be known.
        event_id: Option<String>,
        /// What stands in the way.
        why: EventError,
    },
}

/// An event that is to be dropped: which, by which rule, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{event} is refused by the rules for {}: {}", .error.rule(), .error.why())]
pub struct Refusal {
    event: String,
    error: EventError,
}

impl Refusal {
    /// The event's ID; where it has none, its type and sender.
    pub fn event(&self) -> &str {
        &self.event
    }

    /// The rule and why.
    pub fn error(&self) -> &EventError {
        &self.error
    }
}

/// Checks a new event: format and size, the signatures of all servers that have to sign it, and the content hash. Size and nesting were
/// judged when it became a [`Pdu`].
///
/// # Errors
/// It is to be dropped.
pub fn check_event(
    version: &dyn RoomVersion,
    event: &Pdu,
    keys: &dyn EventKeys,
) -> Result<Receipt, Refusal> {
    check(version, event, keys, Age::New)
}

/// The same for an event that was asked for, by backfill or as part of a room's state.
///
/// # Errors
/// It is to be dropped.
pub fn check_past_event(
    version: &dyn RoomVersion,
    event: &Pdu,
    keys: &dyn EventKeys,
) -> Result<Receipt, Refusal> {
    check(version, event, keys, Age::Past)
}

fn check(
    version: &dyn RoomVersion,
    event: &Pdu,
    keys: &dyn EventKeys,
    age: Age,
) -> Result<Receipt, Refusal> {
    // What a version bears that is not strict.
    let no_form = |why: &EventError| !version.is_strict() && why.rule() == Rule::CanonicalForm;
    let outcome = || {
        // From version 6 on all of an event has to be canonical, `unsigned` too ("Canonical JSON" of room version 6).
        if version.is_strict() {
            version.canonical_form().write(event.object())?;
        }
        version.check_format(event, age)?;
        let signed_text = match version.signed_text(event.object()) {
            Err(why) if no_form(&why) => {
                let event_id = version.event_id(event.object()).ok();
                return Ok(Receipt::Unverifiable { event_id, why });
            }
            signed_text => signed_text?,
        };
        check_signatures(version, event, &signed_text, keys)?;
        let event_id = version.event_id_of(event.object(), &signed_text)?;
        match has_good_hash(version, event.object()) {
            Ok(true) => return Ok(Receipt::Good { event_id }),
            Ok(false) => {}
            Err(why) if no_form(&why) => {
                let event_id = Some(event_id);
                return Ok(Receipt::Unverifiable { event_id, why });
            }
            Err(why) => return Err(why),
        }
        let redacted = version.redact(event.object())?;
        let event = Pdu::judge(redacted.to_value())
            .map_err(|fault| EventError::new(Rule::Size, format!("what is left {fault}")))?;
        Ok(Receipt::Redacted { event_id, event })
    };
    outcome().map_err(|error| Refusal {
        event: name_of(version, event),
        error,
    })
}

/// SS "Validating hashes and signatures on received events", v1.19: signatures by unknown keys, and by keys that had expired, do not count;
/// of each server that has to sign one has to remain, and all that remain have to be good.
fn check_signatures(
    version: &dyn RoomVersion,
    event: &Pdu,
    signed_text: &[u8],
    keys: &dyn EventKeys,
) -> Result<(), EventError> {
    let wrong = |why: String| EventError::new(Rule::Signatures, why);
    let at = event.origin_server_ts();
    let signatures = event
        .object()
        .object("signatures")
        .ok_or_else(|| wrong("`signatures` is missing or no object".to_owned()))?;
    for server in version.required_signers(event)? {
        let own = signatures
            .object(server.as_str())
            .ok_or_else(|| wrong(format!("{server} did not sign it")))?;
        let mut counted = 0;
        for (key_id, signature) in own.members() {
            let Ok(key_id) = key_id.parse::<KeyId>() else {
                continue;
            };
            let Some(key) = keys.event_key(&server, &key_id, at, version.enforces_key_validity())
            else {
                continue;
            };
            let signature = signature
                .as_str()
                .and_then(|text| Signature::from_base64(&text).ok())
                .ok_or_else(|| {
                    wrong(format!(
                        "the signature of {server} by {key_id} is malformed"
                    ))
                })?;
            let good = match keys.prepared_keys() {
                Some(prepared) => prepared.verify_slices(&key, &[signed_text], &signature),
                None => key.verify(signed_text, &signature),
            };
            if !good {
                return Err(wrong(format!(
                    "the signature of {server} by {key_id} is wrong"
                )));
            }
            counted += 1;
        }
        if counted == 0 {
            return Err(wrong(format!(
                "no signature of {server} is by a key that is known and was valid"
            )));
        }
    }
    Ok(())
}

fn has_good_hash(version: &dyn RoomVersion, event: &Object) -> Result<bool, EventError> {
    /// Padded or not, last bits zero or not, as live servers read it.
    const TOLERANT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let claimed = event
        .object("hashes")
        .and_then(|hashes| hashes.get("sha256"))
        .and_then(|hash| Some(hash.as_str()?.into_owned()))
        .ok_or_else(|| EventError::new(Rule::Hashes, "`hashes.sha256` is missing or no string"))?;
    let own = version.content_hash(event)?;
    Ok(TOLERANT.decode(claimed).is_ok_and(|claimed| claimed == own))
}

/// The ID, or what else tells the event from others. What a peer wrote is quoted and cut.
fn name_of(version: &dyn RoomVersion, event: &Pdu) -> String {
    if let Ok(id) = version.event_id(event.object()) {
        return shown(&id);
    }
    let quoted = |text: Option<String>| text.map_or_else(|| "?".to_owned(), |text| shown(&text));
    format!(
        "an event of type {} by {} without an ID",
        quoted(event.event_type()),
        quoted(event.sender())
    )
}

/// Text of a peer, as a line of a log can bear it.
fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
