//! A room: its events as a graph, and the state at each of them.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use ruma_common::{EventId, OwnedEventId, OwnedRoomId, RoomId};
use ruma_events::TimelineEventType;

use crate::{
    Event, State, Unauthorized, UnreadableEvent, Version,
    authorization::{check_auth_events, check_state},
    history::{Walk, auth_chain},
    log::{Beginning, Log},
    resolution::{Unresolved, resolve},
};

/// Most events that nothing stands on yet and that the next event joins: as many as one may stand on (SS "Size limits").
pub const MAX_HEADS: usize = 20;

/// Most rejected events that are kept of a room. Beyond it the oldest is forgotten, and is asked for again if something stands on it.
pub const MAX_REJECTED: usize = 500;

/// Why an event has no place in a room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// An event that it stands on is not here, or the state there is not known.
    #[error("it stands on {0}, which this server does not have")]
    MissingPrevious(OwnedEventId),
    /// The sender was not allowed to send it: check 4 or 5 on receipt.
    #[error(transparent)]
    Unauthorized(#[from] Unauthorized),
    /// An event that it cites is not here.
    #[error("it cites {0}, which this server does not have")]
    MissingAuth(OwnedEventId),
    /// The branches that it stands on could not be merged.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    /// It lacks what every event has.
    #[error(transparent)]
    Unreadable(#[from] UnreadableEvent),
}

/// An event in the graph.
#[derive(Debug)]
struct Node {
    event: Arc<Event>,
    /// Where it stands; `None` for an event that came as state or auth chain of a join, without what was before it.
    place: Option<Place>,
}

/// The state of the room around an event.
#[derive(Clone, Debug)]
struct Place {
    before: State,
    after: State,
    /// Why the room's state did not allow it any more when it came: check 6 on receipt.
    soft_failed: Option<Unauthorized>,
    /// Of an event that did not become a head: the heads that it stands on. What stands on it stands on them.
    hidden: BTreeSet<OwnedEventId>,
}

/// An event in its place.
#[derive(Clone, Debug)]
pub(crate) struct Added {
    pub(crate) event: Arc<Event>,
    /// Why this server does not build on it.
    pub(crate) soft_failed: Option<Unauthorized>,
}

/// A room as this server knows it.
#[derive(Debug)]
pub struct Room {
    id: OwnedRoomId,
    version: Version,
    create: OwnedEventId,
    events: HashMap<OwnedEventId, Node>,
    /// The rejected ones among them, the oldest first.
    rejected: VecDeque<OwnedEventId>,
    /// The events that nothing stands on yet ("forward extremities"), [`MAX_HEADS`] at most.
    heads: BTreeSet<OwnedEventId>,
    /// The state after all heads.
    state: State,
    /// Of a room that was joined: what the join stands on, and the state there.
    footing: Option<Footing>,
    /// Who is told of each new event, from when the room is one of a server's on.
    log: Option<Log>,
}

/// Events that may not be here, and the state after all of them. What was sent while a server joined stands on the same ground as its join.
#[derive(Debug)]
struct Footing {
    events: BTreeSet<OwnedEventId>,
    after: State,
}

impl Footing {
    fn is(&self, ids: &[OwnedEventId]) -> bool {
        are_same(ids, &self.events)
    }
}

/// Whether these are the same events. A peer may name one twice.
fn are_same(ids: &[OwnedEventId], set: &BTreeSet<OwnedEventId>) -> bool {
    let ids: BTreeSet<&OwnedEventId> = ids.iter().collect();
    ids.len() == set.len() && ids.into_iter().all(|id| set.contains(id))
}

impl Room {
    /// A room of nothing but its create event.
    pub(crate) fn new(id: OwnedRoomId, version: Version, create: Event) -> Result<Self, Refused> {
        check_auth_events(&version.rules.authorization, &create, None, |_| None)?;
        let mut room = Self {
            id,
            version,
            create: create.id().to_owned(),
            events: HashMap::new(),
            rejected: VecDeque::new(),
            heads: BTreeSet::new(),
            state: State::default(),
            footing: None,
            log: None,
        };
        room.place(create, State::default(), None)?;
        Ok(room)
    }

    /// A room that was joined: the events of the state and auth chain at the join, that state, and the join itself.
    ///
    /// The caller has checked each of the former against its auth events.
    pub(crate) fn joined(
        id: OwnedRoomId,
        version: Version,
        create: OwnedEventId,
        known: HashMap<OwnedEventId, Arc<Event>>,
        before: State,
        join: Event,
    ) -> Result<Self, Refused> {
        let known = known.into_iter().map(|(id, event)| {
            let node = Node { event, place: None };
            (id, node)
        });
        let mut room = Self {
            id,
            version,
            create,
            events: known.collect(),
            rejected: VecDeque::new(),
            heads: BTreeSet::new(),
            state: before.clone(),
            footing: Some(Footing {
                events: join.previous().iter().cloned().collect(),
                after: before.clone(),
            }),
            log: None,
        };
        room.check(&join, &before)?;
        room.place(join, before, None)?;
        Ok(room)
    }

    /// Tells `log` of each event from now on. A room that is new says first what it consists of.
    pub(crate) fn tell(&mut self, log: Log, is_new: bool) {
        if is_new {
            log.begun(&self.version.id, self.beginning());
        }
        self.log = Some(log);
    }

    fn beginning(&self) -> Beginning {
        let footing = self.footing.as_ref();
        let state = footing.map(|footing| &footing.after);
        let in_state = |event: &Event| {
            let key = event.state_key();
            key.is_some_and(|key| state.is_some_and(|state| state.holds(&key, event)))
        };
        let (placed, ground): (Vec<_>, Vec<_>) =
            self.events.values().partition(|node| node.place.is_some());
        let mut placed: Vec<_> = placed.into_iter().map(|node| node.event.clone()).collect();
        // Nothing but its server's own first events, each on the one before.
        placed.sort_by_key(|event| event.depth());
        let ground = ground.into_iter().map(|node| node.event.clone());
        let (state, auth_chain) = ground.partition(|event| in_state(event));
        Beginning {
            state,
            auth_chain,
            placed,
        }
    }

    /// The room's ID.
    pub fn id(&self) -> &RoomId {
        &self.id
    }

    /// The room's version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The state after all that is known.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The events that nothing stands on yet.
    pub fn heads(&self) -> impl Iterator<Item = &EventId> {
        self.heads.iter().map(AsRef::as_ref)
    }

    /// An event of the room that was not rejected.
    pub fn event(&self, id: &EventId) -> Option<&Arc<Event>> {
        self.known(id)
            .filter(|event| event.why_rejected().is_none())
    }

    /// The same, or one that was rejected: only a place in the graph.
    pub(crate) fn known(&self, id: &EventId) -> Option<&Arc<Event>> {
        self.events.get(id).map(|node| &node.event)
    }

    /// The events in the graph, in no order.
    pub(crate) fn placed(&self) -> impl Iterator<Item = &Arc<Event>> {
        let nodes = self.events.values();
        let placed = nodes.filter(|node| node.place.is_some());
        let events = placed.map(|node| &node.event);
        events.filter(|event| event.why_rejected().is_none())
    }

    /// How many events are here that were not rejected.
    pub fn len(&self) -> usize {
        self.events.len() - self.rejected.len()
    }

    /// Never: a room has a create event.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The state before an event; `None` if the event is not here, or came without what was before it.
    pub fn state_before(&self, id: &EventId) -> Option<&State> {
        Some(&self.place_of(id)?.before)
    }

    /// The auth chain of some events of the room.
    pub fn auth_chain<'a>(
        &self,
        events: impl IntoIterator<Item = &'a Arc<Event>>,
    ) -> Vec<Arc<Event>> {
        auth_chain(events, |id| self.known(id))
    }

    pub(crate) fn walk(
        &self,
        walk: &Walk,
        start: impl IntoIterator<Item = OwnedEventId>,
    ) -> Vec<Arc<Event>> {
        walk.from(start, |id| self.known(id))
    }

    /// Whether the state at all that `event` stands on is known.
    pub(crate) fn can_place(&self, event: &Event) -> bool {
        let has_place = |id: &OwnedEventId| self.place_of(id).is_some();
        self.footing_of(event.previous()).is_some() || event.previous().iter().all(has_place)
    }

    fn footing_of(&self, ids: &[OwnedEventId]) -> Option<&State> {
        let footing = self.footing.as_ref().filter(|footing| footing.is(ids))?;
        Some(&footing.after)
    }

    /// Takes an event in: checks 4 to 6 on receipt of a PDU (SS). An event that is here already is not looked at again.
    ///
    /// One that the current state does not allow any more is *soft-failed*: it stays in the graph, as others may have built on it, but
    /// this server does not build on it.
    ///
    /// # Errors
    /// [`Refused`]. The room is as it was.
    pub(crate) fn add(&mut self, event: Event) -> Result<Added, Refused> {
        if let Some(answer) = self.answer_again(event.id()) {
            return answer;
        }
        let before = self.state_after(event.previous())?;
        self.check(&event, &before)?;
        self.enter(event, before)
    }

    /// The same for an event that others have, and may have built on although nobody takes it: if check 4 or 5 fails, it is kept as
    /// *rejected* (SS "Rejection"). It changes no state and is no head, but what stands on it has a place.
    ///
    /// # Errors
    /// [`Refused`]; rejected are those that are [`Refused::Unauthorized`].
    pub(crate) fn add_or_reject(&mut self, event: Event) -> Result<Added, Refused> {
        if let Some(answer) = self.answer_again(event.id()) {
            return answer;
        }
        let before = self.state_after(event.previous())?;
        match self.check(&event, &before) {
            Ok(()) => self.enter(event, before),
            Err(refused) => {
                // One that came with a join stays what it is: the state rests on it.
                if let Refused::Unauthorized(why) = &refused
                    && self.known(event.id()).is_none()
                {
                    self.reject(event.rejected_for(why.clone()), before);
                }
                Err(refused)
            }
        }
    }

    /// What became of an event that has a place already.
    fn answer_again(&self, id: &EventId) -> Option<Result<Added, Refused>> {
        let node = self.events.get(id)?;
        let place = node.place.as_ref()?;
        Some(match node.event.why_rejected() {
            Some(why) => Err(why.clone().into()),
            None => Ok(Added {
                event: node.event.clone(),
                soft_failed: place.soft_failed.clone(),
            }),
        })
    }

    /// Checks 4 and 5.
    fn check(&self, event: &Event, before: &State) -> Result<(), Refused> {
        if *event.kind() == TimelineEventType::RoomCreate {
            return Err(Unauthorized::SecondCreate.into());
        }
        if let Some(id) = self.missing_auth(event) {
            return Err(Refused::MissingAuth(id.clone()));
        }
        self.check_cited(event)?;
        let rules = &self.version.rules.authorization;
        Ok(check_state(rules, event, before)?)
    }

    /// The first event that this one cites and that is not here.
    pub(crate) fn missing_auth<'a>(&self, event: &'a Event) -> Option<&'a OwnedEventId> {
        let mut cited = event.authorising().iter();
        cited.find(|id| self.known(id).is_none())
    }

    /// Check 4, which needs no place in the graph.
    ///
    /// # Errors
    /// [`Unauthorized`], also if an [event that it cites is not here](Self::missing_auth).
    pub(crate) fn check_cited(&self, event: &Event) -> Result<(), Unauthorized> {
        let rules = &self.version.rules.authorization;
        let create = self.event(&self.create);
        check_auth_events(rules, event, create, |id| self.known(id))
    }

    /// Checks an event of our own as others will, without taking it in.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) fn check_own(&self, event: &Event) -> Result<(), Refused> {
        let before = self.state_after(event.previous())?;
        self.check(event, &before)
    }

    /// Check 6, and the event's place.
    fn enter(&mut self, event: Event, before: State) -> Result<Added, Refused> {
        let rules = &self.version.rules.authorization;
        let current = match before.is_shared_with(&self.state) {
            true => Ok(()),
            false => check_state(rules, &event, &self.state),
        };
        let soft_failed = current.err();
        if let Some(why) = &soft_failed {
            tracing::debug!(event = %event.id(), %why, "soft-failed");
        }
        let event = self.place(event, before, soft_failed.clone())?;
        Ok(Added { event, soft_failed })
    }

    /// Puts an event into the graph, and on top of it, unless it soft-failed. One that would be a head too many waits until something
    /// joins it with the others: to drop another in its favour would take the state back to what it was before that.
    fn place(
        &mut self,
        event: Event,
        before: State,
        soft_failed: Option<Unauthorized>,
    ) -> Result<Arc<Event>, Refused> {
        let event = Arc::new(event);
        let after = before.with(&event);
        let hidden = self.heads_under(event.previous());
        let mut place = Place {
            before,
            after,
            soft_failed,
            hidden,
        };
        let others: BTreeSet<OwnedEventId> =
            self.heads.difference(&place.hidden).cloned().collect();
        if place.soft_failed.is_none() && others.len() < MAX_HEADS {
            let mut states = self.states_after(&others)?;
            states.push(place.after.clone());
            self.state = self.merge(states, Some(&event))?;
            self.heads = others;
            self.heads.insert(event.id().to_owned());
            place.hidden.clear();
        }
        self.put(event.clone(), place);
        Ok(event)
    }

    /// Keeps a rejected event.
    fn reject(&mut self, event: Event, before: State) {
        if self.rejected.len() == MAX_REJECTED
            && let Some(oldest) = self.rejected.pop_front()
        {
            self.events.remove(&oldest);
        }
        self.rejected.push_back(event.id().to_owned());
        let place = Place {
            after: before.clone(),
            before,
            soft_failed: None,
            hidden: self.heads_under(event.previous()),
        };
        self.put(Arc::new(event), place);
    }

    fn put(&mut self, event: Arc<Event>, place: Place) {
        if let Some(log) = &self.log {
            let is_seen = event.why_rejected().is_none() && place.soft_failed.is_none();
            log.added(&event, is_seen);
        }
        let (id, place) = (event.id().to_owned(), Some(place));
        self.events.insert(id, Node { event, place });
    }

    /// The heads among these events, and those that they hide: no heads any more once something stands on these events.
    fn heads_under(&self, ids: &[OwnedEventId]) -> BTreeSet<OwnedEventId> {
        let places = ids.iter().filter_map(|id| self.place_of(id));
        let hidden = places.flat_map(|place| &place.hidden);
        let under = ids.iter().chain(hidden);
        under
            .filter(|id| self.heads.contains(*id))
            .cloned()
            .collect()
    }

    fn place_of(&self, id: &EventId) -> Option<&Place> {
        self.events.get(id)?.place.as_ref()
    }

    /// The state after these events together.
    fn state_after(&self, ids: &[OwnedEventId]) -> Result<State, Refused> {
        if are_same(ids, &self.heads) {
            return Ok(self.state.clone());
        }
        if let Some(after) = self.footing_of(ids) {
            return Ok(after.clone());
        }
        self.merge(self.states_after(ids)?, None)
    }

    fn states_after<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a OwnedEventId>,
    ) -> Result<Vec<State>, Refused> {
        let states = ids.into_iter().map(|id| {
            let place = self.place_of(id);
            let place = place.ok_or_else(|| Refused::MissingPrevious(id.clone()))?;
            Ok(place.after.clone())
        });
        states.collect()
    }

    /// One state of several, which may rest on an event that is not in the graph yet.
    fn merge(&self, all: Vec<State>, new: Option<&Arc<Event>>) -> Result<State, Refused> {
        let mut states: Vec<State> = Vec::new();
        for state in all {
            // Branches of messages alone have one state.
            if !states.iter().any(|other| other.is_shared_with(&state)) {
                states.push(state);
            }
        }
        let find = |id: &EventId| new.filter(|new| new.id() == id).or_else(|| self.known(id));
        match states.as_slice() {
            [one] => Ok(one.clone()),
            _ => Ok(resolve(&self.version, &states, find)?),
        }
    }
}
