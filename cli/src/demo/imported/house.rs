//! The server that holds an imported room: it gives and recognises its events, byte for byte, and applies no authorization rules to them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use comity_core::{
    ServerName,
    api::{
        Backfill, BackfillMembers, BackfillReply, Devices, DownloadMedia, Events, GetEvent,
        GetEventReply, GetMissingEvents, GetMissingEventsReply, GetServerKeys, GetServerKeysReply,
        GetVersion, GetVersionReply, Keys, Media, Membership, PduResult, Queries, SendJoin,
        SendJoinMembers, SendJoinReply, SendTransaction, SendTransactionReply, Server,
        ServerVersion, Transactions,
    },
    call::{Authenticated, Blob, CallContext, EventReply},
    error::FederationError,
    event::Pdu,
    json::{Json, Object},
};
use comity_homeserver::File;

use super::{
    super::{calls::unknown_members, mascot, verdict::Verdict},
    room::Room,
};

/// Most events in one answer to `GetMissingEvents` or `Backfill`.
pub(crate) const MOST_EVENTS: usize = 100;

/// One homeserver.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) name: ServerName,
    pub(crate) key_document: Object,
    pub(crate) media: File,
    room: Option<Arc<Room>>,
    joined: Mutex<HashMap<String, Pdu>>,
}

impl House {
    pub(crate) fn new(name: ServerName, key_document: Object, room: Option<Arc<Room>>) -> Self {
        Self {
            name,
            key_document,
            media: mascot::file(),
            room,
            joined: Mutex::default(),
        }
    }

    fn room(&self, id: &str) -> Result<&Arc<Room>, FederationError> {
        self.room
            .as_ref()
            .filter(|room| room.id == id)
            .ok_or_else(|| FederationError::not_found("this server is not in the room"))
    }

    /// Where an event stands in the room: a join stands behind all that was there before.
    fn place(&self, room: &Room, id: &str) -> Option<usize> {
        room.place_of_id(id).or_else(|| {
            lock(&self.joined)
                .contains_key(id)
                .then(|| room.events().len())
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the version reply says, unknown member included.
pub(crate) fn version() -> GetVersionReply {
    let server = ServerVersion {
        name: Some("Comity demo".to_owned()),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
    };
    GetVersionReply {
        server: Json::write(&server).ok(),
        extra: unknown_members(),
    }
}

#[async_trait]
impl Server for House {
    async fn get_version(
        &self,
        _: &CallContext,
        _: GetVersion,
    ) -> Result<GetVersionReply, FederationError> {
        Ok(version())
    }
}

#[async_trait]
impl Keys for House {
    async fn get_server_keys(
        &self,
        _: &CallContext,
        _: GetServerKeys,
    ) -> Result<GetServerKeysReply, FederationError> {
        Ok(GetServerKeysReply {
            document: self.key_document.clone(),
        })
    }
}

#[async_trait]
impl Transactions for House {
    async fn send_transaction(
        &self,
        _: &Authenticated,
        request: SendTransaction,
    ) -> Result<SendTransactionReply, FederationError> {
        let mut results = BTreeMap::new();
        // What is no event, or another than those that are held, is not named.
        for pdu in request.pdus.iter().flatten() {
            let event = self
                .room
                .as_ref()
                .and_then(|room| Some(&room.events()[room.place_of_text(pdu)?]));
            if let Some(event) = event {
                results.insert(event.id.clone(), PduResult::default());
            }
        }
        Ok(SendTransactionReply::new(&results))
    }
}

#[async_trait]
impl Events for House {
    async fn get_event(
        &self,
        _: &Authenticated,
        request: GetEvent,
    ) -> Result<GetEventReply, FederationError> {
        let room = self.room.as_ref();
        let event =
            room.and_then(|room| Some(&room.events()[room.place_of_id(&request.event_id)?]));
        let event = event
            .ok_or_else(|| FederationError::not_found("this server does not have the event"))?;
        Ok(GetEventReply {
            origin: Some(self.name.to_string()),
            origin_server_ts: Some(0),
            pdus: vec![Ok(event.pdu.clone())],
            extra: unknown_members(),
        })
    }

    /// Walks back in the order of the room, as `get_missing_events` does; the events asked from are part of the reply.
    async fn backfill(
        &self,
        _: &Authenticated,
        request: Backfill,
    ) -> Result<BackfillReply, FederationError> {
        let room = self.room(&request.room_id)?;
        let last = request
            .from
            .iter()
            .filter_map(|id| room.place_of_id(id))
            .max();
        let end = last.map_or(0, |place| place + 1);
        let limit = request.limit.clamp(0, MOST_EVENTS as i64) as usize;
        let (room, places) = (room.clone(), end.saturating_sub(limit)..end);
        let events = places
            .rev()
            .map(move |place| room.events()[place].pdu.clone());
        let members = BackfillMembers {
            origin: Some(self.name.to_string()),
            origin_server_ts: Some(0),
            extra: unknown_members(),
        };
        Ok(EventReply::new(vec![("pdus", events)], members))
    }

    /// Walks back in the order of the room, not by `prev_events`: a room from a file may have holes.
    async fn get_missing_events(
        &self,
        _: &Authenticated,
        request: GetMissingEvents,
    ) -> Result<GetMissingEventsReply, FederationError> {
        let room = self.room(&request.room_id)?;
        let places = |ids: &[String]| -> Vec<usize> {
            ids.iter().filter_map(|id| self.place(room, id)).collect()
        };
        let end = places(&request.latest_events)
            .into_iter()
            .max()
            .unwrap_or(0);
        let begin = places(&request.earliest_events)
            .into_iter()
            .max()
            .map_or(0, |place| place + 1);
        let limit = request.limit.unwrap_or(10).clamp(0, MOST_EVENTS as i64) as usize;
        let begin = begin.max(end.saturating_sub(limit)).min(end);
        let events = room.events()[begin..end].iter();
        Ok(GetMissingEventsReply::new(
            events.map(|event| event.pdu.clone()),
        ))
    }
}

#[async_trait]
impl Membership for House {
    async fn send_join(
        &self,
        cx: &Authenticated,
        request: SendJoin,
    ) -> Result<SendJoinReply, FederationError> {
        let room = self.room(&request.room_id)?;
        if let Verdict::Bad(why) | Verdict::Unchecked(why) | Verdict::Doubtful(why) =
            room.judge.judge(&request.event)
        {
            return Err(FederationError::forbidden(format!(
                "the join of {} is not signed well: {why}",
                cx.origin()
            )));
        }
        lock(&self.joined).insert(request.event_id, request.event);
        let arrays = SendJoin::ARRAYS
            .iter()
            .map(|name| {
                let (room, places) = (room.clone(), room.array(name).clone());
                let events =
                    (0..places.len()).map(move |place| room.events()[places[place]].pdu.clone());
                (*name, events)
            })
            .collect();
        let members = SendJoinMembers {
            members_omitted: Some(false),
            extra: unknown_members(),
            ..SendJoinMembers::default()
        };
        Ok(EventReply::new(arrays, members))
    }
}

/// An imported room says nothing about its users.
impl Queries for House {}

impl Devices for House {}

#[async_trait]
impl Media for House {
    async fn download_media(
        &self,
        _: &Authenticated,
        request: DownloadMedia,
    ) -> Result<Blob, FederationError> {
        if request.media_id != mascot::ID {
            return Err(FederationError::not_found(format!(
                "{} has no file {:?}",
                self.name, request.media_id
            )));
        }
        Ok(self.media.clone().into_blob())
    }
}
