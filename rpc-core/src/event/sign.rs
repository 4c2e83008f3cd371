//! Events of one's own: hashed, signed, with their ID.

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};

use super::{
    Pdu,
    room_version::{EventError, RoomVersion, Rule},
};
use crate::{
    ServerName,
    auth::SigningKey,
    json::{Object, ObjectWriter, Value},
};

/// Adds the content hash and the signature of `server` to an event, and gives its ID beside it (SS "Adding hashes and signatures to
/// outgoing events").
///
/// # Errors
/// The event has no canonical form, no type, or is over the size limits.
pub fn sign_event(
    version: &dyn RoomVersion,
    event: &Object,
    server: &ServerName,
    key: &SigningKey,
) -> Result<(String, Pdu), EventError> {
    let mut hashes = ObjectWriter::new();
    hashes.string(
        "sha256",
        &BASE64_STANDARD_NO_PAD.encode(version.content_hash(event)?),
    );
    let hashed = event.with_member("hashes", &hashes.into_object().to_value());
    let signed = with_signature(version, &hashed, server, key)?;
    let id = version.event_id(signed.object())?;
    Ok((id, signed))
}

/// Adds one more signature to a signed event: an invited user's server, or a resident server that authorises a join.
///
/// # Errors
/// As [`sign_event`].
pub fn add_signature(
    version: &dyn RoomVersion,
    event: &Pdu,
    server: &ServerName,
    key: &SigningKey,
) -> Result<Pdu, EventError> {
    with_signature(version, event.object(), server, key)
}

fn with_signature(
    version: &dyn RoomVersion,
    event: &Object,
    server: &ServerName,
    key: &SigningKey,
) -> Result<Pdu, EventError> {
    let signature = key.sign(&version.signed_text(event)?).to_base64();
    let signatures = event.object("signatures").unwrap_or_else(Object::empty);
    let own = signatures
        .object(server.as_str())
        .unwrap_or_else(Object::empty)
        .with_member(key.key_id().as_str(), &Value::string(&signature));
    let signatures = signatures.with_member(server.as_str(), &own.to_value());
    let signed = event.with_member("signatures", &signatures.to_value());
    Pdu::judge(signed.to_value())
        .map_err(|fault| EventError::new(Rule::Size, format!("it {fault}")))
}
