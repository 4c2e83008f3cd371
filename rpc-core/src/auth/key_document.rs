//! Publishing our own keys (Server-Server API, "Publishing Keys").

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{KeyId, OldVerifyKey, SigningKey, server_keys::write_object};
use crate::ServerName;

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
    members: BTreeMap<String, Box<RawValue>>,
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
            members: BTreeMap::new(),
        }
    }

    /// Lists a key that signs no more, so that old events can still be checked.
    #[must_use]
    pub fn with_old_key(mut self, id: KeyId, key: OldVerifyKey) -> Self {
        self.old_verify_keys.insert(id, key);
        self
    }

    /// Adds a member that the specification does not know, for the signature to cover. The value is canonical JSON.
    /// Plain values only: ASCII names, small integers, shallow; not every homeserver escapes object keys.
    #[must_use]
    pub fn with_member(mut self, name: impl Into<String>, canonical: Box<RawValue>) -> Self {
        self.members.insert(name.into(), canonical);
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
            .find(|name| self.members.contains_key(**name))
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
        let verify_keys = object(current.iter().map(|(id, key)| {
            let entry = format!(r#"{{"key":"{}"}}"#, key.verify_key().to_base64());
            (id.as_str(), entry)
        }));
        let old_verify_keys = object(self.old_verify_keys.iter().map(|(id, old)| {
            let key = old.key.to_base64();
            let entry = format!(r#"{{"expired_ts":{},"key":"{key}"}}"#, old.expired_ts);
            (id.as_str(), entry)
        }));
        let server_name = format!("\"{}\"", self.server_name);
        let valid_until_ts = self.valid_until_ts.to_string();

        let mut members: BTreeMap<&str, &str> = self
            .members
            .iter()
            .map(|(name, value)| (name.as_str(), value.get()))
            .collect();
        members.insert("old_verify_keys", &old_verify_keys);
        members.insert("server_name", &server_name);
        members.insert("valid_until_ts", &valid_until_ts);
        members.insert("verify_keys", &verify_keys);
        let signed = write_object(members.clone());

        let by_key = object(current.iter().map(|(id, key)| {
            let signature = format!("\"{}\"", key.sign(signed.as_bytes()).to_base64());
            (id.as_str(), signature)
        }));
        let signatures = object([(self.server_name.as_str(), by_key)]);
        members.insert("signatures", &signatures);
        Ok(write_object(members).into())
    }
}

/// As [`write_object`], from values made on the way.
fn object<'a>(members: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let members: Vec<_> = members.into_iter().collect();
    write_object(members.iter().map(|(name, value)| (*name, value.as_str())))
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
}
