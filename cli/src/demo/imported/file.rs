//! `--room FILE` and `--keys FILE`: real events, and who signed them.
//!
//! What is wrong with one entry is said of that entry; the others are taken all the same.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use comity_core::{auth::VerifyKey, event::Pdu, json::Value};
use ruma_common::{
    CanonicalJsonObject, RoomVersionId,
    serde::{Base64, base64::Standard},
};
use ruma_signatures::{PublicKeyMap, PublicKeySet};
use serde_json::Map;

use super::{
    super::verdict::Judge,
    room::{Held, Room, event_id, room_id_of_create},
};

/// Largest file, in bytes. The room is held in memory, so more would not run.
const MAX_FILE: usize = 4 << 30;

/// An event's members on the way to what the room needs of them; numbers as any JSON has them.
type Loose = Map<String, serde_json::Value>;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("{0}: {1}")]
    Read(PathBuf, #[source] io::Error),
    #[error("{0} has no event in it: it is empty")]
    Empty(PathBuf),
    #[error("{path}, line {line}: not JSON: {why}")]
    NotJson {
        path: PathBuf,
        line: usize,
        why: String,
    },
    #[error("{path}: no usable event is left\n{entries}")]
    NothingLeft { path: PathBuf, entries: String },
    #[error(
        "{0} has no m.room.create event, so the room version is unknown: name it by --room-version"
    )]
    NoCreate(PathBuf),
    #[error("room version {0:?} is unknown; known are 1 to 12")]
    UnknownVersion(String),
    #[error("{path}: {at}: {why}")]
    Keys {
        path: PathBuf,
        at: String,
        why: String,
    },
}

/// A room from a file.
#[derive(Debug)]
pub(crate) struct FromFile {
    pub(crate) room: Room,
    /// Entries that were left out, each with the reason.
    pub(crate) skipped: Vec<String>,
    /// Entries that stand in the file more than once; the room holds each once.
    pub(crate) repeated: usize,
}

/// One entry of the file: its name and its value, or why it is none.
type Entry = (String, Result<Value, String>);

/// Reads a room: a JSON array of events, or one event on each line.
pub(crate) fn read_room(
    path: &Path,
    version: Option<&str>,
    keys: PublicKeyMap,
) -> Result<FromFile, FileError> {
    let bytes = Bytes::from(fs::read(path).map_err(|error| FileError::Read(path.into(), error))?);
    let entries = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => return Err(FileError::Empty(path.into())),
        Some(b'[') => elements(path, bytes)?,
        Some(_) => match Value::parse(bytes.clone(), MAX_FILE) {
            // One event, whose text may run over several lines.
            Ok(event) => vec![("entry 1".to_owned(), Ok(event))],
            Err(_) => lines(&bytes),
        },
    };
    if entries.is_empty() {
        return Err(FileError::Empty(path.into()));
    }
    if let [(_, Err(why))] = &entries[..] {
        return Err(FileError::NotJson {
            path: path.into(),
            line: 1,
            why: why.clone(),
        });
    }
    build(path, entries, version, keys)
}

fn elements(path: &Path, bytes: Bytes) -> Result<Vec<Entry>, FileError> {
    let value = Value::parse(bytes.clone(), MAX_FILE).map_err(|error| FileError::NotJson {
        path: path.into(),
        line: 1 + count_lines(&bytes[..error.offset().min(bytes.len())]),
        why: error.to_string(),
    })?;
    let elements = value.elements().unwrap_or_default();
    Ok((1..)
        .zip(elements)
        .map(|(number, value): (usize, _)| (format!("entry {number}"), Ok(value)))
        .collect())
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

fn lines(bytes: &Bytes) -> Vec<Entry> {
    (1..)
        .zip(bytes.split(|byte| *byte == b'\n'))
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(number, line): (usize, _)| {
            let value = Value::parse(bytes.slice_ref(line.trim_ascii()), MAX_FILE);
            let value = value.map_err(|error| format!("not JSON: {error}"));
            (format!("line {number}"), value)
        })
        .collect()
}

fn build(
    path: &Path,
    entries: Vec<Entry>,
    version: Option<&str>,
    keys: PublicKeyMap,
) -> Result<FromFile, FileError> {
    let mut skipped = Vec::new();
    let mut good: Vec<(String, Pdu, Loose)> = Vec::new();
    for (label, value) in entries {
        match value.and_then(read_event) {
            Ok((pdu, members)) => good.push((label, pdu, members)),
            Err(why) => skipped.push(format!("{label}: {why}")),
        }
    }
    if good.is_empty() {
        return Err(FileError::NothingLeft {
            path: path.into(),
            entries: skipped.join("\n"),
        });
    }
    let create = good
        .iter()
        .find(|(_, _, members)| is_create(members))
        .cloned();
    let version = match (version, &create) {
        (Some(version), _) => version.to_owned(),
        (None, Some((.., members))) => version_of(members),
        (None, None) => return Err(FileError::NoCreate(path.into())),
    };
    let judge = RoomVersionId::try_from(version.as_str())
        .ok()
        .and_then(|id| Judge::new(id, keys))
        .ok_or(FileError::UnknownVersion(version))?;
    let room_id = create
        .as_ref()
        .and_then(|(_, pdu, _)| {
            let create = pdu.value().to::<CanonicalJsonObject>().ok()?;
            room_id_of_create(&judge, &create).ok()?
        })
        .or_else(|| {
            let mut ids = good.iter().filter_map(|(.., event)| text(event, "room_id"));
            ids.next().map(str::to_owned)
        })
        .ok_or_else(|| FileError::NothingLeft {
            path: path.into(),
            entries: "no event has a room_id".to_owned(),
        })?;

    let (mut held, mut repeated) = (Vec::<Held>::new(), 0);
    let mut by_id: HashMap<String, usize> = HashMap::new();
    for (place, (label, pdu, members)) in good.into_iter().enumerate() {
        let event = match hold(&judge, &room_id, place, &label, pdu, &members) {
            Ok(event) => event,
            Err(why) => {
                skipped.push(format!("{label}: {why}"));
                continue;
            }
        };
        match by_id.get(&event.id).map(|place| &held[*place]) {
            None => {
                by_id.insert(event.id.clone(), held.len());
                held.push(event);
            }
            Some(first) if signed_part(&first.pdu) == signed_part(&event.pdu) => repeated += 1,
            Some(first) => skipped.push(format!(
                "{label}: has the ID of {} ({}) with other content",
                first.label, first.id
            )),
        }
    }
    if held.is_empty() {
        return Err(FileError::NothingLeft {
            path: path.into(),
            entries: skipped.join("\n"),
        });
    }
    Ok(FromFile {
        room: Room::new(room_id, judge, held),
        skipped,
        repeated,
    })
}

fn read_event(value: Value) -> Result<(Pdu, Loose), String> {
    let pdu = Pdu::judge(value).map_err(|fault| fault.to_string())?;
    let members = pdu
        .value()
        .to::<Loose>()
        .map_err(|error| format!("cannot be read: {error}"))?;
    Ok((pdu, members))
}

fn text<'a>(event: &'a Loose, name: &str) -> Option<&'a str> {
    event.get(name)?.as_str()
}

fn is_create(event: &Loose) -> bool {
    text(event, "type") == Some("m.room.create") && text(event, "state_key") == Some("")
}

/// SS "m.room.create": version 1 if the member is absent.
fn version_of(create: &Loose) -> String {
    match create
        .get("content")
        .and_then(|content| content.get("room_version"))
    {
        None => "1".to_owned(),
        Some(serde_json::Value::String(version)) => version.clone(),
        Some(other) => other.to_string(),
    }
}

fn hold(
    judge: &Judge,
    room_id: &str,
    place: usize,
    label: &str,
    pdu: Pdu,
    event: &Loose,
) -> Result<Held, String> {
    let kind = text(event, "type").ok_or("has no `type`, or none that is a string")?;
    if !event
        .get("content")
        .is_some_and(|content| content.is_object())
    {
        return Err("has no `content`, or none that is an object".to_owned());
    }
    match text(event, "room_id") {
        Some(id) if id == room_id => {}
        Some(id) => return Err(format!("belongs to room {id}, not to {room_id}")),
        None if is_create(event) && !judge.rules().event_format.require_room_create_room_id => {}
        None => return Err("has no `room_id`, or none that is a string".to_owned()),
    }
    if judge.rules().event_format.require_event_id && text(event, "event_id").is_none() {
        return Err("has no `event_id`, or none that is a string".to_owned());
    }
    let id = match pdu.value().to::<CanonicalJsonObject>() {
        Ok(object) => event_id(judge, &object).map_err(|error| error.to_string())?,
        // Numbers that ruma cannot read: the name serves the demo alone.
        Err(_) => {
            text(event, "event_id").map_or_else(|| format!("$unverifiable-{place}"), str::to_owned)
        }
    };
    Ok(Held {
        id,
        label: label.to_owned(),
        state: text(event, "state_key").map(|key| (kind.to_owned(), key.to_owned())),
        previous: event.get("prev_events").map(previous).unwrap_or_default(),
        depth: event
            .get("depth")
            .and_then(serde_json::Value::as_i64)
            .unwrap_or(0),
        pdu,
    })
}

/// An event without `unsigned`, which each server writes for itself.
fn signed_part(pdu: &Pdu) -> Loose {
    let mut members: Loose = pdu.value().to().expect("read before");
    members.remove("unsigned");
    members
}

/// IDs, bare (room version 3 and later) or each in an array with a hash.
fn previous(list: &serde_json::Value) -> Vec<String> {
    let ids = list.as_array().into_iter().flatten();
    ids.filter_map(|item| item.as_str().or_else(|| item.get(0)?.as_str()))
        .map(str::to_owned)
        .collect()
}

/// Reads verify keys: `{server: {key ID: base64}}`.
pub(crate) fn read_keys(path: &Path) -> Result<PublicKeyMap, FileError> {
    let fault = |at: String, why: String| FileError::Keys {
        path: path.into(),
        at,
        why,
    };
    let bytes = fs::read(path).map_err(|error| FileError::Read(path.into(), error))?;
    let servers: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&bytes).map_err(|error| {
            fault(
                format!("line {}", error.line()),
                format!("no object of servers: {error}"),
            )
        })?;
    if servers.is_empty() {
        return Err(fault(
            "the object".to_owned(),
            "no server is in it".to_owned(),
        ));
    }
    let mut keys = PublicKeyMap::new();
    for (server, ids) in servers {
        let ids = ids
            .as_object()
            .ok_or_else(|| fault(server.clone(), "is no object of key IDs".to_owned()))?;
        let mut set = PublicKeySet::new();
        for (id, key) in ids {
            let key = key
                .as_str()
                .and_then(|key| VerifyKey::from_base64(key).ok())
                .ok_or_else(|| {
                    fault(
                        format!("{server}, {id}"),
                        "is no ed25519 key in base64".to_owned(),
                    )
                })?;
            set.insert(id.clone(), Base64::<Standard>::new(key.as_bytes().to_vec()));
        }
        keys.insert(server, set);
    }
    Ok(keys)
}
