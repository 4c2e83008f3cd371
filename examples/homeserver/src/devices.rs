//! This server's users and the keys of their devices.

use std::collections::BTreeMap;

use async_trait::async_trait;
use comity_core::{
    api::{ClaimKeys, ClaimKeysReply, Devices, QueryKeys, QueryKeysReply},
    call::Authenticated,
    error::FederationError,
    json::{Json, Members, SerializeError, Value},
};
use ruma_common::{OwnedUserId, UserId};

use crate::{Homeserver, homeserver::lock};

/// A user of this server.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// How the user is shown.
    pub display_name: Option<String>,
    /// URL of the user's picture.
    pub avatar_url: Option<String>,
    /// Devices by ID.
    pub devices: BTreeMap<String, Device>,
    /// The master cross-signing key.
    pub master_key: Option<Value>,
    /// The self-signing key.
    pub self_signing_key: Option<Value>,
}

/// A device of a user. All keys are signed objects, kept as they are.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its identity keys.
    pub keys: Value,
    /// One-time keys by algorithm and key ID (`signed_curve25519:AAAAHg`), each to be given away once.
    pub one_time_keys: BTreeMap<String, Value>,
    /// What is given when those are used up, again and again; by algorithm and key ID.
    pub fallback_keys: BTreeMap<String, Value>,
}

impl Device {
    /// Takes out a one-time key of this algorithm, or gives the fallback key.
    fn claim(&mut self, algorithm: &str) -> Option<(String, Value)> {
        let of_algorithm = |id: &&String| {
            id.split_once(':')
                .is_some_and(|(before, _)| before == algorithm)
        };
        if let Some(id) = self.one_time_keys.keys().find(of_algorithm).cloned() {
            return self.one_time_keys.remove_entry(&id);
        }
        let id = self.fallback_keys.keys().find(of_algorithm)?;
        Some((id.clone(), self.fallback_keys.get(id)?.clone()))
    }
}

impl Homeserver {
    /// Registers a user of this server, in the place of one that may be there.
    pub fn add_user(&self, id: OwnedUserId, user: User) {
        lock(&self.shared.users).insert(id, user);
    }
}

fn bad_json(name: &str) -> impl Fn(serde_json::Error) -> FederationError {
    move |error| FederationError::bad_json(format!("`{name}` is malformed: {error}"))
}

fn unwritable(error: SerializeError) -> FederationError {
    FederationError::internal(error.to_string())
}

#[async_trait]
impl Devices for Homeserver {
    async fn query_keys(
        &self,
        _: &Authenticated,
        request: QueryKeys,
    ) -> Result<QueryKeysReply, FederationError> {
        let wanted = request
            .device_keys
            .read()
            .map_err(bad_json("device_keys"))?;
        let (mut devices, mut master, mut self_signing) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let users = lock(&self.shared.users);
        for (user_id, wanted) in wanted {
            let Some(user) = UserId::parse(&user_id).ok().and_then(|id| users.get(&id)) else {
                continue;
            };
            let keys = user.devices.iter();
            let keys = keys.filter(|(id, _)| wanted.is_empty() || wanted.contains(id));
            let keys = keys.map(|(id, device)| (id.clone(), device.keys.clone()));
            devices.insert(user_id.clone(), keys.collect());
            if let Some(key) = &user.master_key {
                master.insert(user_id.clone(), key.clone());
            }
            if let Some(key) = &user.self_signing_key {
                self_signing.insert(user_id, key.clone());
            }
        }
        Ok(QueryKeysReply {
            device_keys: Some(Json::write(&devices).map_err(unwritable)?),
            master_keys: Some(Json::write(&master).map_err(unwritable)?),
            self_signing_keys: Some(Json::write(&self_signing).map_err(unwritable)?),
            extra: Members::new(),
        })
    }

    async fn claim_keys(
        &self,
        _: &Authenticated,
        request: ClaimKeys,
    ) -> Result<ClaimKeysReply, FederationError> {
        let wanted = request
            .one_time_keys
            .read()
            .map_err(bad_json("one_time_keys"))?;
        let mut claimed: BTreeMap<String, BTreeMap<String, BTreeMap<String, Value>>> =
            BTreeMap::new();
        let mut users = lock(&self.shared.users);
        for (user_id, wanted) in wanted {
            let Some(user) = UserId::parse(&user_id)
                .ok()
                .and_then(|id| users.get_mut(&id))
            else {
                continue;
            };
            for (device_id, algorithm) in wanted {
                let device = user.devices.get_mut(&device_id);
                if let Some((id, key)) = device.and_then(|device| device.claim(&algorithm)) {
                    let of_user = claimed.entry(user_id.clone()).or_default();
                    of_user.entry(device_id).or_default().insert(id, key);
                }
            }
        }
        Ok(ClaimKeysReply {
            one_time_keys: Some(Json::write(&claimed).map_err(unwritable)?),
            extra: Members::new(),
        })
    }
}
