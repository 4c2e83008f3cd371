//! The rooms of a server: the state that a join gets, the history that a backfill gets.

use std::sync::Arc;

use comity_core::event::Pdu;

use super::{
    content::{self, Kind},
    plan::{HISTORY, POOL, pool_of, room_of},
};
use crate::model::Scenario;

/// The events of the rooms, made once. Of a room with more events than the pool has, they come round and round: making each anew would cost more than sending it, and no transport profits from
/// the repetition, as none compresses or compares.
#[derive(Clone, Debug)]
pub(crate) struct Rooms {
    state: Arc<[Pdu]>,
    history: Arc<[Pdu]>,
}

impl Rooms {
    /// Those that a scenario asks for.
    pub(crate) fn of(seed: u64, scenario: Scenario) -> Self {
        let history = if scenario == Scenario::Backfill {
            HISTORY
        } else {
            0
        };
        Self::sized(seed, room_of(scenario).map_or(0, pool_of), history)
    }

    /// Those that any scenario asks for.
    #[cfg(feature = "peers")]
    pub(crate) fn all(seed: u64) -> Self {
        Self::sized(seed, POOL, HISTORY)
    }

    /// None, for a side that is asked for nothing.
    #[cfg(feature = "peers")]
    pub(crate) fn none() -> Self {
        Self::sized(0, 0, 0)
    }

    fn sized(seed: u64, state: usize, history: usize) -> Self {
        debug_assert!(state <= POOL);
        Self {
            state: content::events(seed, Kind::Membership, state),
            history: content::events(seed, Kind::Message, history),
        }
    }

    /// The auth chain and the state of a room, whose ID says how many state events it has. None: there is no such room.
    pub(crate) fn room(
        &self,
        room_id: &str,
    ) -> Option<(
        impl Iterator<Item = Pdu> + Send + use<>,
        impl Iterator<Item = Pdu> + Send + use<>,
    )> {
        let number = room_id.strip_prefix('!')?;
        let state: u64 = number.split(':').next()?.parse().ok()?;
        if state > 1_000_000 || self.state.is_empty() {
            return None;
        }
        let chain = auth_chain(state);
        let pool = &self.state;
        Some((round(pool, 0, chain), round(pool, chain, state)))
    }

    /// Events of the history: which is the first is said by the one to walk back from. None: there is no such event.
    pub(crate) fn history(
        &self,
        from: &str,
        limit: i64,
    ) -> Option<impl Iterator<Item = Pdu> + Send + use<>> {
        let first: u64 = from.strip_prefix('$')?.parse().ok()?;
        if self.history.is_empty() {
            return None;
        }
        let (first, count) = (first % HISTORY as u64, limit.clamp(0, 100));
        Some(round(&self.history, first, count as u64))
    }
}

/// Events in the auth chain of a room of so many state events. They come first.
pub(crate) const fn auth_chain(state: u64) -> u64 {
    state / 10
}

/// `count` events of a pool from number `first` on, round and round.
fn round(pool: &Arc<[Pdu]>, first: u64, count: u64) -> impl Iterator<Item = Pdu> + Send + use<> {
    let pool = pool.clone();
    (first..first + count).map(move |number| pool[(number % pool.len() as u64) as usize].clone())
}
