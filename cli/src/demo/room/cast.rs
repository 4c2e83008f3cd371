//! Who plays: the users of both servers, their devices, and a file.

use comity_core::{ServerName, json::Value};
use comity_homeserver::{Device, Homeserver, User};
use ruma_common::{OwnedUserId, UserId};
use serde_json::json;

use crate::demo::mascot;

/// What one-time keys are claimed by.
pub(crate) const ALGORITHM: &str = "signed_curve25519";

/// Alice's device.
pub(crate) const DEVICE: &str = "WORKBENCH";

/// The users.
#[derive(Clone, Debug)]
pub(crate) struct Cast {
    /// Of the resident server: makes the rooms.
    pub(crate) alice: OwnedUserId,
    /// Of the joining server.
    pub(crate) bob: OwnedUserId,
    /// Of the joining server: is invited.
    pub(crate) carol: OwnedUserId,
    joining: ServerName,
    resident: ServerName,
}

impl Cast {
    pub(crate) fn new(joining: &ServerName, resident: &ServerName) -> Self {
        Self {
            alice: user("alice", resident),
            bob: user("bob", joining),
            carol: user("carol", joining),
            joining: joining.clone(),
            resident: resident.clone(),
        }
    }

    /// One of many users of the resident server.
    pub(crate) fn member(&self, number: usize) -> OwnedUserId {
        user(&format!("member-{number}"), &self.resident)
    }

    /// One of many users of the joining server.
    pub(crate) fn guest(&self, what: &str, number: usize) -> OwnedUserId {
        user(&format!("{what}-{number}"), &self.joining)
    }
}

fn user(localpart: &str, server: &ServerName) -> OwnedUserId {
    UserId::parse(format!("@{localpart}:{server}")).expect("it is a user ID")
}

/// Registers Alice with a device that has `keys` one-time keys and some more, and the file.
pub(crate) fn add_users(house: &Homeserver, cast: &Cast, keys: usize) {
    let signatures = json!({cast.alice.as_str(): {format!("ed25519:{DEVICE}"): "c2lnbmF0dXJl"}});
    let device_keys = json!({
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "device_id": DEVICE,
        "keys": {format!("curve25519:{DEVICE}"): "Y3VydmU", format!("ed25519:{DEVICE}"): "ZWQ"},
        "signatures": signatures,
        "user_id": cast.alice,
        "org.example.unknown": [null, {"kept": true}],
    });
    let one_time_keys = (0..keys + 8).map(|number| {
        let key = json!({"key": format!("b25lLXRpbWUta2V5-{number:06}"), "signatures": signatures});
        (format!("{ALGORITHM}:AAAA{number:06}"), value(&key))
    });
    let device = Device {
        keys: value(&device_keys),
        one_time_keys: one_time_keys.collect(),
        fallback_keys: Default::default(),
    };
    let alice = User {
        // Beyond ASCII, with characters that JSON escapes: what a careless wire would change.
        display_name: Some("Alice \"Łucja\" \u{1f6f0}\t№ 1".to_owned()),
        avatar_url: Some(format!("mxc://{}/{}", house.name(), mascot::ID)),
        devices: [(DEVICE.to_owned(), device)].into(),
        ..User::default()
    };
    house.add_user(cast.alice.clone(), alice);
    house.add_file(mascot::ID, mascot::file());
}

pub(crate) fn value(tree: &serde_json::Value) -> Value {
    Value::from_serialize(tree).expect("a tree is JSON")
}
