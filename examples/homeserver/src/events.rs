//! Events and state that other servers pull.
//!
//! Only servers in the room are answered; of what it was before they came, `m.room.history_visibility` hides nothing here.

use std::sync::Arc;

use async_trait::async_trait;
use comity_core::{
    api::{
        Backfill, BackfillMembers, BackfillReply, Events, GetEvent, GetEventAuth,
        GetEventAuthReply, GetEventByTimestamp, GetEventByTimestampReply, GetEventReply,
        GetMissingEvents, GetMissingEventsReply, GetState, GetStateIds, GetStateIdsReply,
        GetStateReply, NoMembers,
    },
    auth::now_ms,
    call::{Authenticated, EventReply},
    error::FederationError,
    event::Pdu,
    json::Members,
};
use ruma_common::{EventId, OwnedEventId};

use crate::{Event, Homeserver, Room, history::Walk, homeserver::lock};

/// Most events in one answer to `Backfill` and `GetMissingEvents`.
pub const MAX_WALK: usize = 100;

/// Events in the answer to `GetMissingEvents` if the caller names no limit (SS).
const DEFAULT_MISSING: i64 = 10;

/// The events of an array of a streamed reply, given away one by one.
pub(crate) type Array<T> = Box<dyn Iterator<Item = T> + Send>;

pub(crate) fn pdus(events: Vec<Arc<Event>>) -> Array<Pdu> {
    Box::new(events.into_iter().map(|event| event.pdu().clone()))
}

fn ids(events: Vec<Arc<Event>>) -> Array<String> {
    Box::new(events.into_iter().map(|event| event.id().to_string()))
}

/// The state before an event, and the auth chain of it and of one event more.
pub(crate) struct Snapshot {
    pub(crate) state: Vec<Arc<Event>>,
    pub(crate) auth_chain: Vec<Arc<Event>>,
}

impl Snapshot {
    pub(crate) fn before(room: &Room, id: &EventId, more: Option<&Arc<Event>>) -> Option<Self> {
        let mut state: Vec<_> = room.state_before(id)?.events().cloned().collect();
        // What others build on comes first.
        state.sort_by_key(|event| event.depth());
        let auth_chain = room.auth_chain(state.iter().chain(more));
        Some(Self { state, auth_chain })
    }
}

impl Homeserver {
    fn snapshot(
        &self,
        cx: &Authenticated,
        room_id: &str,
        event_id: &str,
    ) -> Result<Snapshot, FederationError> {
        let room = self.room_shared_with(cx.origin(), room_id)?;
        let id = known_id(event_id)?;
        let snapshot = Snapshot::before(&lock(&room), &id, None);
        snapshot.ok_or_else(|| no_event(event_id))
    }
}

fn known_id(id: &str) -> Result<OwnedEventId, FederationError> {
    EventId::parse(id).map_err(|_| no_event(id))
}

fn no_event(id: &str) -> FederationError {
    FederationError::not_found(format!("this server has no event {id:?} there"))
}

fn at_most(limit: i64) -> usize {
    usize::try_from(limit).unwrap_or(0).min(MAX_WALK)
}

fn parse_all(ids: &[String]) -> impl Iterator<Item = OwnedEventId> {
    // An ID that is none is of no event here.
    ids.iter().filter_map(|id| EventId::parse(id).ok())
}

#[async_trait]
impl Events for Homeserver {
    async fn get_event(
        &self,
        cx: &Authenticated,
        request: GetEvent,
    ) -> Result<GetEventReply, FederationError> {
        let id = known_id(&request.event_id)?;
        let (room, event) = self
            .find_event(&id)
            .ok_or_else(|| no_event(&request.event_id))?;
        self.room_shared_with(cx.origin(), room.as_str())?;
        Ok(GetEventReply::new(
            self.name(),
            now_ms(),
            event.pdu().clone(),
        ))
    }

    async fn get_state(
        &self,
        cx: &Authenticated,
        request: GetState,
    ) -> Result<GetStateReply, FederationError> {
        let snapshot = self.snapshot(cx, &request.room_id, &request.event_id)?;
        let arrays = vec![
            ("auth_chain", pdus(snapshot.auth_chain)),
            ("pdus", pdus(snapshot.state)),
        ];
        Ok(EventReply::new(arrays, NoMembers::default()))
    }

    async fn get_state_ids(
        &self,
        cx: &Authenticated,
        request: GetStateIds,
    ) -> Result<GetStateIdsReply, FederationError> {
        let snapshot = self.snapshot(cx, &request.room_id, &request.event_id)?;
        let arrays = vec![
            ("auth_chain_ids", ids(snapshot.auth_chain)),
            ("pdu_ids", ids(snapshot.state)),
        ];
        Ok(EventReply::new(arrays, NoMembers::default()))
    }

    async fn get_event_auth(
        &self,
        cx: &Authenticated,
        request: GetEventAuth,
    ) -> Result<GetEventAuthReply, FederationError> {
        let room = self.room_shared_with(cx.origin(), &request.room_id)?;
        let id = known_id(&request.event_id)?;
        let room = lock(&room);
        let event = room.event(&id).ok_or_else(|| no_event(&request.event_id))?;
        let arrays = vec![("auth_chain", pdus(room.auth_chain([event])))];
        Ok(EventReply::new(arrays, NoMembers::default()))
    }

    async fn backfill(
        &self,
        cx: &Authenticated,
        request: Backfill,
    ) -> Result<BackfillReply, FederationError> {
        let room = self.room_shared_with(cx.origin(), &request.room_id)?;
        let walk = Walk {
            stop: Default::default(),
            min_depth: 0,
            limit: at_most(request.limit),
        };
        let events = lock(&room).walk(&walk, parse_all(&request.from));
        let members = BackfillMembers {
            origin: Some(self.name().to_string()),
            origin_server_ts: Some(now_ms()),
            extra: Members::new(),
        };
        Ok(EventReply::new(vec![("pdus", pdus(events))], members))
    }

    async fn get_missing_events(
        &self,
        cx: &Authenticated,
        request: GetMissingEvents,
    ) -> Result<GetMissingEventsReply, FederationError> {
        let room = self.room_shared_with(cx.origin(), &request.room_id)?;
        let walk = Walk {
            stop: parse_all(&request.earliest_events)
                .chain(parse_all(&request.latest_events))
                .collect(),
            min_depth: request.min_depth.unwrap_or(0),
            limit: at_most(request.limit.unwrap_or(DEFAULT_MISSING)),
        };
        let room = lock(&room);
        // The caller has the latest events: the walk begins before them.
        let start = parse_all(&request.latest_events)
            .filter_map(|id| room.known(&id))
            .flat_map(|event| event.previous().to_vec());
        let events = room.walk(&walk, start.collect::<Vec<_>>());
        Ok(GetMissingEventsReply::new(
            events.iter().map(|event| event.pdu().clone()),
        ))
    }

    async fn get_event_by_timestamp(
        &self,
        cx: &Authenticated,
        request: GetEventByTimestamp,
    ) -> Result<GetEventByTimestampReply, FederationError> {
        let room = self.room_shared_with(cx.origin(), &request.room_id)?;
        let room = lock(&room);
        let event = room.closest(request.timestamp, request.direction);
        let event = event
            .ok_or_else(|| FederationError::not_found("this server has no event on that side"))?;
        Ok(GetEventByTimestampReply {
            event_id: event.id().to_string(),
            origin_server_ts: event.pdu().origin_server_ts().unwrap_or(0),
            extra: Members::new(),
        })
    }
}
