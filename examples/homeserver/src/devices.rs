//! This server's users and the keys of their devices.

use std::collections::BTreeMap;

use async_trait::async_trait;
use comity_core::{
    api::{
        ClaimKeys, ClaimKeysReply, Devices, GetUserDevices, GetUserDevicesReply, QueryKeys,
        QueryKeysReply, UserDevice,
    },
    call::Authenticated,
    error::FederationError,
    json::{Json, Members, SerializeError, Value},
};
use ruma_common::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};

use crate::{Homeserver, homeserver::lock, storage::put_user};

/// A user of this server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
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
        let mut users = lock(&self.shared.users);
        self.record(|| put_user(id.clone(), &user));
        users.insert(id, user);
    }

    /// A user of this server.
    pub fn user(&self, id: &UserId) -> Option<User> {
        lock(&self.shared.users).get(id).cloned()
    }
}

/// A user's devices are here from the beginning, and no list of them is ever pushed: so there is one version of it.
const ONLY_VERSION: i64 = 1;

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
        for (user_id, wanted) in wanted {
            let mut users = lock(&self.shared.users);
            let Some((id, user)) = UserId::parse(&user_id)
                .ok()
                .and_then(|id| users.get_mut(&id).map(|user| (id, user)))
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
            self.record(|| put_user(id, user));
        }
        // A key that was given away has to be gone after a restart too.
        self.saved().await?;
        Ok(ClaimKeysReply {
            one_time_keys: Some(Json::write(&claimed).map_err(unwritable)?),
            extra: Members::new(),
        })
    }

    async fn get_user_devices(
        &self,
        _: &Authenticated,
        request: GetUserDevices,
    ) -> Result<GetUserDevicesReply, FederationError> {
        let user = UserId::parse(&request.user_id)
            .ok()
            .and_then(|id| self.user(&id));
        let user = user.ok_or_else(|| {
            FederationError::not_found(format!("{:?} is no user here", request.user_id))
        })?;
        let devices = user.devices.into_iter().map(|(device_id, device)| {
            let device = UserDevice {
                device_id,
                keys: Some(device.keys),
                device_display_name: None,
            };
            Json::write(&device).map_err(unwritable)
        });
        Ok(GetUserDevicesReply {
            user_id: request.user_id,
            stream_id: ONLY_VERSION,
            devices: devices.collect::<Result<_, _>>()?,
            master_key: user.master_key,
            self_signing_key: user.self_signing_key,
            extra: Members::new(),
        })
    }
}
