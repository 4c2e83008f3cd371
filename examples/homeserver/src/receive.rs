//! An event of another server, from its arrival to its place in the room (SS "Checks performed on receipt of a PDU").

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use comity_core::{
    ServerName,
    api::{Calls, GetMissingEvents, PduResult},
    endpoint::Query,
    event::{
        EventKeys, KeyLimits, Pdu, Receipt, Refusal, check_event, check_past_event,
        fetch_event_keys, needed_keys, room_version::RoomVersion,
    },
    json::Members,
};
use ruma_common::RoomId;

use crate::{Event, Homeserver, Room, Version, homeserver::lock};

/// Most events that are asked for when one arrives whose predecessors are not here.
pub const MAX_MISSING: usize = 100;

/// [`check_event`] or [`check_past_event`].
pub(crate) type Check = fn(&dyn RoomVersion, &Pdu, &dyn EventKeys) -> Result<Receipt, Refusal>;

impl Homeserver {
    /// Takes in the events of a transaction, one after the other, and says what became of each by its ID.
    ///
    /// Events of rooms that are not here are passed over: without the room's version they have no ID.
    pub(crate) async fn receive(
        &self,
        origin: &ServerName,
        pdus: Vec<Pdu>,
    ) -> BTreeMap<String, PduResult> {
        let mut results = BTreeMap::new();
        for pdu in pdus {
            let room_id = pdu.room_id().and_then(|id| RoomId::parse(id).ok());
            let Some(room) = room_id.and_then(|id| self.room(&id)) else {
                tracing::debug!(%origin, room = ?pdu.room_id(), "event of an unknown room");
                continue;
            };
            let version = lock(&room).version().clone();
            // What cannot even be redacted has no ID, and so no result.
            let Ok(id) = version.format.event_id(pdu.object()) else {
                continue;
            };
            let error = match self.take_in(origin, &room, &version, pdu).await {
                Ok(()) => None,
                Err(why) => {
                    tracing::debug!(%origin, id, why, "event refused");
                    Some(why)
                }
            };
            results.insert(id, PduResult { error });
        }
        results
    }

    async fn take_in(
        &self,
        origin: &ServerName,
        room: &Arc<Mutex<Room>>,
        version: &Version,
        pdu: Pdu,
    ) -> Result<(), String> {
        let mut checked = self.check(version, vec![pdu], check_event).await;
        let event = checked.pop().expect("one event gives one result")?;
        if !lock(room).can_place(&event) {
            self.fetch_missing(origin, room, version, &event).await;
        }
        let added = lock(room).add(event);
        added.map(drop).map_err(|refused| refused.to_string())
    }

    /// Checks 1 to 3 for each event: format, signatures, hash. One with a wrong hash goes on redacted. The keys are fetched before, for
    /// all together.
    pub(crate) async fn check(
        &self,
        version: &Version,
        pdus: Vec<Pdu>,
        check: Check,
    ) -> Vec<Result<Event, String>> {
        let needed = needed_keys(&*version.format, &pdus);
        let keys = fetch_event_keys(&*self.keys, needed, KeyLimits::default()).await;
        let checked = pdus.into_iter().map(|pdu| {
            let receipt = check(&*version.format, &pdu, &keys);
            let (id, pdu) = match receipt.map_err(|refusal| refusal.to_string())? {
                Receipt::Good { event_id } => (event_id, pdu),
                Receipt::Redacted { event_id, event } => (event_id, event),
                Receipt::Unverifiable { why, .. } => return Err(why.to_string()),
            };
            Event::read(&id, pdu).map_err(|error| error.to_string())
        });
        checked.collect()
    }

    /// Asks `origin` for what lies between the room as it is here and `event`, and takes in what it gives. One question for each event;
    /// what is missing after that stays missing.
    async fn fetch_missing(
        &self,
        origin: &ServerName,
        room: &Arc<Mutex<Room>>,
        version: &Version,
        event: &Event,
    ) {
        let (room_id, request) = {
            let room = lock(room);
            let request = GetMissingEvents {
                room_id: room.id().to_string(),
                earliest_events: room.heads().map(ToString::to_string).collect(),
                latest_events: vec![event.id().to_string()],
                limit: Some(MAX_MISSING as i64),
                min_depth: None,
                extra: Members::new(),
                extra_query: Query::default(),
            };
            (room.id().to_string(), request)
        };
        let reply = match self.client.get_missing_events(origin, request).await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::debug!(%origin, %error, "missing events not fetched");
                return;
            }
        };
        let pdus = reply.events.into_iter().take(MAX_MISSING);
        let pdus = pdus.filter_map(Result::ok);
        let pdus = pdus.filter(|pdu| pdu.room_id().as_deref() == Some(&*room_id));
        let checked = self.check(version, pdus.collect(), check_past_event).await;
        let mut left: Vec<Event> = checked.into_iter().filter_map(Result::ok).collect();
        // They come in no particular order: take in what stands on known ground until nothing more does.
        loop {
            let mut room = lock(room);
            let (ready, rest): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|event| room.can_place(event));
            if ready.is_empty() {
                return;
            }
            for event in ready {
                let id = event.id().to_owned();
                if let Err(why) = room.add(event) {
                    tracing::debug!(%origin, %id, %why, "missing event refused");
                }
            }
            left = rest;
        }
    }
}
