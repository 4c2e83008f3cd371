//! A key document that a notary has signed too (Server-Server API, "Querying keys through another server").

use std::collections::BTreeMap;

use super::{ServerKeys, ServerKeysError, any_valid, own_signatures, signed_text};
use crate::{
    ServerName,
    auth::{KeyId, Signature, SigningKey, VerifyKey},
    json::{Object, Value},
};

impl ServerKeys {
    /// Checks that a notary signed the document with at least one of these keys of its own.
    ///
    /// This shows that the notary vouches for the document. Check the server's own signature besides, by
    /// [`check_self_signed`](Self::check_self_signed).
    ///
    /// # Errors
    /// [`ServerKeysError::NotNotarised`], or [`ServerKeysError::Shape`].
    pub fn check_notarised(
        &self,
        notary: &ServerName,
        keys: &BTreeMap<KeyId, VerifyKey>,
    ) -> Result<(), ServerKeysError> {
        let signed = signed_text(&self.document)?;
        let valid = any_valid(&self.signatures_of(notary)?, keys, &signed);
        valid
            .then_some(())
            .ok_or_else(|| ServerKeysError::NotNotarised(notary.clone()))
    }

    /// The document with a notary's signatures added, by each of these keys. Nothing else of it changes; an older signature of the notary by the same
    /// key ID is replaced.
    ///
    /// # Errors
    /// [`ServerKeysError::Shape`].
    pub fn notarised(
        &self,
        notary: &ServerName,
        keys: &[&SigningKey],
    ) -> Result<Object, ServerKeysError> {
        let signed = signed_text(&self.document)?;
        let document = self.object()?;
        // What is no object is nobody's signature.
        let all = document.object("signatures");
        let all = all.unwrap_or_else(Object::empty);
        let own = all.object(notary.as_str());
        let mut own = own.unwrap_or_else(Object::empty);
        for key in keys {
            let signature = Value::string(&key.sign(&signed).to_base64());
            own = own.with_member(key.key_id().as_str(), &signature);
        }
        let all = all.with_member(notary.as_str(), &own.to_value());
        Ok(document.with_member("signatures", &all.to_value()))
    }

    /// A member that the specification does not know, as [`BINDINGS_MEMBER`](crate::transport::BINDINGS_MEMBER). The signatures cover it as they do all others.
    pub fn member(&self, name: &str) -> Option<Value> {
        self.object().ok()?.get(name)
    }

    fn object(&self) -> Result<Object, ServerKeysError> {
        Object::parse(self.document.clone(), self.document.len())
            .map_err(|error| ServerKeysError::Shape(error.to_string()))
    }

    fn signatures_of(
        &self,
        server: &ServerName,
    ) -> Result<BTreeMap<KeyId, Signature>, ServerKeysError> {
        let signatures = self.object()?.object("signatures");
        match signatures.and_then(|by_server| by_server.get(server.as_str())) {
            Some(own) => own_signatures(own.as_text()),
            None => Ok(BTreeMap::new()),
        }
    }
}
