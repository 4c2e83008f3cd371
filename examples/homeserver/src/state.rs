//! The state of a room: one event for each type and state key.

use std::sync::Arc;

use comity_core::ServerName;
use rpds::HashTrieMapSync;
use ruma_events::{StateEventType, room::member::MembershipState};

use crate::{Event, StateKey};

/// The state of a room at one place of its graph.
///
/// Cheap to clone, and a state shares with the one it came from all that did not change: a room keeps one for each event.
#[derive(Clone, Default)]
pub struct State {
    events: HashTrieMapSync<StateKey, Arc<Event>>,
    /// How many users of each server are joined. Counted on the way, as whom to send an event to is asked for each one.
    joined: HashTrieMapSync<ServerName, usize>,
}

impl State {
    /// The event of this type and state key.
    pub fn get(&self, kind: &StateEventType, key: &str) -> Option<&Arc<Event>> {
        // The map is asked by its own key's type, so this copies the names.
        self.events.get(&(kind.clone(), key.to_owned()))
    }

    /// Whether this event stands at this key.
    pub(crate) fn holds(&self, key: &StateKey, event: &Event) -> bool {
        let found = self.events.get(key);
        found.is_some_and(|found| found.id() == event.id())
    }

    /// All events, in no order.
    pub fn events(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.events.values()
    }

    /// All keys and events, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&StateKey, &Arc<Event>)> {
        self.events.iter()
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.size()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The servers that have a joined user, in no order.
    pub fn servers(&self) -> impl Iterator<Item = &ServerName> {
        self.joined.keys()
    }

    /// Whether a server has a joined user.
    pub fn has_server(&self, server: &ServerName) -> bool {
        self.joined.contains_key(server)
    }

    /// Whether two states are one and the same, which needs no look at their events. Two states with equal events may be two.
    pub(crate) fn is_shared_with(&self, other: &Self) -> bool {
        self.events.ptr_eq(&other.events)
    }

    /// The state after `event`: this one, if it is no state event.
    #[must_use]
    pub(crate) fn with(&self, event: &Arc<Event>) -> Self {
        let mut state = self.clone();
        state.insert(event);
        state
    }

    /// Puts a state event in its place; another event changes nothing.
    pub(crate) fn insert(&mut self, event: &Arc<Event>) {
        let Some(key) = event.state_key() else {
            return;
        };
        self.forget_membership(&key);
        if let Some(server) = joined_server(event) {
            let users = self.joined.get(&server).copied().unwrap_or(0);
            self.joined.insert_mut(server, users + 1);
        }
        self.events.insert_mut(key, event.clone());
    }

    pub(crate) fn remove(&mut self, key: &StateKey) {
        self.forget_membership(key);
        self.events.remove_mut(key);
    }

    /// Discounts the user whose membership stands at `key`.
    fn forget_membership(&mut self, key: &StateKey) {
        let Some(server) = self.events.get(key).and_then(|event| joined_server(event)) else {
            return;
        };
        match self.joined.get(&server).copied() {
            Some(users) if users > 1 => self.joined.insert_mut(server, users - 1),
            _ => {
                self.joined.remove_mut(&server);
            }
        }
    }
}

/// The server of the user whom this event makes a member.
fn joined_server(event: &Event) -> Option<ServerName> {
    match event.membership()? {
        (user, MembershipState::Join) => user.server_name().as_str().parse().ok(),
        _ => None,
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "State({} events)", self.len())
    }
}
