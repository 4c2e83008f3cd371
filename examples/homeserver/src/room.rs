//! A room: its events as a graph, and the state at each of them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use comity_core::{
    ServerName,
    auth::SigningKey,
    event::{Pdu, room_version::EventError, sign_event},
    json::{Object, ObjectWriter},
};
use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};
use ruma_events::{StateEventType, TimelineEventType};

use crate::{
    Event, State, Unauthorized, UnreadableEvent, Version,
    authorization::{check_auth_events, check_state, select_auth_events},
    history::{Walk, auth_chain},
    resolution::{Unresolved, resolve},
};

/// Most events that one may stand on (SS "Size limits").
const MAX_PREVIOUS: usize = 20;

/// Greatest depth, the greatest integer of canonical JSON.
const MAX_DEPTH: i64 = (1 << 53) - 1;

/// What a user wants to send, before it has a place in the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The event's type.
    pub kind: String,
    /// Who sends it.
    pub sender: OwnedUserId,
    /// For a state event.
    pub state_key: Option<String>,
    /// The content.
    pub content: Object,
}

/// Why an event has no place in a room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// An event that it stands on is not here, or the state there is not known.
    #[error("it stands on {0}, which this server does not have")]
    MissingPrevious(OwnedEventId),
    /// The sender was not allowed to send it.
    #[error(transparent)]
    Unauthorized(#[from] Unauthorized),
    /// A second `m.room.create`.
    #[error("a room has one m.room.create")]
    SecondCreate,
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
}

/// A room as this server knows it. Events that were refused are not in it.
#[derive(Debug)]
pub struct Room {
    id: OwnedRoomId,
    version: Version,
    create: OwnedEventId,
    events: HashMap<OwnedEventId, Node>,
    /// The events that nothing stands on yet ("forward extremities").
    heads: BTreeSet<OwnedEventId>,
    /// The state after all heads.
    state: State,
    /// Of a room that was joined: what the join stands on, and the state there.
    footing: Option<Footing>,
}

/// Events that may not be here, and the state after all of them. What was sent while a server joined stands on the same ground as its join.
#[derive(Debug)]
struct Footing {
    events: BTreeSet<OwnedEventId>,
    after: State,
}

impl Footing {
    fn is(&self, ids: &[OwnedEventId]) -> bool {
        ids.len() == self.events.len() && ids.iter().all(|id| self.events.contains(id))
    }
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
            heads: BTreeSet::new(),
            state: State::default(),
            footing: None,
        };
        room.place(Arc::new(create), State::default(), true)?;
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
            heads: BTreeSet::new(),
            state: before.clone(),
            footing: Some(Footing {
                events: join.previous().iter().cloned().collect(),
                after: before.clone(),
            }),
        };
        room.check(&join, &before)?;
        room.place(Arc::new(join), before, true)?;
        Ok(room)
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

    /// An event of the room.
    pub fn event(&self, id: &EventId) -> Option<&Arc<Event>> {
        self.events.get(id).map(|node| &node.event)
    }

    /// How many events are here.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Never: a room has a create event.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The state before an event; `None` if the event is not here, or came without what was before it.
    pub fn state_before(&self, id: &EventId) -> Option<&State> {
        Some(&self.events.get(id)?.place.as_ref()?.before)
    }

    /// The auth chain of some events of the room.
    pub fn auth_chain<'a>(
        &self,
        events: impl IntoIterator<Item = &'a Arc<Event>>,
    ) -> Vec<Arc<Event>> {
        auth_chain(events, |id| self.event(id))
    }

    pub(crate) fn walk(
        &self,
        walk: &Walk,
        start: impl IntoIterator<Item = OwnedEventId>,
    ) -> Vec<Arc<Event>> {
        walk.from(start, |id| self.event(id))
    }

    /// Whether the state at all that `event` stands on is known.
    pub(crate) fn can_place(&self, event: &Event) -> bool {
        let has_place = |id| {
            let node: Option<&Node> = self.events.get(id);
            node.is_some_and(|node| node.place.is_some())
        };
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
    pub(crate) fn add(&mut self, event: Event) -> Result<Arc<Event>, Refused> {
        if let Some(node) = self.events.get(event.id())
            && node.place.is_some()
        {
            return Ok(node.event.clone());
        }
        if *event.kind() == TimelineEventType::RoomCreate {
            return Err(Refused::SecondCreate);
        }
        let before = self.state_after(event.previous())?;
        self.check(&event, &before)?;
        let rules = &self.version.rules.authorization;
        let current = match before.is_shared_with(&self.state) {
            true => Ok(()),
            false => check_state(rules, &event, &self.state),
        };
        let is_head = match current {
            Ok(()) => true,
            Err(why) => {
                tracing::debug!(event = %event.id(), %why, "soft-failed");
                false
            }
        };
        let event = Arc::new(event);
        self.place(event.clone(), before, is_head)?;
        Ok(event)
    }

    /// Checks 4 and 5.
    fn check(&self, event: &Event, before: &State) -> Result<(), Unauthorized> {
        let rules = &self.version.rules.authorization;
        let create = self.event(&self.create);
        check_auth_events(rules, event, create, |id| self.event(id))?;
        check_state(rules, event, before)
    }

    /// Checks an event of our own as others will, without taking it in.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) fn check_own(&self, event: &Event) -> Result<(), Refused> {
        let before = self.state_after(event.previous())?;
        Ok(self.check(event, &before)?)
    }

    /// Checks what a user of another server would send, before it is signed.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) fn check_template(&self, unsigned: &Object) -> Result<(), Refused> {
        let pdu = Pdu::judge(unsigned.to_value()).map_err(|_| UnreadableEvent("content"))?;
        // Its ID will be the hash of what it becomes, and is not looked at.
        self.check_own(&Event::read("$template", pdu)?)
    }

    fn place(&mut self, event: Arc<Event>, before: State, is_head: bool) -> Result<(), Refused> {
        let after = before.with(&event);
        let id = event.id().to_owned();
        let mut heads = self.heads.clone();
        if is_head {
            for previous in event.previous() {
                heads.remove(previous);
            }
            heads.insert(id.clone());
        }
        let place = Some(Place {
            before,
            after: after.clone(),
        });
        let replaced = self.events.insert(id.clone(), Node { event, place });
        let state = if !is_head {
            Ok(self.state.clone())
        } else if heads.len() == 1 {
            Ok(after)
        } else {
            self.merge(&heads)
        };
        match state {
            Ok(state) => {
                self.state = state;
                self.heads = heads;
                Ok(())
            }
            Err(error) => {
                match replaced {
                    Some(node) => self.events.insert(id, node),
                    None => self.events.remove(&id),
                };
                Err(error)
            }
        }
    }

    /// The state after these events together.
    fn state_after(&self, ids: &[OwnedEventId]) -> Result<State, Refused> {
        if ids.len() == self.heads.len() && ids.iter().all(|id| self.heads.contains(id)) {
            return Ok(self.state.clone());
        }
        if let Some(after) = self.footing_of(ids) {
            return Ok(after.clone());
        }
        self.merge(ids)
    }

    fn merge<'a>(&self, ids: impl IntoIterator<Item = &'a OwnedEventId>) -> Result<State, Refused> {
        let mut states: Vec<State> = Vec::new();
        for id in ids {
            let place = self.events.get(id).and_then(|node| node.place.as_ref());
            let after = &place
                .ok_or_else(|| Refused::MissingPrevious(id.clone()))?
                .after;
            // Branches of messages alone have one state.
            if !states.iter().any(|state| state.is_shared_with(after)) {
                states.push(after.clone());
            }
        }
        match states.as_slice() {
            [one] => Ok(one.clone()),
            _ => Ok(resolve(&self.version, &states, |id| self.event(id))?),
        }
    }

    /// The event that `draft` becomes on top of the room, without hashes and signatures.
    ///
    /// # Errors
    /// [`Refused`] if the draft's content is malformed.
    pub(crate) fn compose(&self, draft: &Draft, now: i64) -> Result<Object, Refused> {
        // More heads than fit are joined by the events after this one.
        let mut heads: Vec<&Arc<Event>> =
            self.heads.iter().filter_map(|id| self.event(id)).collect();
        heads.sort_by_key(|event| std::cmp::Reverse(event.depth()));
        heads.truncate(MAX_PREVIOUS);
        let depth = heads.first().map_or(0, |event| event.depth());
        let previous: Vec<OwnedEventId> = heads.iter().map(|event| event.id().to_owned()).collect();
        let before = self.state_after(&previous)?;
        let cited = select_auth_events(&self.version.rules.authorization, draft, &before)?;
        let mut event = ObjectWriter::new();
        event
            .string("room_id", self.id.as_str())
            .string("type", &draft.kind)
            .string("sender", draft.sender.as_str())
            .string_opt("state_key", draft.state_key.as_deref())
            .value("content", &draft.content.to_value())
            .strings("prev_events", &previous)
            .strings("auth_events", &cited)
            .integer("depth", depth.saturating_add(1).min(MAX_DEPTH))
            .integer("origin_server_ts", now);
        Ok(event.into_object())
    }

    /// Makes, signs and takes in an event of one of our users.
    ///
    /// # Errors
    /// The event cannot be signed, or the user may not send it.
    pub(crate) fn append(
        &mut self,
        draft: &Draft,
        server: &ServerName,
        key: &SigningKey,
        now: i64,
    ) -> Result<Arc<Event>, AppendError> {
        let event = self.sign(draft, server, key, now)?;
        Ok(self.add(event)?)
    }

    /// Makes and signs an event, and leaves the room as it is.
    ///
    /// # Errors
    /// The event cannot be signed.
    pub(crate) fn sign(
        &self,
        draft: &Draft,
        server: &ServerName,
        key: &SigningKey,
        now: i64,
    ) -> Result<Event, AppendError> {
        let unsigned = self.compose(draft, now)?;
        let (id, pdu) = sign_event(&*self.version.format, &unsigned, server, key)?;
        Ok(Event::read(&id, pdu).map_err(Refused::from)?)
    }

    /// The state that an invited user is shown (SS "Inviting to a room"): what names the room, the create event first.
    pub(crate) fn invite_state(&self) -> Vec<Arc<Event>> {
        const SHOWN: [StateEventType; 7] = [
            StateEventType::RoomCreate,
            StateEventType::RoomJoinRules,
            StateEventType::RoomName,
            StateEventType::RoomTopic,
            StateEventType::RoomAvatar,
            StateEventType::RoomCanonicalAlias,
            StateEventType::RoomEncryption,
        ];
        let shown = SHOWN.iter().filter_map(|kind| self.state.get(kind, ""));
        shown.cloned().collect()
    }
}

/// An event of our own has no place in a room.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// It cannot be signed: too large, or not in the form that the room version asks for.
    #[error(transparent)]
    Form(#[from] EventError),
    /// The user may not send it.
    #[error(transparent)]
    Refused(#[from] Refused),
}
