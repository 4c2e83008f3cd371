//! What can be said of one event: its content hash and signatures, by ruma's implementation and not by ours.

use std::collections::BTreeSet;

use comity_core::{ServerName, event::Pdu};
use ruma_common::{
    CanonicalJsonObject, RoomVersionId,
    canonical_json::redact,
    room_version_rules::RoomVersionRules,
    serde::{Base64, base64::Standard},
};
use ruma_signatures::{
    PublicKeyMap, VerificationError, Verified, content_hash, verify_event, verify_json,
};

/// How an event fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Content hash and every required signature are good.
    Good,
    /// The signatures are good; the content hash is that of the content before its redaction.
    Redacted,
    /// The content hash is good; nobody gave a verify key for the signature of this server.
    Unchecked(String),
    /// The content hash does not match, as after a redaction, and nobody gave a verify key for the signature of this server, which would
    /// tell a redacted event from a tampered one.
    Doubtful(String),
    /// Room versions 1 to 5 let such an event pass, and no strict implementation can read it: it was carried unchanged.
    Unverifiable(String),
    /// The hash or a signature is wrong, and why.
    Bad(String),
}

/// The rules of a room's version, and whose signatures can be checked.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    version: RoomVersionId,
    rules: RoomVersionRules,
    keys: PublicKeyMap,
}

impl Judge {
    /// `None` for a room version whose rules nobody knows.
    pub(crate) fn new(version: RoomVersionId, keys: PublicKeyMap) -> Option<Self> {
        let rules = version.rules()?;
        Some(Self {
            version,
            rules,
            keys,
        })
    }

    pub(crate) fn version(&self) -> &RoomVersionId {
        &self.version
    }

    pub(crate) fn rules(&self) -> &RoomVersionRules {
        &self.rules
    }

    /// Whether the version takes events with numbers that canonical JSON has not (SS "Room versions", 6 and later refuse).
    pub(crate) fn bears_odd_numbers(&self) -> bool {
        use RoomVersionId::{V1, V2, V3, V4, V5};
        matches!(self.version, V1 | V2 | V3 | V4 | V5)
    }

    /// Checks an event's content hash and signatures.
    pub(crate) fn judge(&self, pdu: &Pdu) -> Verdict {
        if pdu.has_odd_numbers() {
            return match self.bears_odd_numbers() {
                true => Verdict::Unverifiable("a number is outside canonical JSON".to_owned()),
                false => Verdict::Bad(format!(
                    "a number is outside canonical JSON, which room version {} refuses",
                    self.version
                )),
            };
        }
        match pdu.value().to::<CanonicalJsonObject>() {
            Ok(object) => self.judge_object(&object),
            Err(error) => Verdict::Bad(format!("not canonical JSON: {error}")),
        }
    }

    /// Whether these servers signed the event, no others did, and all signatures are good. The version's rules may ask for one of them alone.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub(crate) fn is_signed_by(&self, pdu: &Pdu, servers: &[&ServerName]) -> Result<(), String> {
        let object = pdu.value().to::<CanonicalJsonObject>();
        let object = object.map_err(|error| format!("not canonical JSON: {error}"))?;
        let wanted: BTreeSet<&str> = servers.iter().map(|server| server.as_str()).collect();
        let signers = signers(&object);
        if signers != wanted {
            return Err(format!("{signers:?} signed it instead of {wanted:?}"));
        }
        let signed = redact(object.clone(), &self.rules.redaction, None);
        let signed = signed.map_err(|error| error.to_string())?;
        // Checks the signatures that are there, each of them.
        verify_json(&self.keys, &signed).map_err(|error| error.to_string())
    }

    fn judge_object(&self, object: &CanonicalJsonObject) -> Verdict {
        match verify_event(&self.keys, object, &self.rules) {
            Ok(Verified::All) => Verdict::Good,
            Ok(Verified::Signatures) if self.is_redacted(object) => Verdict::Redacted,
            Ok(Verified::Signatures) => Verdict::Bad("the content hash is wrong".to_owned()),
            Err(
                VerificationError::NoPublicKeysForEntity(server)
                | VerificationError::NoSupportedSignatureForEntity(server),
            ) => match (self.has_good_hash(object), self.is_redacted(object)) {
                (true, _) => Verdict::Unchecked(server),
                (false, true) => Verdict::Doubtful(server),
                (false, false) => Verdict::Bad("the content hash is wrong".to_owned()),
            },
            Err(VerificationError::Ed25519(_)) => {
                let signers: Vec<&str> = signers(object).into_iter().collect();
                Verdict::Bad(format!("a signature is wrong ({})", signers.join(", ")))
            }
            Err(error) => Verdict::Bad(error.to_string()),
        }
    }

    /// Nothing is left to redact, so the content hash cannot be expected to match.
    fn is_redacted(&self, object: &CanonicalJsonObject) -> bool {
        let Ok(mut redacted) = redact(object.clone(), &self.rules.redaction, None) else {
            return false;
        };
        let mut own = object.clone();
        own.remove("unsigned");
        redacted.remove("unsigned");
        own == redacted
    }

    fn has_good_hash(&self, object: &CanonicalJsonObject) -> bool {
        let claimed = object
            .get("hashes")
            .and_then(|hashes| hashes.as_object()?.get("sha256")?.as_str())
            .and_then(|hash| Base64::<Standard>::parse(hash).ok());
        let (Some(claimed), Ok(own)) = (claimed, content_hash(object)) else {
            return false;
        };
        claimed.as_bytes() == own.as_bytes()
    }
}

/// Who signed an event, by what it says.
fn signers(object: &CanonicalJsonObject) -> BTreeSet<&str> {
    let signatures = object.get("signatures").and_then(|value| value.as_object());
    let servers = signatures.into_iter().flat_map(|map| map.keys());
    servers.map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use comity_core::{
        auth::SigningKey,
        event::{add_signature, room_version::RoomVersions, sign_event},
        json::{Object, Value},
    };

    use super::*;
    use crate::demo::add_key;

    #[test]
    fn a_name_among_the_signers_is_no_signature() {
        let servers: [ServerName; 2] =
            ["one.example", "two.example"].map(|name| name.parse().unwrap());
        let signing = [(); 2].map(|()| SigningKey::generate("1").unwrap());
        let mut keys = PublicKeyMap::new();
        for (server, key) in servers.iter().zip(&signing) {
            add_key(&mut keys, server.as_str(), key);
        }
        let judge = Judge::new(RoomVersionId::V12, keys).unwrap();
        let text = r#"{"content":{},"sender":"@a:one.example","type":"m.room.message"}"#;
        let event = Object::parse(Bytes::from_static(text.as_bytes()), text.len()).unwrap();
        let versions = RoomVersions::matrix();
        let version = &**versions.get("12").unwrap().rules();
        let (_, pdu) = sign_event(version, &event, &servers[0], &signing[0]).unwrap();
        let [one, two] = &servers;
        judge.is_signed_by(&pdu, &[one]).unwrap();
        judge.is_signed_by(&pdu, &[one, two]).unwrap_err();

        let both = add_signature(version, &pdu, two, &signing[1]).unwrap();
        judge.is_signed_by(&both, &[one, two]).unwrap();
        let wrong = add_signature(version, &pdu, two, &SigningKey::generate("1").unwrap()).unwrap();
        judge.is_signed_by(&wrong, &[one, two]).unwrap_err();
        let changed = both.object().with_member("type", &Value::string("m.other"));
        let changed = Pdu::judge(changed.to_value()).unwrap();
        judge.is_signed_by(&changed, &[one, two]).unwrap_err();
    }
}
