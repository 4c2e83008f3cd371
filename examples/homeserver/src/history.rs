//! Walks along the edges of a room's graph.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use comity_core::api::Direction;
use ruma_common::{EventId, OwnedEventId};

use crate::{Event, Room};

/// The auth chain of some events: what they cite, what that cites, and so on. An event that cites nobody knows is passed over.
pub(crate) fn auth_chain<'a, 'b>(
    events: impl IntoIterator<Item = &'b Arc<Event>>,
    find: impl Fn(&EventId) -> Option<&'a Arc<Event>>,
) -> Vec<Arc<Event>> {
    let mut seen: HashSet<&EventId> = HashSet::new();
    let mut chain: Vec<Arc<Event>> = Vec::new();
    let mut left: Vec<&'a Arc<Event>> = Vec::new();
    let cited = |event: &Event| -> Vec<&'a Arc<Event>> {
        event
            .authorising()
            .iter()
            .filter_map(|id| find(id))
            .collect()
    };
    for event in events {
        left.extend(cited(event));
        while let Some(event) = left.pop() {
            if seen.insert(event.id()) {
                chain.push(event.clone());
                left.extend(cited(event));
            }
        }
    }
    chain
}

/// All of these events, each behind those that it cites, as far as they are among them.
pub(crate) fn in_auth_order(events: &HashMap<OwnedEventId, Arc<Event>>) -> Vec<Arc<Event>> {
    // How many events each one still waits for, and who waits for it.
    let mut missing: HashMap<&EventId, usize> = HashMap::new();
    let mut citing: HashMap<&EventId, Vec<&Arc<Event>>> = HashMap::new();
    for event in events.values() {
        let cited = event.authorising().iter();
        for cited in cited.filter(|id| events.contains_key(*id)) {
            *missing.entry(event.id()).or_default() += 1;
            citing.entry(cited).or_default().push(event);
        }
    }
    let free = events.values();
    let mut ordered: Vec<Arc<Event>> = free
        .filter(|event| !missing.contains_key(event.id()))
        .cloned()
        .collect();
    let mut done = 0;
    while let Some(event) = ordered.get(done).cloned() {
        done += 1;
        for waiting in citing.get(event.id()).into_iter().flatten() {
            let missing = missing.entry(waiting.id()).or_default();
            *missing -= 1;
            if *missing == 0 {
                ordered.push(Arc::clone(waiting));
            }
        }
    }
    // IDs are hashes of what they stand for, so that no two events cite each other and none is left.
    ordered
}

impl Room {
    /// The latest events of the graph, the oldest of them first: what a user who has just opened the room is shown.
    pub fn latest(&self, count: usize) -> Vec<Arc<Event>> {
        let walk = Walk {
            stop: HashSet::new(),
            min_depth: 0,
            limit: count,
        };
        let heads: Vec<_> = self.heads().map(ToOwned::to_owned).collect();
        let mut events = self.walk(&walk, heads);
        events.retain(|event| event.why_rejected().is_none());
        events
    }

    /// The first event of the graph at or after a time, or the last at or before it.
    pub(crate) fn closest(&self, time: i64, direction: Direction) -> Option<&Arc<Event>> {
        let sent_at = |event: &&Arc<Event>| event.pdu().origin_server_ts().unwrap_or(0);
        match direction {
            Direction::Forwards => {
                let later = self.placed().filter(|event| sent_at(event) >= time);
                later.min_by_key(|event| (sent_at(event), event.depth()))
            }
            Direction::Backwards => {
                let earlier = self.placed().filter(|event| sent_at(event) <= time);
                earlier.max_by_key(|event| (sent_at(event), event.depth()))
            }
        }
    }
}

/// A walk against time, breadth first: what [`Backfill`](comity_core::api::Backfill) and
/// [`GetMissingEvents`](comity_core::api::GetMissingEvents) ask for.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Not given, and not walked past.
    pub(crate) stop: HashSet<OwnedEventId>,
    /// Events of less depth are not given, and not walked past.
    pub(crate) min_depth: i64,
    /// Most events to give.
    pub(crate) limit: usize,
}

impl Walk {
    /// Walks from these events, which are given themselves, and gives the oldest first.
    pub(crate) fn from<'a>(
        &self,
        start: impl IntoIterator<Item = OwnedEventId>,
        find: impl Fn(&EventId) -> Option<&'a Arc<Event>>,
    ) -> Vec<Arc<Event>> {
        let mut left: VecDeque<OwnedEventId> = start.into_iter().collect();
        let mut seen: HashSet<OwnedEventId> = self.stop.clone();
        let mut given: Vec<Arc<Event>> = Vec::new();
        while let Some(id) = left.pop_front() {
            if given.len() == self.limit {
                break;
            }
            let Some(event) = find(&id).filter(|event| event.depth() >= self.min_depth) else {
                continue;
            };
            if seen.insert(id) {
                left.extend(event.previous().iter().cloned());
                given.push(event.clone());
            }
        }
        given.sort_by(|a, b| (a.depth(), a.id()).cmp(&(b.depth(), b.id())));
        given
    }
}
