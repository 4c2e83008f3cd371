//! Servers with keys, and events of theirs.

use std::sync::Arc;

use bytes::Bytes;
use comity_core::{
    ServerName,
    auth::{KeyDocument, ServerKeys, SigningKey, now_ms},
    event::{EventKeySet, Pdu, room_version::RoomVersion, room_version::RoomVersions, sign_event},
    json::{Object, Value},
};

pub const DAY_MS: i64 = 24 * 3600 * 1000;

/// A server and its key.
pub struct House {
    pub name: ServerName,
    pub key: SigningKey,
}

pub fn house(name: &str) -> House {
    House {
        name: name.parse().unwrap(),
        key: SigningKey::generate("1").unwrap(),
    }
}

impl House {
    pub fn document(&self) -> Arc<ServerKeys> {
        let document = KeyDocument::new(self.name.clone(), now_ms() + DAY_MS);
        Arc::new(ServerKeys::parse(document.sign(&[&self.key]).unwrap()).unwrap())
    }

    pub fn keys(&self) -> EventKeySet {
        EventKeySet::new().with(self.document())
    }

    /// A signed event of a user of this server.
    pub fn event(&self, version: &dyn RoomVersion, event: &str) -> (String, Pdu) {
        sign_event(version, &object(event), &self.name, &self.key).unwrap()
    }
}

pub fn version(id: &str) -> Arc<dyn RoomVersion> {
    RoomVersions::matrix().get(id).unwrap().rules().clone()
}

pub fn object(text: &str) -> Object {
    Object::parse(Bytes::copy_from_slice(text.as_bytes()), 1 << 20).unwrap()
}

pub fn pdu(text: &str) -> Pdu {
    Pdu::judge(object(text).to_value()).unwrap()
}

pub fn text(value: &str) -> Value {
    Value::string(value)
}

/// A message by `@a:{server}`.
pub fn message(server: &str, body: &str) -> String {
    format!(
        r#"{{"auth_events":["$a"],"content":{{"body":"{body}","msgtype":"m.text"}},"depth":7,"event_id":"${body}:{server}","origin_server_ts":{},
        "prev_events":["$p"],"room_id":"!r:{server}","sender":"@a:{server}","type":"m.room.message"}}"#,
        now_ms()
    )
}
