//! An event of another server, from its arrival to its place in the room (SS "Checks performed on receipt of a PDU").

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
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
use ruma_common::{OwnedEventId, OwnedRoomId, RoomId};

use crate::{Event, Homeserver, MAX_HEADS, Room, Version, homeserver::lock};

/// Most events that are asked for when one arrives whose predecessors are not here.
pub const MAX_MISSING: usize = 500;

/// Most questions in which they are asked for.
pub const MAX_QUESTIONS: usize = 25;

/// Most servers whose keys are fetched for one transaction, and for what is asked for because of it.
pub const MAX_SIGNERS: usize = 40;

/// What one transaction has made this server ask others, which is bounded: a peer sends little, and should not cause much.
#[derive(Default)]
struct Asked {
    /// The servers whose keys were needed.
    signers: BTreeSet<ServerName>,
    /// The rooms whose missing events were asked for, once each.
    rooms: BTreeSet<OwnedRoomId>,
}

impl Asked {
    /// Whether the keys for this event may be fetched.
    fn admit_signers(&mut self, version: &Version, pdu: &Pdu) -> bool {
        // Where it leaves open who has to sign it, it is refused for that, and no key is needed.
        let signers = version.format.required_signers(pdu).unwrap_or_default();
        let new = signers.difference(&self.signers).count();
        let admitted = self.signers.len() + new <= MAX_SIGNERS;
        if admitted {
            self.signers.extend(signers);
        }
        admitted
    }
}

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
        let mut asked = Asked::default();
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
            let error = match self.take_in(origin, &room, &version, pdu, &mut asked).await {
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
        asked: &mut Asked,
    ) -> Result<(), String> {
        if !asked.admit_signers(version, &pdu) {
            return Err(format!(
                "with it, the transaction is signed by more servers than this server's limit of {MAX_SIGNERS}"
            ));
        }
        let mut checked = self.check(version, vec![pdu], check_event).await;
        let event = checked.pop().expect("one event gives one result")?;
        if may_ask(&lock(room), origin, &event)? {
            self.fetch_missing(origin, room, version, &event, asked)
                .await;
        }
        let added = lock(room).add_or_reject(event);
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

    /// Asks `origin` for what lies between the room as it is here and `event`, and takes in what it gives. Servers give as few as twenty at
    /// a time, the latest ones, so it is asked for what is below those as well: as long as it gives something new, and so often at most. Once
    /// for each room and transaction; what is missing after that stays missing.
    async fn fetch_missing(
        &self,
        origin: &ServerName,
        room: &Arc<Mutex<Room>>,
        version: &Version,
        event: &Event,
        asked: &mut Asked,
    ) {
        let room_id = lock(room).id().to_owned();
        if !asked.rooms.insert(room_id.clone()) {
            return;
        }
        let mut found: HashMap<OwnedEventId, Event> = HashMap::new();
        let mut latest = vec![event.id().to_string()];
        for _ in 0..MAX_QUESTIONS {
            let request = GetMissingEvents {
                room_id: room_id.to_string(),
                earliest_events: lock(room).heads().map(ToString::to_string).collect(),
                latest_events: latest,
                limit: Some((MAX_MISSING - found.len()) as i64),
                min_depth: None,
                extra: Members::new(),
                extra_query: Query::default(),
            };
            let reply = match self.client.get_missing_events(origin, request).await {
                Ok(reply) => reply,
                Err(error) => {
                    tracing::debug!(%origin, %error, "missing events not fetched");
                    break;
                }
            };
            let pdus = reply.events.into_iter().filter_map(Result::ok);
            let pdus = pdus.filter(|pdu| pdu.room_id().as_deref() == Some(room_id.as_str()));
            let pdus = pdus.filter(|pdu| asked.admit_signers(version, pdu));
            let pdus = pdus.take(MAX_MISSING - found.len()).collect();
            let checked = self.check(version, pdus, check_past_event).await;
            let before = found.len();
            for event in checked.into_iter().filter_map(Result::ok) {
                found.entry(event.id().to_owned()).or_insert(event);
            }
            latest = self.lowest(room, &found);
            if found.len() == before || found.len() == MAX_MISSING || latest.is_empty() {
                break;
            }
        }
        place(origin, room, found.into_values().collect());
    }

    /// Those of the events that stand on what is neither here nor among them.
    fn lowest(&self, room: &Mutex<Room>, found: &HashMap<OwnedEventId, Event>) -> Vec<String> {
        let room = lock(room);
        let is_found = |id: &OwnedEventId| found.contains_key(id);
        let lowest = found.values().filter(|event| {
            let mut below = event.previous().iter();
            !room.can_place(event) && below.any(|id| !is_found(id) && room.known(id).is_none())
        });
        lowest
            .map(|event| event.id().to_string())
            .take(MAX_HEADS)
            .collect()
    }
}

/// Takes in events that come in no particular order: what stands on known ground, until nothing more does.
fn place(origin: &ServerName, room: &Mutex<Room>, mut left: Vec<Event>) {
    loop {
        let mut room = lock(room);
        let (ready, rest): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|event| room.can_place(event));
        if ready.is_empty() {
            return;
        }
        for event in ready {
            let id = event.id().to_owned();
            if let Err(why) = room.add_or_reject(event) {
                tracing::debug!(%origin, %id, %why, "missing event refused");
            }
        }
        left = rest;
    }
}

/// Whether `origin` is asked for what `event` stands on: if that is not here, and it may be of use. A server that is not in the room could
/// have us ask for the sake of an event that it made up.
///
/// # Errors
/// Check 4 fails already.
fn may_ask(room: &Room, origin: &ServerName, event: &Event) -> Result<bool, String> {
    if room.can_place(event) {
        return Ok(false);
    }
    if room.missing_auth(event).is_none() {
        room.check_cited(event).map_err(|why| why.to_string())?;
    }
    Ok(room.state().has_server(origin))
}
