//! Reading a server's published keys (Server-Server API, "Retrieving server keys").

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    KeyId, Signature, SigningKey, VerifyKey, VerifyKeyError,
    key_document::{KeyDocument, KeyDocumentError},
};
use crate::{
    ServerName, ServerNameError,
    json::{Members, Object},
};

mod notarised;
#[cfg(test)]
mod tests;

/// Longest time for which a key document counts, in milliseconds: seven days. It bounds how long a stolen key stays
/// good, whatever its thief publishes.
pub const MAX_VALIDITY_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Most keys, current and old together, that are read from one document: each costs a decompression.
pub const MAX_KEYS: usize = 1024;

/// Longest text that is read as a key document: 256 KiB. [`MAX_KEYS`] keys with their signatures fit.
pub const MAX_DOCUMENT_BYTES: usize = 256 << 10;

/// A server's key document, as `GET /_matrix/key/v2/server` answers it or a notary relays it.
///
/// Reading it proves nothing yet: see [`check_self_signed`](Self::check_self_signed). Keys of other algorithms, and
/// members that are not understood, play no role but stay in the [`document`](Self::document).
#[derive(Clone, Debug)]
pub struct ServerKeys {
    /// Whose keys these are, as the document says.
    pub server_name: ServerName,
    /// The current ed25519 keys.
    pub verify_keys: BTreeMap<KeyId, VerifyKey>,
    /// Former ed25519 keys, good for old events only.
    pub old_verify_keys: BTreeMap<KeyId, OldVerifyKey>,
    /// When the document should be fetched again, in milliseconds since 1970, as the server claims. For decisions use
    /// [`valid_until`](Self::valid_until).
    pub valid_until_ts: i64,
    /// The server's own signatures over the document that can be read as ed25519 signatures.
    signatures: BTreeMap<KeyId, Signature>,
    document: Bytes,
}

/// A key that signs no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldVerifyKey {
    /// The key.
    pub key: VerifyKey,
    /// When it stopped being used, in milliseconds since 1970. It does not vouch for events from then on.
    pub expired_ts: i64,
}

impl ServerKeys {
    /// Reads the canonical JSON text of a key document. The caller has checked its form.
    ///
    /// # Errors
    /// [`ServerKeysError`] if a member is missing or has another shape, or an ed25519 key is no good key. One bad key
    /// refuses the whole document: a server that publishes one is broken or lies.
    pub fn parse(canonical: Bytes) -> Result<Self, ServerKeysError> {
        if canonical.len() > MAX_DOCUMENT_BYTES {
            return Err(ServerKeysError::TooLarge(canonical.len()));
        }
        let body: Body<'_> = serde_json::from_slice(&canonical).map_err(ServerKeysError::shape)?;
        let server_name: ServerName = body
            .server_name
            .try_into()
            .map_err(ServerKeysError::ServerName)?;
        if body.verify_keys.len() + body.old_verify_keys.len() > MAX_KEYS {
            return Err(ServerKeysError::TooManyKeys);
        }
        let mut verify_keys = BTreeMap::new();
        let mut old_verify_keys = BTreeMap::new();
        for (id, entry) in ed25519(&body.verify_keys) {
            let key: KeyEntry = read(entry)?;
            verify_keys.insert(id.clone(), verify_key(id, &key.key)?);
        }
        for (id, entry) in ed25519(&body.old_verify_keys) {
            let old: OldKeyEntry = read(entry)?;
            let key = verify_key(id.clone(), &old.key)?;
            let expired_ts = old.expired_ts;
            old_verify_keys.insert(id, OldVerifyKey { key, expired_ts });
        }
        let signatures = match body.signatures.get(server_name.as_str()) {
            Some(by_server) => own_signatures(by_server.get())?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            server_name,
            verify_keys,
            old_verify_keys,
            valid_until_ts: body.valid_until_ts,
            signatures,
            document: canonical,
        })
    }

    /// Makes and signs our own document with one current key, in canonical JSON. See [`KeyDocument`] for more.
    ///
    /// # Errors
    /// [`KeyDocumentError`] if the current key is among the old ones.
    pub fn sign_document(
        key: &SigningKey,
        server: &ServerName,
        valid_until_ts: i64,
        old_verify_keys: &BTreeMap<KeyId, OldVerifyKey>,
    ) -> Result<Bytes, KeyDocumentError> {
        let mut document = KeyDocument::new(server.clone(), valid_until_ts);
        for (id, old) in old_verify_keys {
            document = document.with_old_key(id.clone(), old.clone());
        }
        document.sign(&[key])
    }

    /// The document as it came: canonical JSON, with everything that was not understood.
    pub fn document(&self) -> &Bytes {
        &self.document
    }

    /// Checks that the document is the expected server's, and that it signed it with at least one of the current keys.
    ///
    /// This shows possession of the key. That the key is the server's is known from where the document came from: the
    /// server itself over TLS, or a trusted notary.
    ///
    /// # Errors
    /// [`ServerKeysError::OtherServer`] or [`ServerKeysError::NotSelfSigned`].
    pub fn check_self_signed(&self, expected: &ServerName) -> Result<(), ServerKeysError> {
        if self.server_name != *expected {
            return Err(ServerKeysError::OtherServer {
                expected: expected.clone(),
                found: self.server_name.clone(),
            });
        }
        let signed = signed_text(&self.document)?;
        let valid = any_valid(&self.signatures, &self.verify_keys, &signed);
        valid.then_some(()).ok_or(ServerKeysError::NotSelfSigned)
    }

    /// Whether one of these keys, that were known to be the server's before, has signed the document for it.
    pub(in crate::auth) fn is_signed_by(&self, keys: &BTreeMap<KeyId, VerifyKey>) -> bool {
        let signed = signed_text(&self.document);
        signed.is_ok_and(|signed| any_valid(&self.signatures, keys, &signed))
    }

    /// Whether the document has this key, current or former.
    pub fn lists(&self, key_id: &KeyId) -> bool {
        self.verify_keys.contains_key(key_id) || self.old_verify_keys.contains_key(key_id)
    }

    /// Until when the document counts, in milliseconds since 1970: what it says, but seven days after `now_ms` at most.
    ///
    /// Ask this when the document is fetched, and remember the answer: asked again later, the cap moves along.
    pub fn valid_until(&self, now_ms: i64) -> i64 {
        self.valid_until_ts
            .min(now_ms.saturating_add(MAX_VALIDITY_MS))
    }

    /// The key that may authenticate a request now: a current key of a document that has not expired.
    ///
    /// Whoever keeps documents also drops them after the [`valid_until`](Self::valid_until) of the fetch.
    pub fn key_for_request(&self, key_id: &KeyId, now_ms: i64) -> Option<&VerifyKey> {
        if self.valid_until(now_ms) < now_ms {
            return None;
        }
        self.verify_keys.get(key_id)
    }

    /// The key that an event of this time may be signed by: a current one, valid then if `enforce_validity` (room versions since 5), or a
    /// former one that had not expired. An event without a time is signed by current keys only. All times in milliseconds since 1970;
    /// `fetched_at` is when this document was fetched.
    pub fn key_for_event(
        &self,
        key_id: &KeyId,
        origin_server_ts: Option<i64>,
        enforce_validity: bool,
        fetched_at: i64,
    ) -> Option<&VerifyKey> {
        if let Some(key) = self.verify_keys.get(key_id) {
            let until = self.valid_until(fetched_at);
            let valid = !enforce_validity || origin_server_ts.is_none_or(|at| at <= until);
            return valid.then_some(key);
        }
        self.old_verify_keys
            .get(key_id)
            .filter(|old| origin_server_ts.is_some_and(|at| at < old.expired_ts))
            .map(|old| &old.key)
    }
}

/// Most signatures of one server that are checked, of those by keys that are known. An honest document has a valid one among any two; a hostile one could
/// have a thousand that are none.
const MAX_CHECKED: usize = 32;

/// Whether one of the signatures is good by one of the keys.
fn any_valid(
    signatures: &BTreeMap<KeyId, Signature>,
    keys: &BTreeMap<KeyId, VerifyKey>,
    signed: &[u8],
) -> bool {
    let checked = signatures
        .iter()
        .filter_map(|(id, signature)| Some((keys.get(id)?, signature)));
    let mut checked = checked.take(MAX_CHECKED);
    checked.any(|(key, signature)| key.verify(signed, signature))
}

/// Why a key document is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerKeysError {
    /// A member is missing or of another shape than the specification's.
    #[error("malformed key document: {0}")]
    Shape(String),
    /// `server_name` is none.
    #[error("malformed key document: server_name is no server name")]
    ServerName(#[source] ServerNameError),
    /// An ed25519 key that is no key, or a weak one.
    #[error("malformed key document: {id} is no usable key")]
    Key {
        /// Which key.
        id: KeyId,
        /// What is wrong with it.
        #[source]
        source: VerifyKeyError,
    },
    /// Over [`MAX_KEYS`].
    #[error("the key document has more than {MAX_KEYS} keys")]
    TooManyKeys,
    /// Over [`MAX_DOCUMENT_BYTES`].
    #[error("the key document has {0} bytes, more than {MAX_DOCUMENT_BYTES}")]
    TooLarge(usize),
    /// The document speaks of another server than the one asked.
    #[error("the key document is of {found}, not of {expected}")]
    OtherServer {
        /// The server asked for.
        expected: ServerName,
        /// The server named in the document.
        found: ServerName,
    },
    /// None of the current keys has a valid signature on the document.
    #[error("the key document has no valid signature by one of its own keys")]
    NotSelfSigned,
    /// The notary has no valid signature on the document.
    #[error("the key document has no valid signature by the notary {0}")]
    NotNotarised(ServerName),
}

impl ServerKeysError {
    fn shape(error: serde_json::Error) -> Self {
        Self::Shape(error.to_string())
    }
}

/// The members that are read; entries stay raw until their key's algorithm is known.
#[derive(Deserialize)]
struct Body<'a> {
    server_name: String,
    #[serde(borrow)]
    verify_keys: BTreeMap<String, &'a RawValue>,
    // Required by the specification, but empty so often that some leave it out.
    #[serde(borrow, default)]
    old_verify_keys: BTreeMap<String, &'a RawValue>,
    valid_until_ts: i64,
    #[serde(borrow, default)]
    signatures: BTreeMap<String, &'a RawValue>,
}

#[derive(Deserialize)]
struct KeyEntry {
    key: String,
}

#[derive(Deserialize)]
struct OldKeyEntry {
    key: String,
    expired_ts: i64,
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, ServerKeysError> {
    serde_json::from_str(raw.get()).map_err(ServerKeysError::shape)
}

/// The entries of ed25519 keys. IDs that are none are ignored, like those of algorithms to come.
fn ed25519<'a>(
    entries: &BTreeMap<String, &'a RawValue>,
) -> impl Iterator<Item = (KeyId, &'a RawValue)> {
    entries.iter().filter_map(|(id, entry)| {
        let id: KeyId = id.parse().ok()?;
        id.is_ed25519().then_some((id, *entry))
    })
}

fn verify_key(id: KeyId, base64: &str) -> Result<VerifyKey, ServerKeysError> {
    VerifyKey::from_base64(base64).map_err(|source| ServerKeysError::Key { id, source })
}

/// One server's ed25519 signatures. One that is none cannot be valid, so it is left out.
fn own_signatures(raw: &str) -> Result<BTreeMap<KeyId, Signature>, ServerKeysError> {
    let by_key: BTreeMap<String, &RawValue> =
        serde_json::from_str(raw).map_err(ServerKeysError::shape)?;
    Ok(ed25519(&by_key)
        .filter_map(|(id, signature)| {
            let text: String = serde_json::from_str(signature.get()).ok()?;
            Some((id, Signature::from_base64(&text).ok()?))
        })
        .collect())
}

/// The text that signatures cover: the object without `signatures` and `unsigned` (Appendices, "Signing JSON").
/// Nested text is copied as it stands, so that what is verified is what was sent.
fn signed_text(canonical: &Bytes) -> Result<Bytes, ServerKeysError> {
    let document = Object::parse(canonical.clone(), canonical.len())
        .map_err(|error| ServerKeysError::Shape(error.to_string()))?;
    let mut members = Members::from_object(&document);
    members.remove("signatures");
    members.remove("unsigned");
    Ok(members.to_object().text().clone())
}
