//! What is said of users' devices and keys, and to them.
//!
//! Keys are signed, and messages may be: they stay canonical text ([`Json`]) for whoever checks or decrypts them.

use std::{collections::BTreeMap, iter};

use super::{
    EduContent, EduError,
    reading::{At, Budget, member},
};
use crate::json::{Json, Members, Object, ObjectWriter, Value};

/// A user's device is new, changed or gone: the content of `m.device_list_update` (SS "Device Management").
///
/// The receiver drops it if the user is not of the origin. If it knows none of `prev_id`, it missed an update, and asks for the user's whole list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceListUpdate {
    /// The user.
    pub user_id: String,
    /// The device.
    pub device_id: String,
    /// The device's name for everybody; absent if it has none.
    pub device_display_name: Option<String>,
    /// Number of this update, unique for the user.
    pub stream_id: i64,
    /// Numbers of the updates before it that no other has named; absent or empty in the first one.
    pub prev_id: Option<Vec<i64>>,
    /// Whether the device is gone; not, if absent.
    pub deleted: Option<bool>,
    /// The device's identity keys, signed; absent if it has none.
    pub keys: Option<Json<serde_json::Value>>,
    /// Members that are not known.
    pub extra: Members,
}

impl EduContent for DeviceListUpdate {
    const TYPES: &'static [&'static str] = &["m.device_list_update"];

    fn read(content: &Object) -> Result<Self, EduError> {
        let mut budget = Budget::new(content)?;
        budget.array(content, "prev_id")?;
        let mut reader = content.reader();
        let prev_id = reader.array_opt("prev_id")?;
        let prev_id = prev_id.map(|numbers| {
            let numbers = numbers.into_iter().enumerate().map(|(index, number)| {
                let all = member("prev_id");
                number
                    .as_i64()
                    .ok_or_else(|| At::Element(&all, index).not_an_integer(&number))
            });
            numbers.collect::<Result<_, EduError>>()
        });
        Ok(Self {
            user_id: reader.string("user_id")?,
            device_id: reader.string("device_id")?,
            device_display_name: reader.string_opt("device_display_name")?,
            stream_id: reader.integer("stream_id")?,
            prev_id: prev_id.transpose()?,
            deleted: reader.boolean_opt("deleted")?,
            keys: reader.object_opt("keys")?.map(Json::from_value),
            extra: reader.rest(),
        })
    }

    fn write(&self) -> Object {
        let mut content = ObjectWriter::new();
        content.string("user_id", &self.user_id);
        content.string("device_id", &self.device_id);
        content.string_opt("device_display_name", self.device_display_name.as_deref());
        content.integer("stream_id", self.stream_id);
        let numbers = self.prev_id.as_ref();
        let numbers = numbers.map(|numbers| numbers.iter().copied().map(Value::integer));
        content.array_opt("prev_id", numbers);
        content.boolean_opt("deleted", self.deleted);
        content.value_opt("keys", self.keys.as_ref().map(Json::value));
        content.members(&self.extra);
        content.into_object()
    }

    fn check(&self) -> Result<(), EduError> {
        member("user_id").check_id(&self.user_id)?;
        member("stream_id").check_integer(self.stream_id)?;
        let all = member("prev_id");
        let numbers = self.prev_id.iter().flatten().enumerate();
        for (index, number) in numbers {
            At::Element(&all, index).check_integer(*number)?;
        }
        Ok(())
    }

    fn users(&self) -> impl Iterator<Item = &str> {
        iter::once(self.user_id.as_str())
    }
}

/// A user has other cross-signing keys: the content of `m.signing_key_update` (SS "End-to-End Encryption").
///
/// The receiver drops it if the user is not of the origin. Synapse sends each a second time as `org.matrix.signing_key_update`, the type's name
/// before it was specified.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SigningKeyUpdate {
    /// The user.
    pub user_id: String,
    /// The master key, if it changed.
    pub master_key: Option<Json<serde_json::Value>>,
    /// The self-signing key, if it changed, signed by the master key.
    pub self_signing_key: Option<Json<serde_json::Value>>,
    /// Members that are not known.
    pub extra: Members,
}

impl EduContent for SigningKeyUpdate {
    const TYPES: &'static [&'static str] =
        &["m.signing_key_update", "org.matrix.signing_key_update"];

    fn read(content: &Object) -> Result<Self, EduError> {
        Budget::new(content)?;
        let mut reader = content.reader();
        Ok(Self {
            user_id: reader.string("user_id")?,
            master_key: reader.object_opt("master_key")?.map(Json::from_value),
            self_signing_key: reader.object_opt("self_signing_key")?.map(Json::from_value),
            extra: reader.rest(),
        })
    }

    fn write(&self) -> Object {
        let mut content = ObjectWriter::new();
        content.string("user_id", &self.user_id);
        content.value_opt("master_key", self.master_key.as_ref().map(Json::value));
        let key = self.self_signing_key.as_ref();
        content.value_opt("self_signing_key", key.map(Json::value));
        content.members(&self.extra);
        content.into_object()
    }

    fn check(&self) -> Result<(), EduError> {
        member("user_id").check_id(&self.user_id)
    }

    fn users(&self) -> impl Iterator<Item = &str> {
        iter::once(self.user_id.as_str())
    }
}

/// Messages to devices: the content of `m.direct_to_device` (SS "Send-to-device messaging").
///
/// The receiver drops it if the sender is not of the origin, or if that server sent this `message_id` before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DirectToDevice {
    /// Who sends it.
    pub sender: String,
    /// Type of the messages. In the content it is called `type`.
    pub message_type: String,
    /// ID that the sending server gives only once: at most [`DirectToDevice::MAX_MESSAGE_ID`] code points.
    pub message_id: String,
    /// The messages' contents, by user ID, and by device ID or `*` for all of the user's devices.
    pub messages: BTreeMap<String, BTreeMap<String, Json<serde_json::Value>>>,
    /// Members that are not known.
    pub extra: Members,
}

impl DirectToDevice {
    /// Most code points of a `message_id`.
    pub const MAX_MESSAGE_ID: usize = 32;
}

impl EduContent for DirectToDevice {
    const TYPES: &'static [&'static str] = &["m.direct_to_device"];

    fn read(content: &Object) -> Result<Self, EduError> {
        let mut budget = Budget::new(content)?;
        let mut reader = content.reader();
        let at = member("messages");
        let messages = budget.object(&at, &reader.object("messages")?)?;
        let messages = messages.members().map(|(user, value)| {
            let at = At::Member(&at, &user);
            let devices = budget.object(&at, &value)?;
            let devices = devices.members().map(|(device, message)| {
                let at = At::Member(&at, &device);
                match message.is_object() {
                    true => Ok((device.into_owned(), Json::from_value(message))),
                    false => Err(at.not_an_object(&message)),
                }
            });
            let devices = devices.collect::<Result<_, EduError>>()?;
            Ok((user.into_owned(), devices))
        });
        Ok(Self {
            messages: messages.collect::<Result<_, EduError>>()?,
            sender: reader.string("sender")?,
            message_type: reader.string("type")?,
            message_id: reader.string("message_id")?,
            extra: reader.rest(),
        })
    }

    fn write(&self) -> Object {
        let mut content = ObjectWriter::new();
        content.string("sender", &self.sender);
        content.string("type", &self.message_type);
        content.string("message_id", &self.message_id);
        content.object("messages", |messages| {
            for (user, devices) in &self.messages {
                messages.object(user, |user| {
                    for (device, message) in devices {
                        user.value(device, message.value());
                    }
                });
            }
        });
        content.members(&self.extra);
        content.into_object()
    }

    fn check(&self) -> Result<(), EduError> {
        member("sender").check_id(&self.sender)?;
        let at = member("messages");
        for user in self.messages.keys() {
            At::Member(&at, user).check_id(user)?;
        }
        match self.message_id.chars().count() {
            length if length > Self::MAX_MESSAGE_ID => Err(EduError::MessageIdTooLong { length }),
            _ => Ok(()),
        }
    }

    fn users(&self) -> impl Iterator<Item = &str> {
        iter::once(self.sender.as_str())
    }
}
