//! What a key document says, and what is wrong with it. Pure.

use comity_core::{
    ServerName,
    auth::{KeyId, MAX_VALIDITY_MS, ServerKeys, Signature, VerifyKey},
    json::Object,
    transport::{BINDINGS_MEMBER, Offer},
};
use serde_json::{Value, json};

use crate::{
    failure::chain,
    printable::Printable,
    times::{FromNow, Utc},
};

/// A document that is valid for less makes every server ask again and again.
const SHORT_MS: i64 = 3_600_000;

/// A key document, looked through.
pub(crate) struct Examined {
    /// It, if it can be read.
    pub(crate) keys: Option<ServerKeys>,
    /// The current keys that signed it.
    pub(crate) signing: Vec<KeyId>,
    /// The bindings that it offers; none are believed of a document that did not sign itself.
    pub(crate) offers: Vec<Offer>,
    /// What keeps federation from working.
    pub(crate) faults: Vec<String>,
    /// What is odd.
    pub(crate) warnings: Vec<String>,
    pub(crate) document: Object,
    now: i64,
}

/// Looks a document of `server` through, at `now` in milliseconds since 1970.
pub(crate) fn examine(document: &Object, server: &ServerName, now: i64) -> Examined {
    let mut examined = Examined {
        keys: None,
        signing: Vec::new(),
        offers: Vec::new(),
        faults: Vec::new(),
        warnings: Vec::new(),
        document: document.clone(),
        now,
    };
    match ServerKeys::parse(document.text().clone()) {
        Ok(keys) => examined.read(keys, server),
        Err(error) => {
            let fault = format!("the key document is not understood: {}", chain(&error));
            examined.faults.push(fault);
        }
    }
    examined
}

impl Examined {
    fn read(&mut self, keys: ServerKeys, server: &ServerName) {
        let self_signed = match keys.check_self_signed(server) {
            Ok(()) => true,
            Err(error) => {
                self.faults.push(chain(&error));
                false
            }
        };
        self.signing = self.signers(&keys);
        for id in keys.verify_keys.keys() {
            if !self.signing.contains(id) {
                self.warnings.push(format!(
                    "{id} did not sign the document; the specification wants every current key to"
                ));
            }
        }
        if keys.verify_keys.is_empty() {
            self.faults
                .push("there is no current ed25519 key".to_owned());
        }
        self.validity(keys.valid_until_ts);
        for (id, old) in &keys.old_verify_keys {
            if keys.verify_keys.contains_key(id) {
                self.faults
                    .push(format!("{id} is a current key and an old one"));
            }
            if old.expired_ts > self.now {
                let when = Utc(old.expired_ts);
                self.warnings
                    .push(format!("the old key {id} expires only on {when}"));
            }
        }
        if self_signed && let Some(list) = keys.member(BINDINGS_MEMBER) {
            self.offers = Offer::read_list(&list);
        }
        self.keys = Some(keys);
    }

    fn validity(&mut self, until: i64) {
        let from_now = FromNow {
            time: until,
            now: self.now,
        };
        if until < self.now {
            let fault =
                format!("the key document expired {from_now}: nothing that it signs is taken");
            self.faults.push(fault);
        } else if until - self.now < SHORT_MS {
            let warning =
                format!("the key document expires {from_now}; it should be valid for a day or so");
            self.warnings.push(warning);
        } else if until.saturating_sub(self.now) > MAX_VALIDITY_MS {
            let warning = format!(
                "the key document says it is valid until {}; others count seven days",
                Utc(until)
            );
            self.warnings.push(warning);
        }
    }

    /// The current keys whose signature over the document holds.
    fn signers(&self, keys: &ServerKeys) -> Vec<KeyId> {
        let signed = self
            .document
            .filtered(|name| !matches!(name, "signatures" | "unsigned"));
        let signatures = self.document.object("signatures");
        let own = signatures.and_then(|all| all.object(keys.server_name.as_str()));
        let holds = |id: &KeyId, key: &VerifyKey| {
            let text = own.as_ref()?.get(id.as_str())?;
            let signature = Signature::from_base64(&text.as_str()?).ok()?;
            Some(key.verify(signed.text(), &signature))
        };
        let current = keys.verify_keys.iter();
        current
            .filter(|(id, key)| holds(id, key) == Some(true))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// For a person, each line with `indent` before it.
    pub(crate) fn lines(&self, indent: &str) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let Some(keys) = &self.keys else {
            return text;
        };
        let until = keys.valid_until_ts;
        let from_now = FromNow {
            time: until,
            now: self.now,
        };
        let _ = writeln!(text, "{indent}valid until {} ({from_now})", Utc(until));
        for (id, key) in &keys.verify_keys {
            let signs = match self.signing.contains(id) {
                true => "signed this document",
                false => "did not sign this document",
            };
            let _ = writeln!(text, "{indent}key      {id}  {}  {signs}", key.to_base64());
        }
        for (id, old) in &keys.old_verify_keys {
            let (key, until) = (old.key.to_base64(), Utc(old.expired_ts));
            let _ = writeln!(text, "{indent}old key  {id}  {key}  until {until}");
        }
        for offer in &self.offers {
            let _ = writeln!(text, "{indent}offers   {}", offer_text(offer));
        }
        text
    }

    pub(crate) fn to_json(&self) -> Value {
        let document: Value = serde_json::from_slice(self.document.text()).unwrap_or_default();
        let keys = self.keys.as_ref();
        let current = keys.iter().flat_map(|keys| &keys.verify_keys).map(|(id, key)| {
            json!({ "id": id.as_str(), "key": key.to_base64(), "signed": self.signing.contains(id) })
        });
        let old = keys.iter().flat_map(|keys| &keys.old_verify_keys).map(|(id, old)| {
            json!({ "id": id.as_str(), "key": old.key.to_base64(), "expired_ts": old.expired_ts })
        });
        json!({
            "server_name": keys.map(|keys| keys.server_name.as_str()),
            "valid_until_ts": keys.map(|keys| keys.valid_until_ts),
            "keys": current.collect::<Vec<_>>(),
            "old_keys": old.collect::<Vec<_>>(),
            "bindings": self.offers.iter().map(offer_json).collect::<Vec<_>>(),
            "document": document,
        })
    }
}

/// `grpc/1 at fed.example.org:8448, priority 10`.
pub(crate) fn offer_text(offer: &Offer) -> String {
    let place = offer.connect_to.as_ref();
    let place = place.map_or(String::new(), |to| format!(" at {to}"));
    let (binding, priority) = (Printable(&offer.binding), offer.priority);
    let session = if offer.session { ", sessions" } else { "" };
    format!("{binding}{place}, priority {priority}{session}")
}

pub(crate) fn offer_json(offer: &Offer) -> Value {
    json!({
        "binding": offer.binding,
        "target": offer.connect_to.as_ref().map(ToString::to_string),
        "priority": offer.priority,
        "session": offer.session,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use comity_core::auth::{KeyDocument, SigningKey};

    const NOW: i64 = 1_795_349_109_000;
    const DAY: i64 = 86_400_000;

    fn name() -> ServerName {
        "hs2.example".parse().unwrap()
    }

    fn document(until: i64, signers: &[&SigningKey]) -> Object {
        let bytes = KeyDocument::new(name(), until).sign(signers).unwrap();
        Object::parse(bytes, 1 << 20).unwrap()
    }

    fn key(version: &str) -> SigningKey {
        SigningKey::generate(version).unwrap()
    }

    #[test]
    fn a_good_document_has_nothing_wrong() {
        let (a, b) = (key("a"), key("b"));
        let examined = examine(&document(NOW + DAY, &[&a, &b]), &name(), NOW);
        assert_eq!(examined.faults, Vec::<String>::new());
        assert_eq!(examined.warnings, Vec::<String>::new());
        assert_eq!(examined.signing.len(), 2);
        let text = examined.lines("  ");
        assert!(
            text.contains("  valid until 2026-11-23 12:05:09 UTC (in 1 d 0 h)"),
            "{text}"
        );
        assert!(text.contains("ed25519:b"), "{text}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let a = key("a");
        let faults = |document: &Object| examine(document, &name(), NOW).faults.join("; ");
        let warnings = |document: &Object| examine(document, &name(), NOW).warnings.join("; ");
        assert!(faults(&document(NOW - DAY, &[&a])).contains("expired 1 d 0 h ago"));
        assert!(warnings(&document(NOW + 60_000, &[&a])).contains("expires in 1 min 0 s"));
        assert!(warnings(&document(NOW + 30 * DAY, &[&a])).contains("seven days"));
        let other: ServerName = "hs3.example".parse().unwrap();
        let examined = examine(&document(NOW + DAY, &[&a]), &other, NOW);
        assert!(
            examined.faults[0].contains("hs2.example"),
            "{:?}",
            examined.faults
        );
        let good = document(NOW + DAY, &[&a]);
        let forged = good.with_member(
            "valid_until_ts",
            &comity_core::json::Value::integer(NOW + 2 * DAY),
        );
        let examined = examine(&forged, &name(), NOW);
        assert_eq!(examined.signing, Vec::new());
        assert!(!examined.faults.is_empty());
        assert!(faults(&Object::empty()).contains("not understood"));
    }

    #[test]
    fn bindings_of_a_document_that_did_not_sign_itself_are_not_shown() {
        let offer = Offer {
            binding: "grpc/1".to_owned(),
            connect_to: None,
            priority: 10,
            session: false,
        };
        let forged = document(NOW + DAY, &[&key("a")])
            .with_member(BINDINGS_MEMBER, &Offer::write_list(&[offer]));
        assert_eq!(examine(&forged, &name(), NOW).offers, Vec::new());
    }
}
