//! Walks along the edges of a room's graph.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use ruma_common::{EventId, OwnedEventId};

use crate::Event;

/// The auth chain of some events: what they cite, what that cites, and so on. An event that cites nobody knows is passed over.
pub(crate) fn auth_chain<'a, 'b>(
    events: impl IntoIterator<Item = &'b Arc<Event>>,
    find: impl Fn(&EventId) -> Option<&'a Arc<Event>>,
) -> Vec<Arc<Event>> {
    let mut seen: HashSet<&EventId> = HashSet::new();
    let mut chain: Vec<Arc<Event>> = Vec::new();
    let mut left: Vec<&'a Arc<Event>> = Vec::new();
    let cited = |event: &Event| -> Vec<&'a Arc<Event>> {
        event.authorising().iter().filter_map(|id| find(id)).collect()
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
