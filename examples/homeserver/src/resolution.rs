//! The state where branches of a room's graph meet (SS "Room state resolution"), by ruma's implementation.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma_common::{EventId, OwnedEventId};
use ruma_state_res::{StateMap, utils::event_id_set::EventIdSet};

use crate::{Event, State, StateKey, Version, history::auth_chain};

/// State resolution failed: an event that the states rest on is not here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state of the room could not be resolved: {0}")]
pub struct Unresolved(String);

/// Merges states of one room. `find` looks its events up.
///
/// Costs a pass over each state, over the auth chain of what they have in common, and over what else is below each of them. The result shares with the first state what they agree on.
///
/// # Errors
/// [`Unresolved`].
pub(crate) fn resolve<'a>(
    version: &Version,
    states: &[State],
    find: impl Fn(&EventId) -> Option<&'a Arc<Event>>,
) -> Result<State, Unresolved> {
    let Some(first) = states.first() else {
        return Ok(State::default());
    };
    let rules = version.rules.state_res.v2_rules();
    let rules = rules.ok_or_else(|| Unresolved("the version is older than 2".to_owned()))?;
    let maps: Vec<StateMap<OwnedEventId>> = states
        .iter()
        .map(|state| {
            let ids = state.iter();
            ids.map(|(key, event)| (key.clone(), event.id().to_owned()))
                .collect()
        })
        .collect();
    // What all states have is in each of their chains, and makes no difference: only what is below the rest is walked for each.
    let is_common =
        |key: &StateKey, event: &Event| states.iter().all(|state| state.holds(key, event));
    let common = first.iter().filter(|(key, event)| is_common(key, event));
    let shared = auth_chain(common.map(|(_, event)| event), &find);
    let shared: HashSet<&EventId> = shared.iter().map(|event| event.id()).collect();
    let find_own = |id: &EventId| find(id).filter(|event| !shared.contains(event.id()));
    let chains = states
        .iter()
        .map(|state| {
            let own = state.iter().filter(|(key, event)| !is_common(key, event));
            let chain = auth_chain(own.map(|(_, event)| event), find_own);
            chain.iter().map(|event| event.id().to_owned()).collect()
        })
        .collect();
    let resolved = ruma_state_res::resolve(
        &version.rules.authorization,
        rules,
        &maps,
        chains,
        &find,
        |conflicted| Some(subgraph(conflicted.values().flatten(), &find)),
    )
    .map_err(|error| Unresolved(error.to_string()))?;

    let mut state = first.clone();
    for (key, event) in first.iter() {
        if resolved.get(key).is_none_or(|id| id != event.id()) {
            state.remove(key);
        }
    }
    for ((kind, key), id) in &resolved {
        if state.get(kind, key).is_none() {
            let event = find(id).ok_or_else(|| Unresolved(format!("{id} is not here")))?;
            state.insert(event);
        }
    }
    Ok(state)
}

/// The conflicted state subgraph (room version 12): the conflicted events, and every event that lies between two of them on a way
/// along auth events.
fn subgraph<'a, 'b>(
    conflicted: impl Iterator<Item = &'b OwnedEventId>,
    find: impl Fn(&EventId) -> Option<&'a Arc<Event>>,
) -> EventIdSet<OwnedEventId> {
    let conflicted: Vec<&Arc<Event>> = conflicted.filter_map(|id| find(id)).collect();
    let below = auth_chain(conflicted.iter().copied(), &find);
    // Who cites whom, among the conflicted events and what lies below them; then upwards from the conflicted ones.
    let mut citing: HashMap<&EventId, Vec<&Arc<Event>>> = HashMap::new();
    for event in conflicted.iter().copied().chain(&below) {
        for cited in event.authorising() {
            citing.entry(cited).or_default().push(event);
        }
    }
    let mut found: EventIdSet<OwnedEventId> = EventIdSet::new();
    let mut left = conflicted;
    while let Some(event) = left.pop() {
        if found.insert(event.id().to_owned()) {
            left.extend(citing.get(event.id()).into_iter().flatten());
        }
    }
    found
}
