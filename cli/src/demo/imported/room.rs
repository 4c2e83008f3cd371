//! A room as the resident server holds it: events in order, found by their text and by their ID.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use comity_core::{ServerName, auth::SigningKey, event::Pdu, json::Value};
use ruma_common::{
    AnyKeyName, CanonicalJsonObject, CanonicalJsonValue, OwnedSigningKeyId,
    room_version_rules::{EventIdFormatVersion, RoomIdFormatVersion},
};
use ruma_signatures::{JsonError, KeyPair, Signature, hash_and_sign_event, reference_hash};

use super::super::verdict::Judge;

/// One event of the room, and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) pdu: Pdu,
    pub(crate) id: String,
    /// `event 7`, `line 7` or `entry 7`: how a finding names it.
    pub(crate) label: String,
    /// Type and state key, if it is a state event.
    pub(crate) state: Option<(String, String)>,
    /// IDs of the events before it.
    pub(crate) previous: Vec<String>,
    pub(crate) depth: i64,
}

/// The room.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) id: String,
    pub(crate) judge: Judge,
    events: Vec<Held>,
    by_text: HashMap<Bytes, usize>,
    by_id: HashMap<String, usize>,
    /// What a join replies as `auth_chain`: superseded state, and what is no state, so that every event is carried once.
    auth_chain: Arc<[usize]>,
    /// What a join replies as `state`: the last event for each type and state key.
    state: Arc<[usize]>,
}

impl Room {
    pub(crate) fn new(id: String, judge: Judge, events: Vec<Held>) -> Self {
        let mut current = BTreeMap::new();
        let (mut by_text, mut by_id) = (HashMap::new(), HashMap::new());
        for (index, event) in events.iter().enumerate() {
            if let Some(key) = &event.state {
                current.insert(key, index);
            }
            by_text.insert(event.pdu.value().text().clone(), index);
            by_id.entry(event.id.clone()).or_insert(index);
        }
        let current: HashSet<usize> = current.into_values().collect();
        let (state, auth_chain): (Vec<_>, Vec<_>) =
            (0..events.len()).partition(|index| current.contains(index));
        Self {
            id,
            judge,
            by_text,
            by_id,
            auth_chain: auth_chain.into(),
            state: state.into(),
            events,
        }
    }

    pub(crate) fn events(&self) -> &[Held] {
        &self.events
    }

    /// The place of the event that is exactly this text.
    pub(crate) fn place_of_text(&self, pdu: &Pdu) -> Option<usize> {
        self.by_text.get(pdu.value().text()).copied()
    }

    pub(crate) fn place_of_id(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The places of the events that a join replies in this array, in order.
    pub(crate) fn array(&self, name: &str) -> &Arc<[usize]> {
        match name {
            "auth_chain" => &self.auth_chain,
            _ => &self.state,
        }
    }

    /// A join of `user` on top of the room, signed. Gives the event and its ID.
    pub(crate) fn join(
        &self,
        user: &str,
        server: &ServerName,
        key: &SigningKey,
        now: i64,
    ) -> Result<(Pdu, String), JsonError> {
        let rules = self.judge.rules();
        let mut referred: HashSet<&str> = HashSet::new();
        for event in &self.events {
            referred.extend(event.previous.iter().map(String::as_str));
        }
        // SS "Size limits": at most 20 events before.
        let heads = self
            .events
            .iter()
            .rev()
            .filter(|event| !referred.contains(event.id.as_str()));
        let heads: Vec<&str> = heads.take(20).map(|event| event.id.as_str()).collect();
        let authorising = ["m.room.power_levels", "m.room.join_rules", "m.room.create"]
            .into_iter()
            // The create event is implied by the room ID where that is its hash.
            .filter(|kind| *kind != "m.room.create" || !room_id_is_hash(&self.judge))
            .filter_map(|kind| {
                let mut state = self.state.iter().map(|place| &self.events[*place]);
                let wanted = (kind.to_owned(), String::new());
                Some(
                    state
                        .find(|event| event.state.as_ref() == Some(&wanted))?
                        .id
                        .as_str(),
                )
            });
        let depth = self.events.iter().map(|event| event.depth).max();
        let mut object: CanonicalJsonObject = [
            ("room_id", self.id.as_str().into()),
            ("type", "m.room.member".into()),
            ("sender", user.into()),
            ("state_key", user.into()),
            ("content", object([("membership", "join".into())])),
            ("prev_events", references(&self.judge, heads)),
            (
                "auth_events",
                references(&self.judge, authorising.collect()),
            ),
            ("depth", integer(depth.unwrap_or(0).saturating_add(1))),
            ("origin_server_ts", integer(now)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if rules.event_format.require_event_id {
            let id = format!("$demo:{server}");
            object.insert("event_id".to_owned(), id.into());
        }
        let id = sign(&self.judge, server, key, &mut object)?;
        Ok((pdu_of(&object)?, id))
    }
}

/// A member's value in canonical JSON. Out of range numbers are cut to the range's end.
pub(crate) fn integer(number: i64) -> CanonicalJsonValue {
    const MOST: i64 = (1 << 53) - 1;
    serde_json::Value::from(number.clamp(-MOST, MOST))
        .try_into()
        .expect("in the range of canonical JSON")
}

pub(crate) fn object<const N: usize>(
    members: [(&str, CanonicalJsonValue); N],
) -> CanonicalJsonValue {
    CanonicalJsonValue::Object(members.map(|(name, value)| (name.to_owned(), value)).into())
}

fn room_id_is_hash(judge: &Judge) -> bool {
    judge.rules().room_id_format == RoomIdFormatVersion::V2
}

/// Event IDs as `prev_events` and `auth_events` list them: room versions 1 and 2 add a hash, which nobody checks.
pub(crate) fn references(judge: &Judge, ids: Vec<&str>) -> CanonicalJsonValue {
    let with_hash = judge.rules().event_id_format == EventIdFormatVersion::V1;
    let list = ids.into_iter().map(|id| match with_hash {
        true => CanonicalJsonValue::Array(vec![id.into(), object([])]),
        false => id.into(),
    });
    CanonicalJsonValue::Array(list.collect())
}

/// Adds content hash and signature, and gives the event's ID.
pub(crate) fn sign(
    judge: &Judge,
    server: &ServerName,
    key: &SigningKey,
    event: &mut CanonicalJsonObject,
) -> Result<String, JsonError> {
    let redaction = &judge.rules().redaction;
    hash_and_sign_event(server.as_str(), &EventSigner(key), event, redaction)?;
    event_id(judge, event)
}

/// An event's ID: its own member in room versions 1 and 2, the reference hash since.
pub(crate) fn event_id(judge: &Judge, event: &CanonicalJsonObject) -> Result<String, JsonError> {
    if judge.rules().event_format.require_event_id
        && let Some(id) = event.get("event_id").and_then(|id| id.as_str())
    {
        return Ok(id.to_owned());
    }
    Ok(format!("${}", reference_hash(event, judge.rules())?))
}

/// The ID of the room that a create event makes.
pub(crate) fn room_id_of_create(
    judge: &Judge,
    create: &CanonicalJsonObject,
) -> Result<Option<String>, JsonError> {
    if room_id_is_hash(judge) {
        return Ok(Some(format!("!{}", reference_hash(create, judge.rules())?)));
    }
    let id = create.get("room_id").and_then(|id| id.as_str());
    Ok(id.map(str::to_owned))
}

/// An event as it crosses the wire.
pub(crate) fn pdu_of(event: &CanonicalJsonObject) -> Result<Pdu, JsonError> {
    let value = Value::from_serialize(event).map_err(|_| JsonError::PduTooLarge)?;
    Pdu::judge(value).map_err(|_| JsonError::PduTooLarge)
}

/// A server's key as ruma signs with it.
struct EventSigner<'a>(&'a SigningKey);

impl KeyPair for EventSigner<'_> {
    fn sign(&self, message: &[u8]) -> Signature {
        let id: OwnedSigningKeyId<AnyKeyName> = self
            .0
            .key_id()
            .as_str()
            .try_into()
            .expect("a key ID of ours is one of ruma's");
        Signature::new(id, self.0.sign(message).as_bytes().to_vec())
    }
}
