//! What a server keeps on disk: its key, its users, the events of its rooms, the invitations of its users.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `server` | `name`, `key version`, `key seed` | bytes |
//! | `rooms` | room ID | JSON: the version; of a room that was joined also how many of its first events came with the join, and how many of those are the state |
//! | `events` | room ID and position | canonical JSON |
//! | `users` | user ID | JSON |
//! | `invitations` | user ID and room ID | JSON |
//!
//! State is not kept. A room is loaded by taking its events in again, in the order in which they came: this gives the same graph, the same
//! states and the same rejections, as none of them depends on anything else. Signatures were checked when the events came.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use comity_core::{
    ServerName,
    auth::{SigningKey, SigningKeyError},
    event::Pdu,
    json::Value,
};
use redb::{
    Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
    backends::FileBackend,
};
use ruma_common::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use ruma_events::TimelineEventType;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Event, Invitation, Room, State, Version, Versions,
    devices::User,
    journal::{Change, Journal},
    log::Beginning,
};

const SERVER: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("server");
const ROOMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rooms");
const EVENTS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("events");
const USERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("users");
const INVITATIONS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("invitations");

/// The directory of a server, open and locked against a second process.
#[derive(Debug)]
pub struct Storage {
    database: Database,
    path: PathBuf,
    key: Arc<SigningKey>,
}

/// A server's directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The directory or the file cannot be made or opened.
    #[error("{path} cannot be opened")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database said no.
    #[error("{path} cannot be used")]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
    /// The directory is another server's. Its key and its users are worth nothing under this name.
    #[error("{path} belongs to the server {owner}")]
    OtherServer {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        owner: String,
    },
    /// There is no key, and none could be made.
    #[error("no signing key")]
    Key(#[from] SigningKeyError),
    /// Something in it is not what this server wrote.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// What was found in a directory.
pub(crate) struct Loaded {
    pub(crate) rooms: Vec<Room>,
    pub(crate) users: Vec<(OwnedUserId, User)>,
    /// Each with its place in the order in which they came.
    pub(crate) invitations: Vec<(u64, OwnedUserId, Invitation)>,
}

impl Storage {
    /// The file in the directory that holds everything.
    pub const FILE: &str = "homeserver.redb";

    /// Opens the directory of the server `name`, and makes it, with a new signing key, if it is not there. Only its owner can read it.
    ///
    /// # Errors
    /// [`StorageError`]; the directory of another server is refused.
    pub fn open(directory: &Path, name: &ServerName) -> Result<Self, StorageError> {
        let path = directory.join(Self::FILE);
        let database = create(directory, &path)?;
        let key = signing_key(&database, &path, name)?;
        Ok(Self {
            database,
            path,
            key: Arc::new(key),
        })
    }

    /// The server's signing key: the same each time.
    pub fn signing_key(&self) -> Arc<SigningKey> {
        self.key.clone()
    }

    /// Reads all that is kept, and begins to write.
    pub(crate) fn load(self, versions: &Versions) -> Result<(Loaded, Journal), StorageError> {
        let loaded = Reading {
            path: &self.path,
            versions,
        };
        let loaded = loaded.read(&self.database)?;
        let journal = Journal::start(self.database).map_err(|source| StorageError::File {
            path: self.path,
            source,
        })?;
        Ok((loaded, journal))
    }
}

fn create(directory: &Path, path: &Path) -> Result<Database, StorageError> {
    let opened = |source| StorageError::File {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(directory).map_err(opened)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    // The signing key is in it.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(opened)?;
    let backend = FileBackend::new(file).map_err(|error| in_database(path)(error.into()))?;
    let database = Database::builder().create_with_backend(backend);
    database.map_err(|error| in_database(path)(error.into()))
}

fn in_database(path: &Path) -> impl Fn(redb::Error) -> StorageError {
    move |source| StorageError::Database {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

/// The key that is kept; or a new one, which is kept with the server's name.
fn signing_key(
    database: &Database,
    path: &Path,
    name: &ServerName,
) -> Result<SigningKey, StorageError> {
    match read_key(database).map_err(in_database(path))? {
        Some(kept) if kept.owner != name.as_str() => Err(StorageError::OtherServer {
            path: path.to_owned(),
            owner: kept.owner,
        }),
        Some(kept) => {
            let seed: Option<[u8; 32]> = kept.seed.try_into().ok();
            let key = seed.and_then(|seed| SigningKey::from_seed(&kept.version, &seed).ok());
            key.ok_or_else(|| StorageError::Damaged {
                path: path.to_owned(),
                what: "its signing key is none".to_owned(),
            })
        }
        None => {
            // An identifier is never to stand for two keys, so it tells when the key was made.
            let version = format!("c{}", comity_core::auth::now_ms() / 1000);
            let key = SigningKey::generate(&version)?;
            write_key(database, name, &key).map_err(in_database(path))?;
            Ok(key)
        }
    }
}

struct KeptKey {
    owner: String,
    version: String,
    seed: Vec<u8>,
}

fn read_key(database: &Database) -> Result<Option<KeptKey>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(SERVER) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let read = |name| -> Result<Vec<u8>, redb::Error> {
        let found = table.get(name)?;
        Ok(found.map_or_else(Vec::new, |value| value.value().to_vec()))
    };
    let text = |name| Ok::<_, redb::Error>(String::from_utf8_lossy(&read(name)?).into_owned());
    Ok(Some(KeptKey {
        owner: text("name")?,
        version: text("key version")?,
        seed: read("key seed")?,
    }))
}

/// Also makes the other tables, so that they are there from now on.
fn write_key(database: &Database, name: &ServerName, key: &SigningKey) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(SERVER)?;
        table.insert("name", name.as_str().as_bytes())?;
        table.insert("key version", key.key_id().version().as_bytes())?;
        table.insert("key seed", key.expose_seed().as_slice())?;
        transaction.open_table(ROOMS)?;
        transaction.open_table(EVENTS)?;
        transaction.open_table(USERS)?;
        transaction.open_table(INVITATIONS)?;
    }
    transaction.commit()?;
    Ok(())
}

/// What is said of a room in its table.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    version: String,
    /// How many of the first events came as state of a join, and how many with the join at all; both 0 in a room that was made here.
    state: usize,
    ground: usize,
}

/// An invitation as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Its place in the order in which they came.
    order: u64,
    room_version: String,
    event: Value,
    room_state: Vec<Value>,
    via: ServerName,
}

/// One look at all that is kept.
struct Reading<'a> {
    path: &'a Path,
    versions: &'a Versions,
}

impl Reading<'_> {
    fn read(&self, database: &Database) -> Result<Loaded, StorageError> {
        let failed = in_database(self.path);
        let heads = rows(database, ROOMS, |id| id.to_owned()).map_err(&failed)?;
        let mut rooms = Vec::new();
        for (id, head) in heads {
            let events = events_of(database, &id).map_err(&failed)?;
            let head: Head = self.parse(&head)?;
            rooms.push(self.room(&id, &head, events)?);
        }
        let mut users = Vec::new();
        for (id, user) in rows(database, USERS, |id| id.to_owned()).map_err(&failed)? {
            let id = UserId::parse(id).map_err(|_| self.damaged("a user ID is none"))?;
            users.push((id, self.parse(&user)?));
        }
        let mut invitations = Vec::new();
        let places = |(user, room): (&str, &str)| (user.to_owned(), room.to_owned());
        for ((user, room), kept) in rows(database, INVITATIONS, places).map_err(&failed)? {
            let user = UserId::parse(user).map_err(|_| self.damaged("a user ID is none"))?;
            let kept: Kept = self.parse(&kept)?;
            invitations.push((kept.order, user, self.invitation(&room, kept)?));
        }
        Ok(Loaded {
            rooms,
            users,
            invitations,
        })
    }

    /// Takes the events of a room in again.
    fn room(&self, id: &str, head: &Head, texts: Vec<Vec<u8>>) -> Result<Room, StorageError> {
        let damaged = |what: &str| self.damaged(&format!("room {id}: {what}"));
        let room_id = RoomId::parse(id).map_err(|_| damaged("its ID is none"))?;
        let version = self.versions.get(&head.version);
        let version = version.ok_or_else(|| damaged("its version is not spoken"))?;
        let mut events = texts
            .into_iter()
            .map(|text| read_event(version, text).map_err(|what| damaged(&what)));
        let mut known = HashMap::new();
        let mut state = State::default();
        for position in 0..head.ground {
            let event = events.next().ok_or_else(|| damaged("it has no join"))??;
            let event = Arc::new(event);
            if position < head.state {
                state.insert(&event);
            }
            known.insert(event.id().to_owned(), event);
        }
        let first = events.next().ok_or_else(|| damaged("it has no events"))??;
        let room = match head.ground {
            0 => Room::new(room_id, version.clone(), first),
            _ => {
                let create = state.get(&TimelineEventType::RoomCreate.to_string().into(), "");
                let create = create.ok_or_else(|| damaged("it has no create event"))?;
                let create = create.id().to_owned();
                Room::joined(room_id, version.clone(), create, known, state, first)
            }
        };
        let mut room = room.map_err(|why| damaged(&why.to_string()))?;
        for event in events {
            let event = event?;
            let event_id = event.id().to_owned();
            // One that was rejected then is rejected again.
            if let Err(why) = room.add_or_reject(event) {
                tracing::debug!(room = id, event = %event_id, %why, "rejected as before");
            }
        }
        Ok(room)
    }

    fn invitation(&self, room: &str, kept: Kept) -> Result<Invitation, StorageError> {
        let damaged = |_| self.damaged("an invitation is none");
        let pdu = |value| Pdu::judge(value).map_err(|_| self.damaged("an invitation is none"));
        Ok(Invitation {
            room_id: RoomId::parse(room).map_err(damaged)?,
            room_version: kept.room_version,
            event: pdu(kept.event)?,
            room_state: kept
                .room_state
                .into_iter()
                .map(pdu)
                .collect::<Result<_, _>>()?,
            via: kept.via,
        })
    }

    fn parse<T: DeserializeOwned>(&self, json: &[u8]) -> Result<T, StorageError> {
        serde_json::from_slice(json).map_err(|error| self.damaged(&error.to_string()))
    }

    fn damaged(&self, what: &str) -> StorageError {
        StorageError::Damaged {
            path: self.path.to_owned(),
            what: what.to_owned(),
        }
    }
}

fn read_event(version: &Version, text: Vec<u8>) -> Result<Event, String> {
    let size = text.len();
    let value = Value::parse(text.into(), size).map_err(|error| error.to_string())?;
    let pdu = Pdu::judge(value).map_err(|fault| format!("an event {fault}"))?;
    let id = version.format.event_id(pdu.object());
    let id = id.map_err(|error| error.to_string())?;
    Event::read(&id, pdu).map_err(|error| error.to_string())
}

/// All rows of a table.
fn rows<K: redb::Key + 'static, T>(
    database: &Database,
    table: TableDefinition<'_, K, &[u8]>,
    key: impl Fn(K::SelfType<'_>) -> T,
) -> Result<Vec<(T, Vec<u8>)>, redb::Error> {
    let table = database.begin_read()?.open_table(table)?;
    let rows = table.iter()?.map(|row| {
        let (found, value) = row?;
        Ok((key(found.value()), value.value().to_vec()))
    });
    rows.collect()
}

fn events_of(database: &Database, room: &str) -> Result<Vec<Vec<u8>>, redb::Error> {
    let table = database.begin_read()?.open_table(EVENTS)?;
    let rows = table.range((room, 0)..=(room, u64::MAX))?;
    rows.map(|row| Ok(row?.1.value().to_vec())).collect()
}

/// A new room, in the place of one that may be there.
pub(crate) fn put_room(id: OwnedRoomId, version: &str, beginning: Beginning) -> Change {
    let head = Head {
        version: version.to_owned(),
        state: beginning.state.len(),
        ground: beginning.state.len() + beginning.auth_chain.len(),
    };
    let head = serde_json::to_vec(&head).expect("its members are plain");
    Box::new(move |transaction| {
        remove(transaction, &id)?;
        let mut rooms = transaction.open_table(ROOMS)?;
        rooms.insert(id.as_str(), head.as_slice())?;
        let mut table = transaction.open_table(EVENTS)?;
        let events = beginning.state.iter().chain(&beginning.auth_chain);
        let events = events.chain(&beginning.placed);
        for (position, event) in (0..).zip(events) {
            table.insert(
                (id.as_str(), position),
                event.pdu().object().text().as_ref(),
            )?;
        }
        Ok(())
    })
}

/// One event more.
pub(crate) fn put_event(room: OwnedRoomId, event: Arc<Event>) -> Change {
    Box::new(move |transaction| {
        let room = room.as_str();
        let mut table = transaction.open_table(EVENTS)?;
        let last = table.range((room, 0)..=(room, u64::MAX))?.next_back();
        let next = last.transpose()?.map_or(0, |(key, _)| key.value().1 + 1);
        table.insert((room, next), event.pdu().object().text().as_ref())?;
        Ok(())
    })
}

pub(crate) fn remove_room(room: OwnedRoomId) -> Change {
    Box::new(move |transaction| remove(transaction, &room))
}

fn remove(transaction: &WriteTransaction, room: &RoomId) -> Result<(), redb::Error> {
    let room = room.as_str();
    transaction.open_table(ROOMS)?.remove(room)?;
    let mut events = transaction.open_table(EVENTS)?;
    events.retain_in((room, 0)..=(room, u64::MAX), |_, _| false)?;
    Ok(())
}

pub(crate) fn put_user(id: OwnedUserId, user: &User) -> Change {
    let json = serde_json::to_vec(user).expect("its members are plain");
    Box::new(move |transaction| {
        let mut table = transaction.open_table(USERS)?;
        table.insert(id.as_str(), json.as_slice())?;
        Ok(())
    })
}

pub(crate) fn put_invitation(user: OwnedUserId, order: u64, invitation: &Invitation) -> Change {
    let kept = Kept {
        order,
        room_version: invitation.room_version.clone(),
        event: invitation.event.value().clone(),
        room_state: invitation
            .room_state
            .iter()
            .map(|pdu| pdu.value().clone())
            .collect(),
        via: invitation.via.clone(),
    };
    let json = serde_json::to_vec(&kept).expect("its members are plain");
    let room = invitation.room_id.clone();
    Box::new(move |transaction| {
        let mut table = transaction.open_table(INVITATIONS)?;
        table.insert((user.as_str(), room.as_str()), json.as_slice())?;
        Ok(())
    })
}

pub(crate) fn remove_invitation(user: OwnedUserId, room: OwnedRoomId) -> Change {
    Box::new(move |transaction| {
        let mut table = transaction.open_table(INVITATIONS)?;
        table.remove((user.as_str(), room.as_str()))?;
        Ok(())
    })
}
