//! The signature of another server under an event of ours: an invite (SS "Inviting to a room"), a join that it vouches for.

use std::collections::BTreeMap;

use comity_core::{
    ServerName,
    auth::{KeyId, Signature},
    event::{EventKeys, KeyLimits, Pdu, fetch_event_keys},
    json::{Object, ObjectWriter},
};

use crate::{Event, Homeserver, Version};

impl Homeserver {
    /// Our own event with the signature of `server`, which gave `reply`. Nothing else of the reply is looked at: the event stays what it
    /// was.
    ///
    /// # Errors
    /// Why there is no good signature.
    pub(crate) async fn countersigned(
        &self,
        version: &Version,
        own: &Event,
        server: &ServerName,
        reply: &Pdu,
    ) -> Result<Event, String> {
        let given = reply
            .object()
            .object("signatures")
            .and_then(|signatures| signatures.object(server.as_str()))
            .ok_or_else(|| format!("{server} did not sign it"))?;
        let signed_by = given.members().filter_map(|(name, _)| name.parse().ok());
        let needed = BTreeMap::from([(server.clone(), signed_by.collect())]);
        let keys = fetch_event_keys(&*self.keys, needed, KeyLimits::default()).await;
        let format = &version.format;
        let text = format.signed_text(own.pdu().object());
        let text = text.map_err(|error| error.to_string())?;
        let at = own.pdu().origin_server_ts();
        let mut good = ObjectWriter::new();
        let mut count = 0;
        for (name, value) in given.members() {
            let key = name
                .parse::<KeyId>()
                .ok()
                .and_then(|id| keys.event_key(server, &id, at, format.enforces_key_validity()));
            let Some(key) = key else {
                continue;
            };
            let signature = value
                .as_str()
                .and_then(|text| Signature::from_base64(&text).ok())
                .filter(|signature| key.verify(&text, signature))
                .ok_or_else(|| format!("the signature of {server} by {name} is wrong"))?;
            good.string(&name, &signature.to_base64());
            count += 1;
        }
        if count == 0 {
            return Err(format!(
                "no signature of {server} is by a key that is known"
            ));
        }
        let object = own.pdu().object();
        let signatures = object
            .object("signatures")
            .unwrap_or_else(Object::empty)
            .with_member(server.as_str(), &good.into_object().to_value());
        let signed = object.with_member("signatures", &signatures.to_value());
        let signed = Pdu::judge(signed.to_value())
            .map_err(|fault| format!("with the signature of {server} the event {fault}"))?;
        Event::read(own.id().as_str(), signed).map_err(|error| error.to_string())
    }
}
