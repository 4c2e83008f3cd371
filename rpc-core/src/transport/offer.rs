//! Which bindings a server says it offers beside HTTPS, and where that is written.

use std::fmt::Debug;

use async_trait::async_trait;

use super::ConnectTo;
use crate::{
    ServerName,
    json::{ObjectWriter, Value},
};

/// Name of the member that lists a server's bindings, in its key document, where its signature covers it, and as a hint in
/// `.well-known/matrix/server`. Unstable: the only place where it is written.
pub const BINDINGS_MEMBER: &str = "dev.comity.bindings";

/// Most entries of a list that are read.
pub const MAX_OFFERS: usize = 16;

/// A binding that a server offers: `{"binding":"grpc/1","priority":10,"session":true,"target":"fed.example.org:8448"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Identifier and version: `grpc/1`.
    pub binding: String,
    /// Where to connect for it; where HTTPS goes, if there is none.
    pub connect_to: Option<ConnectTo>,
    /// The lowest is preferred.
    pub priority: i64,
    /// Whether the server accepts [session authentication](crate::auth::SessionAuthenticator) over it. Only a [signed](Offers::is_signed) source is believed.
    pub session: bool,
}

impl Offer {
    /// Reads a list, best first. An entry that is not understood is left out, and so is what comes after [`MAX_OFFERS`] entries: nothing in it may break HTTPS.
    pub fn read_list(list: &Value) -> Vec<Self> {
        let entries = list.elements().unwrap_or_default();
        let mut offers: Vec<Self> = entries
            .iter()
            .take(MAX_OFFERS)
            .filter_map(Self::read)
            .collect();
        offers.sort_by_key(|offer| offer.priority);
        offers
    }

    fn read(entry: &Value) -> Option<Self> {
        let entry = crate::json::Object::from_value(entry)?;
        let binding = entry.get("binding")?.as_str()?.into_owned();
        // It is written to logs and pages.
        let plain = (1..=64).contains(&binding.len())
            && binding.bytes().all(|byte| byte.is_ascii_graphic());
        let connect_to = match entry.get("target") {
            Some(target) => Some(target.as_str()?.parse().ok()?),
            None => None,
        };
        let priority = match entry.get("priority") {
            Some(priority) => priority.as_i64()?,
            None => 0,
        };
        let session = match entry.get("session") {
            Some(session) => session.as_bool()?,
            None => false,
        };
        plain.then_some(Self {
            binding,
            connect_to,
            priority,
            session,
        })
    }

    /// Writes a list, for [`KeyDocument::with_member`](crate::auth::KeyDocument::with_member) and for a hint.
    pub fn write_list(offers: &[Self]) -> Value {
        Value::array(offers.iter().map(|offer| {
            let mut entry = ObjectWriter::new();
            entry.string("binding", &offer.binding);
            entry.integer("priority", offer.priority);
            if offer.session {
                entry.boolean("session", true);
            }
            if let Some(to) = &offer.connect_to {
                entry.string("target", &to.to_string());
            }
            entry.into_object().to_value()
        }))
    }
}

/// What a source knows of a server's bindings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The bindings, best first. None: HTTPS alone.
    pub offers: Vec<Offer>,
    /// Until when that counts, in milliseconds since the Unix epoch.
    pub until: i64,
}

/// Where a server's bindings can be learned: its signed key document, a hint. A source may only add bindings, never take HTTPS away or weaken how a peer is authenticated.
#[async_trait]
pub trait Offers: Send + Sync + Debug + 'static {
    /// Name for logs and status: `signed`, `hint`.
    fn source(&self) -> &'static str;

    /// Whether what it says is signed by the destination's own key. What weakens or replaces a proof, as a session does, is taken from no other source.
    fn is_signed(&self) -> bool {
        false
    }

    /// What is known of `destination`, asked for if it is not known yet; `None` if nothing could be learned. It takes a bounded time.
    async fn offered(&self, destination: &ServerName) -> Option<Offered>;
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(text: &'static str) -> Vec<Offer> {
        Offer::read_list(&Value::parse(Bytes::from_static(text.as_bytes()), 4096).unwrap())
    }

    #[test]
    fn a_list_is_read_best_first_and_written_back() {
        let offers = read(
            r#"[{"binding":"b/1","priority":20},{"binding":"grpc/1","priority":10,"session":true,"target":"fed.example.org:8448","x":1}]"#,
        );
        assert!(offers[0].session && !offers[1].session);
        assert_eq!(offers[0].binding, "grpc/1");
        assert_eq!(
            offers[0].connect_to.as_ref().unwrap().to_string(),
            "fed.example.org:8448"
        );
        assert_eq!(Offer::read_list(&Offer::write_list(&offers)), offers);
    }

    #[test]
    fn what_is_not_understood_is_left_out_alone() {
        for bad in [
            r#"{"binding":1}"#,
            r#"{"binding":""}"#,
            r#"{"binding":"x/1 y"}"#,
            r#"{"binding":"x/1\n"}"#,
            r#"{"binding":"\u001b[2J"}"#,
            r#"{"binding":"x/1","target":"no port"}"#,
            r#"{"binding":"x/1","target":"a.b:0"}"#,
            r#"{"binding":"x/1","priority":"high"}"#,
            r#"{"binding":"x/1","session":1}"#,
            "7",
        ] {
            let text = format!(r#"[{bad},{{"binding":"grpc/1"}}]"#);
            let list = Value::parse(text.into(), 4096).unwrap();
            assert_eq!(Offer::read_list(&list).len(), 1, "{bad}");
        }
        assert!(read(r#"{"binding":"grpc/1"}"#).is_empty());
    }
}
