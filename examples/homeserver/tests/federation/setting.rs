//! Servers in one process that know one another, and events that an honest server would not make.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use comity_core::{
    Client, Operations, Router, ServerName,
    api::{self, Calls, PduResult, SendTransaction},
    auth::{
        KeyRing, KeyRingOptions, ServerKeys, Sign, SigningKey, Verify, XMatrixAuthenticator, now_ms,
    },
    call::{Call, Reply},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
    event::{Listed, Pdu, sign_event},
    json::{Object, ObjectWriter, Value},
    layers::Acl,
    transport::{Capabilities, MemoryMode, MemoryTransport, Transport},
};
use comity_homeserver::{
    Draft, Homeserver, NewRoom, Storage,
    ruma_common::{OwnedRoomId, OwnedUserId, RoomId, UserId},
};
use serde_json::json;
use tower::ServiceBuilder;

/// Servers by name: a transport that carries each call to its destination.
#[derive(Clone, Debug, Default)]
pub struct Street {
    houses: Arc<RwLock<BTreeMap<ServerName, MemoryTransport>>>,
    /// The names of the operations that were called, and of the servers that were asked.
    calls: Arc<RwLock<Vec<(&'static str, ServerName)>>>,
}

/// A server and what only its operator has.
#[derive(Clone, Debug)]
pub struct House {
    pub server: Homeserver,
    pub key: Arc<SigningKey>,
    /// Signs as the server.
    pub client: Client,
}

impl Street {
    pub fn move_in(&self, name: &str) -> House {
        self.move_in_with(name, |_| Vec::new())
    }

    /// A server of which some routes are replaced.
    pub fn move_in_with(
        &self,
        name: &str,
        replace: impl FnOnce(&Homeserver) -> Vec<comity_core::Route>,
    ) -> House {
        let key = Arc::new(SigningKey::generate("1").unwrap());
        self.furnish(name, key, |server| server, replace)
    }

    /// A server that keeps everything in a directory. It takes the place of one of the same name.
    pub fn move_in_stored(&self, name: &str, directory: &Path) -> House {
        let storage = Storage::open(directory, &name.parse().unwrap()).unwrap();
        let key = storage.signing_key();
        let keep = |server: Homeserver| server.stored_in(storage).unwrap();
        self.furnish(name, key, keep, |_| Vec::new())
    }

    fn furnish(
        &self,
        name: &str,
        key: Arc<SigningKey>,
        keep: impl FnOnce(Homeserver) -> Homeserver,
        replace: impl FnOnce(&Homeserver) -> Vec<comity_core::Route>,
    ) -> House {
        let name: ServerName = name.parse().unwrap();
        let transport: Arc<dyn Transport> = Arc::new(self.clone());
        let until = now_ms() + 3_600_000;
        let own = ServerKeys::sign_document(&key, &name, until, &BTreeMap::new()).unwrap();
        let ring = KeyRing::new(Client::new(transport.clone()), KeyRingOptions::default())
            .with_pinned(ServerKeys::parse(own).unwrap());
        let ring = Arc::new(ring);
        let client = Client::layered(transport, Sign::layer(name.clone(), key.clone()));
        let server = Homeserver::new(name.clone(), key.clone(), client.clone(), ring.clone());
        let server = keep(server);
        let service = Arc::new(server.clone());
        let authenticator = XMatrixAuthenticator::new(name.clone(), ring);
        let service = Router::new()
            .with(api::server(service.clone()))
            .with(api::keys(service.clone()))
            .with(api::transactions(service.clone()))
            .with(api::events(service.clone()))
            .with(api::membership(service.clone()))
            .with(api::rooms(service.clone()))
            .with(api::queries(service.clone()))
            .with(api::devices(service.clone()))
            .with(api::media(service))
            .with(replace(&server))
            .layered(
                ServiceBuilder::new()
                    .layer(Verify::layer(Arc::new(authenticator)))
                    .layer(Acl::layer(Arc::new(server.clone()))),
            );
        let transport =
            MemoryTransport::new(Operations::federation(), service, MemoryMode::ThroughCodec);
        self.houses.write().unwrap().insert(name, transport);
        House {
            server,
            key,
            client,
        }
    }

    /// How often a server was asked for an operation.
    pub fn calls(&self, operation: &str, to: &House) -> usize {
        let calls = self.calls.read().unwrap();
        let such = calls
            .iter()
            .filter(|(name, of)| *name == operation && of == to.name());
        such.count()
    }

    /// Two servers.
    pub fn of_two() -> (House, House) {
        let street = Self::default();
        (street.move_in("one.example"), street.move_in("two.example"))
    }
}

#[async_trait]
impl Transport for Street {
    fn name(&self) -> &'static str {
        "street"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE.streaming().multiplexed().cancellation()
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        let house = call.context().destination.as_ref().and_then(|name| {
            let called = (call.spec().name, name.clone());
            self.calls.write().unwrap().push(called);
            self.houses.read().unwrap().get(name).cloned()
        });
        match house {
            Some(house) => house.send(call).await,
            None => Err(TransportError::new(
                TransportErrorKind::Resolve,
                Delivery::NotSent,
                "nobody lives there",
            )
            .into()),
        }
    }
}

impl House {
    /// The same server, new and without a directory.
    pub fn unstored(&self) -> Homeserver {
        let nobody = KeyRing::new(self.client.clone(), KeyRingOptions::default());
        Homeserver::new(
            self.name().clone(),
            self.key.clone(),
            self.client.clone(),
            Arc::new(nobody),
        )
    }

    pub fn name(&self) -> &ServerName {
        self.server.name()
    }

    pub fn user(&self, name: &str) -> OwnedUserId {
        UserId::parse(format!("@{name}:{}", self.name())).unwrap()
    }

    pub fn public_room(&self, creator: &UserId, version: &str) -> OwnedRoomId {
        let room = NewRoom {
            version: version.to_owned(),
            join_rule: "public".to_owned(),
            ..NewRoom::default()
        };
        self.server.create_room(creator, &room).unwrap()
    }

    /// The room's state as this server sees it: event IDs by type and key.
    pub fn state(&self, room: &RoomId) -> BTreeMap<String, String> {
        let state = self.server.with_room(room, |room| {
            let state = room.state().iter();
            state
                .map(|((kind, key), event)| (format!("{kind} {key:?}"), event.id().to_string()))
                .collect()
        });
        state.unwrap()
    }

    pub fn has(&self, room: &RoomId, event: &str) -> bool {
        let id = event.try_into().unwrap();
        let here = self.server.with_room(room, |room| room.event(id).is_some());
        here.unwrap()
    }

    pub fn heads(&self, room: &RoomId) -> Vec<String> {
        let heads = self
            .server
            .with_room(room, |room| room.heads().map(ToString::to_string).collect());
        heads.unwrap()
    }

    /// What this server would make of a draft if it did not care whether it is allowed: on its heads, or on `previous`; citing what the
    /// state has for these types and keys.
    pub fn forge(
        &self,
        room: &RoomId,
        draft: &Draft,
        previous: Option<&[String]>,
        citing: &[(&str, &str)],
    ) -> (String, Pdu) {
        let object = self.unsigned(room, draft, previous, citing);
        self.sign(room, &object)
    }

    pub fn unsigned(
        &self,
        room: &RoomId,
        draft: &Draft,
        previous: Option<&[String]>,
        citing: &[(&str, &str)],
    ) -> Object {
        let previous = previous.map_or_else(|| self.heads(room), <[String]>::to_vec);
        let object = self.server.with_room(room, |room| {
            let cited = citing.iter().map(|(kind, key)| {
                let event = room.state().get(&(*kind).into(), key);
                event.unwrap().id().to_string()
            });
            let mut event = ObjectWriter::new();
            event
                .string("room_id", room.id().as_str())
                .string("type", &draft.kind)
                .string("sender", draft.sender.as_str())
                .string_opt("state_key", draft.state_key.as_deref())
                .value("content", &draft.content.to_value())
                .strings("prev_events", &previous)
                .strings("auth_events", cited.collect::<Vec<_>>())
                .integer("depth", 100)
                .integer("origin_server_ts", now_ms());
            event.into_object()
        });
        object.unwrap()
    }

    pub fn sign(&self, room: &RoomId, object: &Object) -> (String, Pdu) {
        let version = self.server.with_room(room, |room| room.version().clone());
        let version = version.unwrap();
        sign_event(&*version.format, object, self.name(), &self.key).unwrap()
    }

    /// Sends these to another server and gives its results.
    pub async fn push(
        &self,
        to: &House,
        pdus: impl IntoIterator<Item = Listed<Pdu>>,
    ) -> BTreeMap<String, PduResult> {
        let mut request = SendTransaction::new(now_ms().to_string(), self.name(), now_ms(), []);
        request.pdus = pdus.into_iter().collect();
        let reply = self.client.send_transaction(to.name(), request).await;
        reply.unwrap().pdus.read().unwrap()
    }
}

/// Canonical JSON.
pub fn object(value: serde_json::Value) -> Object {
    Object::from_value(&Value::from_serialize(&value).unwrap()).unwrap()
}

pub fn topic(sender: &UserId, topic: &str) -> Draft {
    Draft::state(
        sender,
        "m.room.topic",
        "",
        object(json!({ "topic": topic })),
    )
}

/// Why an event was refused; panics if it was not.
#[track_caller]
pub fn refusal<'a>(results: &'a BTreeMap<String, PduResult>, id: &str) -> &'a str {
    results[id].error.as_deref().unwrap()
}

/// What the other server answered instead of a result.
#[track_caller]
pub fn answered<T: std::fmt::Debug>(result: Result<T, CallError>) -> FederationError {
    match result {
        Err(CallError::Federation(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Waits for what another task does.
pub async fn eventually(what: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("it did not come to pass");
}
