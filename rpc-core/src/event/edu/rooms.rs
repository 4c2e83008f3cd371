//! What is said of a room: who types there, and who has read how far.

use std::{collections::BTreeMap, iter};

use super::{
    EduContent, EduError,
    reading::{At, Budget, member},
};
use crate::json::{Members, Object, ObjectWriter};

/// A user began or ceased to type in a room: the content of `m.typing` (SS "Typing Notifications").
///
/// The receiver drops it if the user is not of the origin, or not in the room, or if the room's server ACL denies the origin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Typing {
    /// The room.
    pub room_id: String,
    /// The user.
    pub user_id: String,
    /// Whether the user types.
    pub typing: bool,
    /// Members that are not known.
    pub extra: Members,
}

impl EduContent for Typing {
    const TYPES: &'static [&'static str] = &["m.typing"];

    fn read(content: &Object) -> Result<Self, EduError> {
        Budget::new(content)?;
        let mut reader = content.reader();
        Ok(Self {
            room_id: reader.string("room_id")?,
            user_id: reader.string("user_id")?,
            typing: reader.boolean("typing")?,
            extra: reader.rest(),
        })
    }

    fn write(&self) -> Object {
        let mut content = ObjectWriter::new();
        content.string("room_id", &self.room_id);
        content.string("user_id", &self.user_id);
        content.boolean("typing", self.typing);
        content.members(&self.extra);
        content.into_object()
    }

    fn check(&self) -> Result<(), EduError> {
        member("room_id").check_id(&self.room_id)?;
        member("user_id").check_id(&self.user_id)
    }

    fn users(&self) -> impl Iterator<Item = &str> {
        iter::once(self.user_id.as_str())
    }
}

/// How far users have read rooms: the content of `m.receipt` (SS "Receipts").
///
/// Only what is listed changes. The receiver drops the rooms whose server ACL denies the origin, and the users who are not of the origin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Receipts {
    /// By room ID. Every member of the content is a room.
    pub rooms: BTreeMap<String, RoomReceipts>,
}

/// How far users have read a room.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoomReceipts {
    /// `m.read`, by user ID.
    pub read: BTreeMap<String, UserReceipt>,
    /// Receipts of other kinds.
    pub extra: Members,
}

/// How far a user has read a room.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserReceipt {
    /// The last events that were read: one, says the specification.
    pub event_ids: Vec<String>,
    /// When, and of which thread.
    pub data: ReceiptData,
    /// Members that are not known.
    pub extra: Members,
}

/// When a user has read a room, and which thread of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceiptData {
    /// When it was read, in milliseconds since the Unix epoch.
    pub ts: i64,
    /// ID of the thread's first event, or `main`; absent if the receipt is of no thread.
    pub thread_id: Option<String>,
    /// Members that are not known.
    pub extra: Members,
}

impl EduContent for Receipts {
    const TYPES: &'static [&'static str] = &["m.receipt"];

    fn read(content: &Object) -> Result<Self, EduError> {
        let mut budget = Budget::new(content)?;
        let rooms = content.members().map(|(room, value)| {
            let at = member(&room);
            let value = budget.object(&at, &value)?;
            let receipts = RoomReceipts::read(&at, &value, &mut budget)?;
            Ok((room.into_owned(), receipts))
        });
        Ok(Self {
            rooms: rooms.collect::<Result<_, EduError>>()?,
        })
    }

    fn write(&self) -> Object {
        let mut content = ObjectWriter::new();
        for (room, receipts) in &self.rooms {
            content.object(room, |room| receipts.write(room));
        }
        content.into_object()
    }

    fn check(&self) -> Result<(), EduError> {
        for (room, receipts) in &self.rooms {
            let at = member(room);
            at.check_id(room)?;
            let at = At::Member(&at, "m.read");
            for (user, receipt) in &receipts.read {
                let at = At::Member(&at, user);
                at.check_id(user)?;
                let ids = At::Member(&at, "event_ids");
                for (index, id) in receipt.event_ids.iter().enumerate() {
                    At::Element(&ids, index).check_id(id)?;
                }
                let data = At::Member(&at, "data");
                At::Member(&data, "ts").check_integer(receipt.data.ts)?;
                if let Some(thread) = &receipt.data.thread_id {
                    At::Member(&data, "thread_id").check_id(thread)?;
                }
            }
        }
        Ok(())
    }

    fn users(&self) -> impl Iterator<Item = &str> {
        let rooms = self.rooms.values();
        rooms.flat_map(|room| room.read.keys().map(String::as_str))
    }
}

impl RoomReceipts {
    fn read(at: &At<'_>, object: &Object, budget: &mut Budget) -> Result<Self, EduError> {
        let mut reader = object.reader();
        let read = reader.object("m.read").map_err(|error| at.error(&error))?;
        let at = At::Member(at, "m.read");
        let read = budget.object(&at, &read)?;
        let users = read.members().map(|(user, value)| {
            let at = At::Member(&at, &user);
            let value = budget.object(&at, &value)?;
            let receipt = UserReceipt::read(&at, &value, budget)?;
            Ok((user.into_owned(), receipt))
        });
        Ok(Self {
            read: users.collect::<Result<_, EduError>>()?,
            extra: reader.rest(),
        })
    }

    fn write(&self, room: &mut ObjectWriter) {
        room.object("m.read", |read| {
            for (user, receipt) in &self.read {
                read.object(user, |user| receipt.write(user));
            }
        });
        room.members(&self.extra);
    }
}

impl UserReceipt {
    fn read(at: &At<'_>, object: &Object, budget: &mut Budget) -> Result<Self, EduError> {
        budget.array(object, "event_ids")?;
        let mut reader = object.reader();
        let event_ids = reader.strings("event_ids");
        let data = reader.object("data").map_err(|error| at.error(&error))?;
        let within = At::Member(at, "data");
        let data = budget.object(&within, &data)?;
        let mut data = data.reader();
        let ts = data.integer("ts");
        let thread_id = data.string_opt("thread_id");
        Ok(Self {
            event_ids: event_ids.map_err(|error| at.error(&error))?,
            data: ReceiptData {
                ts: ts.map_err(|error| within.error(&error))?,
                thread_id: thread_id.map_err(|error| within.error(&error))?,
                extra: data.rest(),
            },
            extra: reader.rest(),
        })
    }

    fn write(&self, receipt: &mut ObjectWriter) {
        receipt.strings("event_ids", &self.event_ids);
        receipt.object("data", |data| {
            data.integer("ts", self.data.ts);
            data.string_opt("thread_id", self.data.thread_id.as_deref());
            data.members(&self.data.extra);
        });
        receipt.members(&self.extra);
    }
}
