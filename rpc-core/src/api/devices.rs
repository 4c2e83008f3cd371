//! Keys of users' devices (SS "End-to-End Encryption").
//!
//! What stands under a user is signed by devices, so it stays canonical text ([`Json`], [`Value`]) for whoever checks it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    call::{Endpoint, MessageForm},
    endpoint::{Content, EndpointParts, PathTemplate, Query},
    error::FederationError,
    json::{Json, Members, Object, ObjectWriter, ReadError, Value},
};

/// Something of each device: by user ID and device ID.
pub type ByDevice<T> = BTreeMap<String, BTreeMap<String, T>>;

/// Asks for the device keys of some of the server's users.
///
/// Duties: the caller checks the signatures of the keys: those of the devices, and where cross-signing is used those between keys.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryKeys {
    /// Device IDs by user ID; an empty list stands for all of the user's devices.
    pub device_keys: Json<BTreeMap<String, Vec<String>>>,
    /// Members that the operation does not know.
    pub extra: Members,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for QueryKeys {
    const METHOD: &'static str = "POST";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/user/keys/query");

    fn write(&self) -> EndpointParts {
        let mut object = ObjectWriter::new();
        object.value("device_keys", self.device_keys.value());
        object.members(&self.extra);
        EndpointParts {
            path: Vec::new(),
            query: self.extra_query.clone(),
            content: Content::Json(object.into_object()),
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let object = parts.object()?;
        let mut reader = object.reader();
        Ok(Self {
            device_keys: Json::from_value(reader.object("device_keys")?),
            extra: reader.rest(),
            extra_query: parts.query.clone(),
        })
    }
}

/// Device keys and cross-signing keys. Users that the server does not know are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryKeysReply {
    /// Device keys by user ID and device ID. Absent stands for none.
    pub device_keys: Option<Json<ByDevice<Value>>>,
    /// Master cross-signing keys by user ID.
    pub master_keys: Option<Json<BTreeMap<String, Value>>>,
    /// Self-signing keys by user ID.
    pub self_signing_keys: Option<Json<BTreeMap<String, Value>>>,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl MessageForm for QueryKeysReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.value_opt("device_keys", self.device_keys.as_ref().map(Json::value));
        object.value_opt("master_keys", self.master_keys.as_ref().map(Json::value));
        object.value_opt(
            "self_signing_keys",
            self.self_signing_keys.as_ref().map(Json::value),
        );
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            // Servers in Go write an empty map as `null`; it stays among the unknown members.
            device_keys: reader.try_object("device_keys").map(Json::from_value),
            master_keys: reader.try_object("master_keys").map(Json::from_value),
            self_signing_keys: reader.try_object("self_signing_keys").map(Json::from_value),
            extra: reader.rest(),
        })
    }
}

/// Asks for one one-time key of each of some devices. Each key is given away once.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimKeys {
    /// The wanted algorithm by user ID and device ID.
    pub one_time_keys: Json<ByDevice<String>>,
    /// Members that the operation does not know.
    pub extra: Members,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for ClaimKeys {
    const METHOD: &'static str = "POST";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/user/keys/claim");

    fn write(&self) -> EndpointParts {
        let mut object = ObjectWriter::new();
        object.value("one_time_keys", self.one_time_keys.value());
        object.members(&self.extra);
        EndpointParts {
            path: Vec::new(),
            query: self.extra_query.clone(),
            content: Content::Json(object.into_object()),
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let object = parts.object()?;
        let mut reader = object.reader();
        Ok(Self {
            one_time_keys: Json::from_value(reader.object("one_time_keys")?),
            extra: reader.rest(),
            extra_query: parts.query.clone(),
        })
    }
}

/// The claimed keys.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimKeysReply {
    /// Keys by user ID, device ID, and algorithm with key ID (`signed_curve25519:AAAAHg`). Absent stands for none.
    pub one_time_keys: Option<Json<ByDevice<BTreeMap<String, Value>>>>,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl MessageForm for ClaimKeysReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.value_opt(
            "one_time_keys",
            self.one_time_keys.as_ref().map(Json::value),
        );
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            // As of device keys: refused for a `null`, the keys that were given away would be lost.
            one_time_keys: reader.try_object("one_time_keys").map(Json::from_value),
            extra: reader.rest(),
        })
    }
}

/// Asks for all devices of one of the server's users.
///
/// Duties: the receiver answers for its own users only. The caller checks that the reply is about the user it asked for, and the signatures of the
/// keys; with `stream_id` it tells which later changes of the list it has missed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetUserDevices {
    /// The user.
    pub user_id: String,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for GetUserDevices {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/user/devices/{userId}");

    fn write(&self) -> EndpointParts {
        EndpointParts {
            path: vec![self.user_id.clone()],
            query: self.extra_query.clone(),
            content: Content::Absent,
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            user_id: parts.path_parameter(0).to_owned(),
            extra_query: parts.query.clone(),
        })
    }
}

/// A user's devices and cross-signing keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GetUserDevicesReply {
    /// The user.
    pub user_id: String,
    /// Which version of the list this is, as `m.device_list_update` counts them.
    pub stream_id: i64,
    /// The devices.
    pub devices: Vec<Json<UserDevice>>,
    /// The master cross-signing key.
    pub master_key: Option<Value>,
    /// The self-signing key.
    pub self_signing_key: Option<Value>,
    /// Members that the operation does not know.
    pub extra: Members,
}

/// One device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UserDevice {
    /// The device's ID.
    pub device_id: String,
    /// Its identity keys, signed by itself: a signed object. Servers leave it out of a device without encryption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Value>,
    /// Its name for display.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_display_name: Option<String>,
}

impl MessageForm for GetUserDevicesReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.string("user_id", &self.user_id);
        object.integer("stream_id", self.stream_id);
        let devices = self.devices.iter().map(|device| device.value().clone());
        object.array("devices", devices);
        object.value_opt("master_key", self.master_key.as_ref());
        object.value_opt("self_signing_key", self.self_signing_key.as_ref());
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            user_id: reader.string("user_id")?,
            stream_id: reader.integer("stream_id")?,
            devices: reader
                .array("devices")?
                .into_iter()
                .map(Json::from_value)
                .collect(),
            // Null for a user without cross-signing stays among the unknown members.
            master_key: reader.try_object("master_key"),
            self_signing_key: reader.try_object("self_signing_key"),
            extra: reader.rest(),
        })
    }
}
