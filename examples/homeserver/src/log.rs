//! Who is told when a room has an event more: the disk, and whoever watches the server.

use std::{fmt, sync::Arc};

use ruma_common::OwnedRoomId;
use tokio::sync::broadcast;

use crate::{
    Event,
    journal::Journal,
    storage::{put_event, put_room},
};

/// Events that wait for a watcher that is slow. Beyond it, the watcher misses the oldest.
pub(crate) const MAX_UNSEEN: usize = 1_000;

/// An event that has come to stand in a room.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The event: one of our own users too.
    pub event: Arc<Event>,
}

/// What a room tells of its events.
#[derive(Clone)]
pub(crate) struct Log {
    room_id: OwnedRoomId,
    journal: Option<Arc<Journal>>,
    watchers: broadcast::Sender<Arrival>,
}

impl Log {
    /// `journal` is absent of a server that keeps nothing on disk.
    pub(crate) fn new(
        room_id: OwnedRoomId,
        journal: Option<Arc<Journal>>,
        watchers: broadcast::Sender<Arrival>,
    ) -> Self {
        Self {
            room_id,
            journal,
            watchers,
        }
    }

    /// A room was made or joined, of these events.
    pub(crate) fn begun(&self, version: &str, beginning: Beginning) {
        for event in &beginning.placed {
            self.tell(event);
        }
        if let Some(journal) = &self.journal {
            journal.record(put_room(self.room_id.clone(), version, beginning));
        }
    }

    /// An event has a place in the room's graph. Watchers are told of those only that stand in the room for its users.
    pub(crate) fn added(&self, event: &Arc<Event>, is_seen: bool) {
        if is_seen {
            self.tell(event);
        }
        if let Some(journal) = &self.journal {
            journal.record(put_event(self.room_id.clone(), event.clone()));
        }
    }

    fn tell(&self, event: &Arc<Event>) {
        // Nobody may be watching.
        let _ = self.watchers.send(Arrival {
            room_id: self.room_id.clone(),
            event: event.clone(),
        });
    }
}

/// What a room consists of when it was just made.
pub(crate) struct Beginning {
    /// The events that came with a join: the state before it, and what else was in the auth chain.
    pub(crate) state: Vec<Arc<Event>>,
    pub(crate) auth_chain: Vec<Arc<Event>>,
    /// The events in the graph, in order: the join, or all from the create event on.
    pub(crate) placed: Vec<Arc<Event>>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}
