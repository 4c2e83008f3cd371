//! What users of this server do: make rooms and send events.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use comity_core::{
    ServerName,
    api::{Calls, PduResult, SendTransaction},
    auth::now_ms,
    error::CallError,
    event::{room_version::EventError, sign_event},
    json::{Object, ObjectWriter},
};
use futures_util::{StreamExt, stream};
use ruma_common::{OwnedRoomId, RoomId, UserId};

use crate::{
    AppendError, Draft, Event, Homeserver, Refused, Room, UnreadableEvent, Unsaved, Version,
    homeserver::lock,
};

/// Most servers that are sent to at once.
const AT_ONCE: usize = 16;

/// Something that a user wanted to do and could not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// This server is not in the room.
    #[error("this server is not in the room {0}")]
    UnknownRoom(OwnedRoomId),
    /// Another user of this server is just joining it.
    #[error("this server is joining the room {0} already")]
    Joining(OwnedRoomId),
    /// The user is of another server, which alone can speak for it.
    #[error("{0} is not a user of this server")]
    NotOurs(ruma_common::OwnedUserId),
    /// This server does not speak the room version.
    #[error("room version {0:?} is not spoken by this server")]
    UnknownVersion(String),
    /// The event cannot be signed.
    #[error(transparent)]
    Form(#[from] EventError),
    /// The user may not do it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The other server said no, or could not be asked.
    #[error("{server} was asked in vain")]
    Call {
        /// Who was asked.
        server: ServerName,
        /// Why it was in vain.
        #[source]
        source: CallError,
    },
    /// The other server answered something else than it was asked.
    #[error("the answer of {server} is not usable: {why}")]
    BadAnswer {
        /// Who answered.
        server: ServerName,
        /// What is wrong with it.
        why: String,
    },
    /// It was done, but may be gone after a restart.
    #[error(transparent)]
    Unsaved(#[from] Unsaved),
    /// The system's random source failed.
    #[error("the system's random source failed: {0}")]
    Random(getrandom::Error),
}

impl From<AppendError> for ActionError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Form(error) => Self::Form(error),
            AppendError::Refused(error) => Self::Refused(error),
        }
    }
}

impl From<UnreadableEvent> for ActionError {
    fn from(error: UnreadableEvent) -> Self {
        Self::Refused(error.into())
    }
}

/// What a room is made with.
#[derive(Clone, Debug)]
pub struct NewRoom {
    /// Its version, [one that this server speaks](crate::Versions).
    pub version: String,
    /// `public`, `invite`, ...
    pub join_rule: String,
    /// `shared`, `invited`, `joined` or `world_readable`.
    pub history_visibility: String,
    /// Content of `m.room.power_levels`. By default the creator alone may change state.
    pub power_levels: Option<Object>,
}

impl Default for NewRoom {
    fn default() -> Self {
        Self {
            version: Version::DEFAULT.to_owned(),
            join_rule: "invite".to_owned(),
            history_visibility: "shared".to_owned(),
            power_levels: None,
        }
    }
}

/// An event that was sent.
#[derive(Debug)]
pub struct Sent {
    /// The event as it stands in the room.
    pub event: Arc<Event>,
    /// What each other server of the room said.
    pub deliveries: Vec<Delivered>,
}

/// What a server said to events that were sent to it.
#[derive(Debug)]
pub struct Delivered {
    /// The server.
    pub server: ServerName,
    /// Its results by event ID. A server that could not be reached is not tried again: it will ask for what it misses.
    pub outcome: Result<BTreeMap<String, PduResult>, CallError>,
}

impl Delivered {
    /// The events that the server refused, and why.
    pub fn refused(&self) -> impl Iterator<Item = (&str, &str)> {
        let results = self.outcome.iter().flatten();
        results.filter_map(|(id, result)| Some((id.as_str(), result.error.as_deref()?)))
    }
}

impl Draft {
    /// A text message.
    pub fn message(sender: &UserId, body: &str) -> Self {
        let mut content = ObjectWriter::new();
        content.string("msgtype", "m.text").string("body", body);
        Self {
            kind: "m.room.message".to_owned(),
            sender: sender.to_owned(),
            state_key: None,
            content: content.into_object(),
        }
    }

    /// A state event.
    pub fn state(sender: &UserId, kind: &str, state_key: &str, content: Object) -> Self {
        Self {
            kind: kind.to_owned(),
            sender: sender.to_owned(),
            state_key: Some(state_key.to_owned()),
            content,
        }
    }

    /// A state event whose content is one string.
    fn state_of(sender: &UserId, kind: &str, state_key: &str, name: &str, value: &str) -> Self {
        let mut content = ObjectWriter::new();
        content.string(name, value);
        Self::state(sender, kind, state_key, content.into_object())
    }

    /// A change of `user`'s membership.
    pub fn membership(sender: &UserId, user: &UserId, membership: &str) -> Self {
        Self::state_of(
            sender,
            "m.room.member",
            user.as_str(),
            "membership",
            membership,
        )
    }
}

impl Homeserver {
    /// Makes a room whose creator has joined it.
    ///
    /// # Errors
    /// The version is unknown, or what `room` says is not allowed by its rules.
    pub fn create_room(
        &self,
        creator: &UserId,
        room: &NewRoom,
    ) -> Result<OwnedRoomId, ActionError> {
        self.check_ours(creator)?;
        let version = self.versions.get(&room.version).cloned();
        let version = version.ok_or_else(|| ActionError::UnknownVersion(room.version.clone()))?;
        let power_levels = room
            .power_levels
            .clone()
            .unwrap_or_else(|| default_power_levels(&version, creator));
        let (id, create) = self.make_create_event(creator, &version)?;
        let mut made = Room::new(id.clone(), version, create)?;
        let first = [
            Draft::membership(creator, creator, "join"),
            Draft::state(creator, "m.room.power_levels", "", power_levels),
            Draft::state_of(
                creator,
                "m.room.join_rules",
                "",
                "join_rule",
                &room.join_rule,
            ),
            Draft::state_of(
                creator,
                "m.room.history_visibility",
                "",
                "history_visibility",
                &room.history_visibility,
            ),
        ];
        for draft in &first {
            made.append(draft, self.name(), &self.shared.key, now_ms())?;
        }
        self.insert_room(made);
        Ok(id)
    }

    /// The create event and the room's ID, which is the event's hash from version 12 on.
    fn make_create_event(
        &self,
        creator: &UserId,
        version: &Version,
    ) -> Result<(OwnedRoomId, Event), ActionError> {
        let named = match version.room_id_is_hash() {
            true => None,
            false => Some(format!("!{}:{}", random_name()?, self.name())),
        };
        let rules = &version.rules.authorization;
        let mut event = ObjectWriter::new();
        event
            .string_opt("room_id", named.as_deref())
            .string("type", "m.room.create")
            .string("sender", creator.as_str())
            .string("state_key", "")
            .object("content", |content| {
                content.string("room_version", &version.id);
                if !rules.use_room_create_sender {
                    content.string("creator", creator.as_str());
                }
            })
            .strings("prev_events", [""; 0])
            .strings("auth_events", [""; 0])
            .integer("depth", 1)
            .integer("origin_server_ts", now_ms());
        let (id, pdu) = sign_event(
            &*version.format,
            &event.into_object(),
            self.name(),
            &self.shared.key,
        )?;
        let room_id = named.unwrap_or_else(|| id.replacen('$', "!", 1));
        let room_id = RoomId::parse(room_id).map_err(|_| UnreadableEvent("room_id"))?;
        Ok((room_id, Event::read(&id, pdu)?))
    }

    /// Puts an event into a room and sends it to the room's other servers.
    ///
    /// Dropping the future leaves the event in the room; servers that it was not sent to will ask for it.
    ///
    /// # Errors
    /// The event has no place in the room. What the other servers say to it is no error: see [`Sent`].
    pub async fn send(&self, room: &RoomId, draft: &Draft) -> Result<Sent, ActionError> {
        let event = self.append(room, draft)?;
        self.saved().await?;
        let deliveries = self.deliver(room, std::slice::from_ref(&event)).await;
        Ok(Sent { event, deliveries })
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_message(
        &self,
        room: &RoomId,
        sender: &UserId,
        body: &str,
    ) -> Result<Sent, ActionError> {
        self.send(room, &Draft::message(sender, body)).await
    }

    /// Sends a state event.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_state(
        &self,
        room: &RoomId,
        sender: &UserId,
        kind: &str,
        state_key: &str,
        content: Object,
    ) -> Result<Sent, ActionError> {
        self.send(room, &Draft::state(sender, kind, state_key, content))
            .await
    }

    /// Puts an event into a room and sends it to nobody.
    ///
    /// # Errors
    /// The event has no place in the room.
    pub fn append(&self, room: &RoomId, draft: &Draft) -> Result<Arc<Event>, ActionError> {
        self.check_ours(&draft.sender)?;
        let room = self
            .room(room)
            .ok_or_else(|| ActionError::UnknownRoom(room.to_owned()))?;
        let mut room = lock(&room);
        Ok(room.append(draft, self.name(), &self.shared.key, now_ms())?)
    }

    /// Sends events of a room, [saved](Self::saved) before, to its other servers, in as few transactions as they fit into; to each server in order, to several at once.
    pub async fn deliver(&self, room: &RoomId, events: &[Arc<Event>]) -> Vec<Delivered> {
        let servers = self.destinations(room, events);
        self.deliver_to_all(servers, events).await
    }

    async fn deliver_to_all(
        &self,
        servers: BTreeSet<ServerName>,
        events: &[Arc<Event>],
    ) -> Vec<Delivered> {
        stream::iter(servers)
            .map(|server| self.deliver_to(server, events))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await
    }

    async fn deliver_to(&self, server: ServerName, events: &[Arc<Event>]) -> Delivered {
        let mut results = BTreeMap::new();
        for events in events.chunks(SendTransaction::MAX_PDUS) {
            let now = now_ms();
            let pdus = events.iter().map(|event| event.pdu().clone());
            let id = self.transaction_id(now);
            let request = SendTransaction::new(id, self.name(), now, pdus);
            match self.client.send_transaction(&server, request).await {
                // Results in another shape say nothing about any event.
                Ok(reply) => results.extend(reply.pdus.read().unwrap_or_default()),
                Err(error) => {
                    let outcome = Err(error);
                    return Delivered { server, outcome };
                }
            }
        }
        let outcome = Ok(results);
        Delivered { server, outcome }
    }

    /// The other servers in the room now, and those that were in it when one of the events was sent: whom it removed has to learn of it.
    fn destinations(&self, room: &RoomId, events: &[Arc<Event>]) -> BTreeSet<ServerName> {
        let destinations = self.with_room(room, |room| {
            let mut servers: BTreeSet<ServerName> = room.state().servers().cloned().collect();
            for event in events.iter().filter(|event| event.membership().is_some()) {
                let before = room.state_before(event.id());
                servers.extend(
                    before
                        .into_iter()
                        .flat_map(|state| state.servers().cloned()),
                );
            }
            servers.remove(self.name());
            servers
        });
        destinations.unwrap_or_default()
    }

    /// Sends an event on to all but the server that it came from, while nobody waits for it. Beyond so many at once it is dropped: who misses it will ask for it when the next event
    /// comes.
    pub(crate) fn deliver_later(&self, room: &RoomId, event: Arc<Event>, from: &ServerName) {
        let Ok(turn) = self.shared.deliveries.clone().try_acquire_owned() else {
            tracing::debug!(event = %event.id(), "too many deliveries at once");
            return;
        };
        let events = [event];
        let mut servers = self.destinations(room, &events);
        servers.remove(from);
        let server = self.clone();
        tokio::spawn(async move {
            let _turn = turn;
            // Else it could be gone here and known everywhere.
            if server.saved().await.is_err() {
                return;
            }
            server.deliver_to_all(servers, &events).await;
        });
    }

    pub(crate) fn check_ours(&self, user: &UserId) -> Result<(), ActionError> {
        match self.is_ours(user) {
            true => Ok(()),
            false => Err(ActionError::NotOurs(user.to_owned())),
        }
    }
}

fn default_power_levels(version: &Version, creator: &UserId) -> Object {
    let mut content = ObjectWriter::new();
    content
        .object("users", |users| {
            // From version 12 on, creators stand above all levels and may not be listed.
            if !version
                .rules
                .authorization
                .explicitly_privilege_room_creators
            {
                users.integer(creator.as_str(), 100);
            }
        })
        .integer("users_default", 0)
        .integer("events_default", 0)
        .integer("state_default", 50)
        .integer("ban", 50)
        .integer("kick", 50)
        .integer("redact", 50)
        .integer("invite", 0);
    content.into_object()
}

/// The part of a room ID before the colon: 18 letters.
fn random_name() -> Result<String, ActionError> {
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes).map_err(ActionError::Random)?;
    Ok(bytes
        .map(|byte| char::from(b'a' + byte % 26))
        .iter()
        .collect())
}
