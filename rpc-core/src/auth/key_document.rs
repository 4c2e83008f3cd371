//! Publishing our own keys (Server-Server API, "Publishing Keys").

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{KeyId, OldVerifyKey, SigningKey};
use crate::{
    ServerName,
    json::{Members, ObjectWriter, Value},
};

/// The members that the document itself writes.
const OWN_MEMBERS: [&str; 6] = [
    "old_verify_keys",
    "server_name",
    "signatures",
    "unsigned",
    "valid_until_ts",
    "verify_keys",
];

/// A key document in the making: what `GET /_matrix/key/v2/server` will answer.
#[derive(Clone, Debug)]
pub struct KeyDocument {
    server_name: ServerName,
    valid_until_ts: i64,
    old_verify_keys: BTreeMap<KeyId, OldVerifyKey>,
    members: Members,
}

impl KeyDocument {
    /// A document of this server, to be fetched again after `valid_until_ts` (milliseconds since 1970).
    ///
    /// Let it lie at least an hour ahead whenever the document is served; receivers count seven days at most.
    pub fn new(server_name: ServerName, valid_until_ts: i64) -> Self {
        Self {
            server_name,
            valid_until_ts,
            old_verify_keys: BTreeMap::new(),
            members: Members::new(),
        }
    }

    /// Lists a key that signs no more, so that old events can still be checked.
    #[must_use]
    pub fn with_old_key(mut self, id: KeyId, key: OldVerifyKey) -> Self {
        self.old_verify_keys.insert(id, key);
        self
    }

    /// Adds a member that the specification does not know, for the signature to cover.
    /// Plain values only: ASCII names, small integers, shallow; not every homeserver escapes object keys.
    #[must_use]
    pub fn with_member(mut self, name: impl Into<String>, value: Value) -> Self {
        self.members.insert(name.into(), value);
        self
    }

    /// Lists the keys as current and signs with each of them, as the specification asks. Gives canonical JSON.
    ///
    /// # Errors
    /// [`KeyDocumentError`] if there is no key, one ID stands for two keys, or an added member has the name of one of
    /// the document's own.
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<Bytes, KeyDocumentError> {
        if keys.is_empty() {
            return Err(KeyDocumentError::NoKey);
        }
        if let Some(name) = OWN_MEMBERS
            .iter()
            .find(|name| self.members.get(name).is_some())
        {
            return Err(KeyDocumentError::OwnMember(name));
        }
        let mut current: BTreeMap<&KeyId, &SigningKey> = BTreeMap::new();
        for key in keys {
            let id = key.key_id();
            if self.old_verify_keys.contains_key(id) || current.insert(id, key).is_some() {
                return Err(KeyDocumentError::DuplicateKey(id.clone()));
            }
        }
        let mut document = ObjectWriter::new();
        document
            .object("old_verify_keys", |keys| {
                for (id, old) in &self.old_verify_keys {
                    keys.object(id.as_str(), |entry| {
                        entry
                            .integer("expired_ts", old.expired_ts)
                            .string("key", &old.key.to_base64());
                    });
                }
            })
            .string("server_name", self.server_name.as_str())
            .integer("valid_until_ts", self.valid_until_ts)
            .object("verify_keys", |keys| {
                for (id, key) in &current {
                    keys.object(id.as_str(), |entry| {
                        entry.string("key", &key.verify_key().to_base64());
                    });
                }
            })
            .members(&self.members);
        let signed = document.clone().into_object();
        document.object("signatures", |signatures| {
            signatures.object(self.server_name.as_str(), |by_key| {
                for (id, key) in &current {
                    let signature = key.sign(signed.text());
                    by_key.string(id.as_str(), &signature.to_base64());
                }
            });
        });
        Ok(document.into_object().text().clone())
    }
}

/// A key document cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyDocumentError {
    /// No current key.
    #[error("a key document needs a current key")]
    NoKey,
    /// One ID for two keys, both current or one current and one old.
    #[error("the key ID {0} is used twice")]
    DuplicateKey(KeyId),
    /// An added member has the name of one that the document writes itself.
    #[error("{0} is a member that the key document writes itself")]
    OwnMember(&'static str),
    /// Over [`MAX_PUBLISHED_BYTES`](super::MAX_PUBLISHED_BYTES), or over [`MAX_KEYS`](super::MAX_KEYS).
    #[error("a key document of this server would have {0} bytes: more than {limit}, or too many keys", limit = super::MAX_PUBLISHED_BYTES)]
    TooLarge(usize),
    /// [`PublishedKeysOptions::validity`](super::PublishedKeysOptions::validity) is out of range.
    #[error(
        "a key document is valid for two hours to seven days, not for {0:?} (validity, this server)"
    )]
    Validity(std::time::Duration),
}
