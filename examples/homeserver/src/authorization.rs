//! Whether a sender was allowed to send an event (SS "Authorization rules"), by ruma's checks.

use std::{collections::HashMap, sync::Arc};

use ruma_common::{EventId, OwnedEventId, room_version_rules::AuthorizationRules};
use ruma_events::StateEventType;
use ruma_state_res::{
    auth_types_for_event, check_state_dependent_auth_rules, check_state_independent_auth_rules,
};

use serde_json::value::RawValue;

use crate::{Draft, Event, State, StateKey};

/// An event is not allowed, and by what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthorized {
    /// Check 4 on receipt: what the event itself cites does not allow it.
    #[error("its auth events do not allow it: {0}")]
    AuthEvents(String),
    /// Check 5 on receipt: the room's state before the event does not allow it.
    #[error("the state of the room before it does not allow it: {0}")]
    State(String),
    /// A second `m.room.create`.
    #[error("a room has one m.room.create")]
    SecondCreate,
}

/// Check 4: the event against the events that it cites. `find` looks events of the room up, and knows its create event as `create`.
///
/// # Errors
/// [`Unauthorized::AuthEvents`].
pub(crate) fn check_auth_events<'a>(
    rules: &AuthorizationRules,
    event: &Event,
    create: Option<&'a Arc<Event>>,
    find: impl Fn(&EventId) -> Option<&'a Arc<Event>>,
) -> Result<(), Unauthorized> {
    check_state_independent_auth_rules(rules, event, |id| find(id))
        .map_err(Unauthorized::AuthEvents)?;
    let mut cited: HashMap<StateKey, &Arc<Event>> = event
        .authorising()
        .iter()
        .filter_map(|id| find(id))
        .filter_map(|event| Some((event.state_key()?, event)))
        .collect();
    // From room version 12 on, the room's ID stands for the create event and nothing cites it.
    if let Some(create) = create.filter(|_| rules.room_create_event_id_as_room_id) {
        cited.insert((StateEventType::RoomCreate, String::new()), create);
    }
    check_state_dependent_auth_rules(rules, event, |kind, key| {
        cited.get(&(kind.clone(), key.to_owned())).copied()
    })
    .map_err(Unauthorized::AuthEvents)
}

/// Checks 5 and 6: the event against a state of the room, the one before it or the current one.
///
/// # Errors
/// [`Unauthorized::State`].
pub(crate) fn check_state(
    rules: &AuthorizationRules,
    event: &Event,
    state: &State,
) -> Result<(), Unauthorized> {
    check_state_dependent_auth_rules(rules, event, |kind, key| state.get(kind, key))
        .map_err(Unauthorized::State)
}

/// The IDs of the events that a new event has to cite (SS "Auth events selection").
///
/// # Errors
/// The draft's content is malformed.
pub(crate) fn select_auth_events(
    rules: &AuthorizationRules,
    draft: &Draft,
    state: &State,
) -> Result<Vec<OwnedEventId>, Unauthorized> {
    let malformed = |why: String| Unauthorized::AuthEvents(why);
    let content: &RawValue = serde_json::from_slice(draft.content.text())
        .map_err(|error| malformed(error.to_string()))?;
    let kind = draft.kind.as_str().into();
    let key = draft.state_key.as_deref();
    let types =
        auth_types_for_event(&kind, &draft.sender, key, content, rules).map_err(malformed)?;
    Ok(types
        .iter()
        .filter_map(|(kind, key)| Some(state.get(kind, key)?.id().to_owned()))
        .collect())
}
