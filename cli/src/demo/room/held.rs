//! What a homeserver holds of a room, and whether what arrived is that.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use comity_core::event::Pdu;
use comity_homeserver::{Event, Homeserver};
use ruma_common::{EventId, OwnedEventId, RoomId, RoomVersionId};
use ruma_signatures::PublicKeyMap;

use super::large::VERSION;
use crate::demo::{
    add_key,
    calls::same,
    stage::{Actor, Stage},
    verdict::Judge,
};

/// An event of a room.
pub(crate) fn event(house: &Homeserver, room: &RoomId, id: &str) -> Option<Arc<Event>> {
    let id = EventId::parse(id).ok()?;
    house.with_room(room, |room| room.event(&id).cloned())?
}

/// Whether a server holds this very event.
pub(crate) fn holds(house: &Homeserver, room: &RoomId, wanted: &Event) -> Result<(), String> {
    match event(house, room, wanted.id().as_str()) {
        Some(held) if held.pdu().value().text() == wanted.pdu().value().text() => Ok(()),
        Some(_) => Err(format!("{} arrived changed", wanted.id())),
        None => Err(format!("{} did not arrive", wanted.id())),
    }
}

/// The events of the current state.
pub(crate) fn state(house: &Homeserver, room: &RoomId) -> Option<Vec<Arc<Event>>> {
    house.with_room(room, |room| room.state().events().cloned().collect())
}

/// Whether both servers have the same state.
pub(crate) fn agree(stage: &Stage<Homeserver>, room: &RoomId) -> Result<(), String> {
    let state = |actor: &Actor<Homeserver>| {
        actor.house.with_room(room, |room| {
            let state = room.state().iter();
            state
                .map(|((kind, key), event)| {
                    ((kind.to_string(), key.clone()), event.id().to_owned())
                })
                .collect::<BTreeMap<_, _>>()
        })
    };
    let (own, theirs) = (state(&stage.joining), state(&stage.resident));
    match own.is_some() && own == theirs {
        true => Ok(()),
        false => Err("the two servers do not have the same state".to_owned()),
    }
}

/// The state before an event, and its auth chain.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) state: Vec<Arc<Event>>,
    pub(crate) auth_chain: Vec<Arc<Event>>,
}

impl Before {
    pub(crate) fn event(house: &Homeserver, room: &RoomId, id: &EventId) -> Option<Self> {
        house.with_room(room, |room| {
            let state: Vec<_> = room.state_before(id)?.events().cloned().collect();
            let auth_chain = room.auth_chain(&state);
            Some(Self { state, auth_chain })
        })?
    }

    /// How many events these are; some of the state stand in the auth chain as well.
    pub(crate) fn len(&self) -> usize {
        self.state.len() + self.auth_chain.len()
    }
}

/// These events and all before them, along their previous events: the latest first.
pub(crate) fn history(house: &Homeserver, room: &RoomId, from: &[OwnedEventId]) -> Vec<Arc<Event>> {
    let walk = house.with_room(room, |room| {
        let mut left: VecDeque<_> = from.iter().cloned().collect();
        let mut seen = HashSet::new();
        let mut events = Vec::new();
        while let Some(id) = left.pop_front() {
            if let Some(event) = room.event(&id)
                && seen.insert(id)
            {
                left.extend(event.previous().iter().cloned());
                events.push(event.clone());
            }
        }
        events
    });
    walk.unwrap_or_default()
}

/// Whether these events arrived and no others, each byte for byte and once, in any order.
pub(crate) fn same_events(got: &[Pdu], wanted: &[Arc<Event>]) -> Result<(), String> {
    let texts = wanted.iter().map(|event| {
        let text: &Bytes = event.pdu().value().text();
        (text, event.id())
    });
    let mut missing: HashMap<&Bytes, &EventId> = texts.collect();
    for pdu in got {
        if missing.remove(pdu.value().text()).is_none() {
            return Err(format!(
                "an event arrived changed, twice or unasked: {:?}",
                pdu.value()
            ));
        }
    }
    match missing.values().next() {
        None => Ok(()),
        Some(id) => Err(format!("{id} is missing")),
    }
}

/// Whether the IDs of these events arrived and no others, each once, in any order.
pub(crate) fn same_ids(got: &[String], wanted: &[Arc<Event>]) -> Result<(), String> {
    same(got.len(), &wanted.len())?;
    let got: BTreeSet<&str> = got.iter().map(String::as_str).collect();
    same(
        got,
        &wanted.iter().map(|event| event.id().as_str()).collect(),
    )
}

/// Ruma's judgement of events that the two servers signed.
pub(crate) fn judge(stage: &Stage<Homeserver>) -> Judge {
    let mut keys = PublicKeyMap::new();
    for actor in [&stage.joining, &stage.resident] {
        add_key(&mut keys, actor.name().as_str(), &actor.identity.key);
    }
    let version = RoomVersionId::try_from(VERSION).expect("ruma knows it");
    Judge::new(version, keys).expect("ruma knows its rules")
}
