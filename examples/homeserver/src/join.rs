//! Joining a room over federation, on the side of the server that joins (SS "Joining Rooms").

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use comity_core::{
    ServerName,
    api::{Calls, MakeJoin, SendJoin, TemplateFault},
    auth::now_ms,
    call::Arrival,
    endpoint::Query,
    error::CallError,
    event::{Pdu, check_past_event, sign_event},
    json::{Object, Value},
};
use ruma_common::{OwnedEventId, RoomId, UserId};
use ruma_events::TimelineEventType;

use crate::{
    ActionError, Draft, Event, Homeserver, Room, State, Unauthorized, Version,
    authorization::check_auth_events, history::in_auth_order, homeserver::lock,
};

/// Most events that are named among those that a join's answer had in vain.
pub const MAX_REFUSALS: usize = 100;

/// Events that are checked at a time while they arrive. Between two batches other tasks get their turn.
const BATCH: usize = 256;

/// A room that was joined.
#[derive(Debug)]
pub struct Joined {
    /// The join event.
    pub event: Arc<Event>,
    /// The room's version.
    pub room_version: String,
    /// How many state events were taken in.
    pub state: usize,
    /// How many events of the auth chain that are no state any more were taken in.
    pub auth_chain: usize,
    /// Events that were not taken in.
    pub refused: Refusals,
}

impl Homeserver {
    /// Joins one of our users to a room through a server that is in it.
    ///
    /// The state that it sends is believed as a whole, as there is nobody else to ask, but each event of it has to be signed by its
    /// sender's server and allowed by its auth events. Memory grows with the room; what bounds it is the size limit of the reply
    /// ([`SizeLimits`](comity_core::call::SizeLimits)).
    ///
    /// Dropping the future may leave the user joined in the eyes of the others.
    ///
    /// # Errors
    /// The other server refused, or what it sent does not hold.
    pub async fn join(
        &self,
        room_id: &RoomId,
        user: &UserId,
        via: &ServerName,
    ) -> Result<Joined, ActionError> {
        self.check_ours(user)?;
        let here = self.with_room(room_id, |room| room.state().has_server(self.name()));
        if here == Some(true) {
            return self.join_here(room_id, user).await;
        }
        // Two joins at once would each know half of what the other brings about.
        let _turn = Turn::take(self, room_id)?;
        let joining = Joining {
            server: self,
            room_id,
            user,
            via,
        };
        let joined = joining.join().await?;
        self.forget_invitation(user, room_id);
        self.saved().await?;
        Ok(joined)
    }

    /// Joins a room that other users of this server are in: an event like any other.
    async fn join_here(&self, room_id: &RoomId, user: &UserId) -> Result<Joined, ActionError> {
        let draft = Draft::membership(user, user, "join");
        let sent = self.send(room_id, &draft).await?;
        self.forget_invitation(user, room_id);
        let version = self.with_room(room_id, |room| room.version().id.clone());
        Ok(Joined {
            event: sent.event,
            room_version: version.unwrap_or_default(),
            state: 0,
            auth_chain: 0,
            refused: Refusals::default(),
        })
    }
}

/// The right to join a room, given back when it is dropped.
struct Turn<'a>(&'a Homeserver, &'a RoomId);

impl<'a> Turn<'a> {
    fn take(server: &'a Homeserver, room: &'a RoomId) -> Result<Self, ActionError> {
        match lock(&server.shared.joining).insert(room.to_owned()) {
            true => Ok(Self(server, room)),
            false => Err(ActionError::Joining(room.to_owned())),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.0.shared.joining).remove(self.1);
    }
}

/// One attempt to join.
struct Joining<'a> {
    server: &'a Homeserver,
    room_id: &'a RoomId,
    user: &'a UserId,
    via: &'a ServerName,
}

/// What came with the answer to the join. Each event passed the checks of its own.
#[derive(Default)]
struct Arrived {
    events: HashMap<OwnedEventId, Arc<Event>>,
    state: HashSet<OwnedEventId>,
    refused: Refusals,
}

/// Why events were not taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// How many there were.
    pub count: usize,
    /// Which and why, for the [first few](MAX_REFUSALS).
    pub named: Vec<String>,
}

impl Refusals {
    fn add(&mut self, why: String) {
        self.count += 1;
        if self.named.len() < MAX_REFUSALS {
            self.named.push(why);
        }
    }
}

impl Joining<'_> {
    async fn join(&self) -> Result<Joined, ActionError> {
        let (version, template) = self.ask_for_template().await?;
        let shared = &self.server.shared;
        let (id, pdu) = sign_event(&*version.format, &template, &shared.name, &shared.key)?;
        let (arrived, given) = self.hand_over(&version, &id, pdu.clone()).await?;
        let join = Event::read(&id, pdu)?;
        let join = self.countersigned(&version, join, given).await?;
        self.build(version, arrived, join)
    }

    /// Asks for the join event as it stands on the room, and makes sure that it is the one to be signed.
    async fn ask_for_template(&self) -> Result<(Version, Object), ActionError> {
        let request = MakeJoin {
            room_id: self.room_id.to_string(),
            user_id: self.user.to_string(),
            versions: self.server.versions.ids().map(str::to_owned).collect(),
            extra_query: Query::default(),
        };
        let reply = self.server.client.make_join(self.via, request.clone());
        let reply = reply.await;
        let reply = reply.map_err(|error| self.in_vain(error))?;
        // Lest the other server get a signature under anything it likes.
        let template = request.check(&reply).map_err(|fault| match fault {
            TemplateFault::RoomVersion(version) => ActionError::UnknownVersion(version),
            fault => self.bad(&fault.to_string()),
        })?;
        let version = self.server.versions.get(&template.room_version).cloned();
        let version = version.ok_or(ActionError::UnknownVersion(template.room_version))?;
        let template = template
            .event
            .filtered(|name| !matches!(name, "event_id" | "hashes" | "signatures" | "unsigned"))
            .with_member("origin_server_ts", &Value::integer(now_ms()));
        Ok((version, template))
    }

    /// Sends the signed join, and checks the state and auth chain of the answer while they arrive. Also gives the join itself, if the
    /// other server signed it too: it does where it vouches for the user.
    async fn hand_over(
        &self,
        version: &Version,
        id: &str,
        event: Pdu,
    ) -> Result<(Arrived, Option<Pdu>), ActionError> {
        let request = SendJoin {
            room_id: self.room_id.to_string(),
            event_id: id.to_owned(),
            event,
            omit_members: None,
            extra_query: Query::default(),
        };
        let reply = self.server.client.send_join(self.via, request).await;
        let mut reply = reply.map_err(|error| self.in_vain(error))?;
        let mut arrived = Arrived::default();
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(arrival) = reply.next().await {
            match arrival.map_err(|error| self.in_vain(error))? {
                Arrival::Item { array, item } => batch.push((array, item)),
                Arrival::Bad { array, bad } => {
                    let why = format!("element {} of `{array}` {}", bad.index, bad.fault);
                    arrived.refused.add(why);
                }
            }
            if batch.len() == BATCH {
                self.take_in(version, &mut arrived, &mut batch).await;
                tokio::task::yield_now().await;
            }
        }
        self.take_in(version, &mut arrived, &mut batch).await;
        let members = reply.finish().await;
        let members = members.map_err(|error| self.in_vain(error))?;
        let countersigned = members
            .event
            .map(|event| Pdu::judge(event.into_value()))
            .transpose()
            .map_err(|fault| self.bad(&format!("the join {fault}")))?;
        Ok((arrived, countersigned))
    }

    /// Checks 1 to 3 for what has arrived since the last time.
    async fn take_in(
        &self,
        version: &Version,
        arrived: &mut Arrived,
        batch: &mut Vec<(&'static str, Pdu)>,
    ) {
        let (arrays, pdus): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        let checked = self.server.check(version, pdus, check_past_event).await;
        for (array, checked) in arrays.into_iter().zip(checked) {
            match checked {
                Ok(event) if !self.is_of_room(version, &event) => {
                    arrived
                        .refused
                        .add(format!("{} is of another room", event.id()));
                }
                Ok(event) => {
                    let id = event.id().to_owned();
                    if array == "state" {
                        arrived.state.insert(id.clone());
                    }
                    arrived.events.entry(id).or_insert_with(|| Arc::new(event));
                }
                Err(why) => arrived.refused.add(why),
            }
        }
    }

    fn is_of_room(&self, version: &Version, event: &Event) -> bool {
        if version.room_id_is_hash() && *event.kind() == TimelineEventType::RoomCreate {
            return event.id().as_str()[1..] == self.room_id.as_str()[1..];
        }
        event.pdu().room_id().as_deref() == Some(self.room_id.as_str())
    }

    /// The join with the signature of the server that vouches for the user, where the room asks for one.
    async fn countersigned(
        &self,
        version: &Version,
        join: Event,
        given: Option<Pdu>,
    ) -> Result<Event, ActionError> {
        let signers = version.format.required_signers(join.pdu());
        let mut signers = signers?;
        signers.remove(self.server.name());
        let mut join = join;
        for signer in signers {
            let given = given.as_ref();
            let given =
                given.ok_or_else(|| self.bad(&format!("{signer} did not sign the join")))?;
            let signed = self.server.countersigned(version, &join, &signer, given);
            join = signed.await.map_err(|why| self.bad(&why))?;
        }
        Ok(join)
    }

    /// Makes the room of what arrived, each event allowed by its auth events.
    fn build(
        &self,
        version: Version,
        arrived: Arrived,
        join: Event,
    ) -> Result<Joined, ActionError> {
        let create = self.find_create(&version, &arrived)?;
        let rules = &version.rules.authorization;
        let mut refused = arrived.refused;
        check_auth_events(rules, &create, None, |_| None)
            .map_err(|why| self.bad(&format!("the create event: {why}")))?;
        // From version 12 on nothing cites the create event, so it has to be there before all others.
        let mut known = HashMap::from([(create.id().to_owned(), create.clone())]);
        for event in in_auth_order(&arrived.events) {
            if event.id() == create.id() {
                continue;
            }
            if *event.kind() == TimelineEventType::RoomCreate {
                refused.add(format!("{}: {}", event.id(), Unauthorized::SecondCreate));
                continue;
            }
            match check_auth_events(rules, &event, Some(&create), |id| known.get(id)) {
                Ok(()) => {
                    known.insert(event.id().to_owned(), event);
                }
                Err(why) => refused.add(format!("{}: {why}", event.id())),
            }
        }
        let mut state = State::default();
        for event in arrived.state.iter().filter_map(|id| known.get(id)) {
            if let Some((kind, key)) = event.state_key()
                && let Some(other) = state.get(&kind, &key)
            {
                return Err(self.bad(&format!(
                    "its state has both {} and {} for {kind} {key:?}",
                    other.id(),
                    event.id()
                )));
            }
            state.insert(event);
        }
        let (room_version, join_id) = (version.id.clone(), join.id().to_owned());
        let (state_events, known_events) = (state.len(), known.len());
        let create = create.id().to_owned();
        let room = Room::joined(self.room_id.to_owned(), version, create, known, state, join)?;
        let event = room.event(&join_id).cloned();
        self.server.insert_room(room);
        Ok(Joined {
            event: event.expect("a joined room has its join"),
            room_version,
            state: state_events,
            auth_chain: known_events - state_events,
            refused,
        })
    }

    /// The create event: it has to be of the version that the event was signed for, as that was only said so far.
    fn find_create(&self, version: &Version, arrived: &Arrived) -> Result<Arc<Event>, ActionError> {
        let mut state = arrived.state.iter().filter_map(|id| arrived.events.get(id));
        let create = state
            .find(|event| event.is_state(&TimelineEventType::RoomCreate, ""))
            .ok_or_else(|| self.bad("its state has no usable `m.room.create`"))?;
        let content = create.pdu().content();
        let said = content.and_then(|content| content.get("room_version"));
        let said = said.as_ref().and_then(Value::as_str);
        let said = said.as_deref().unwrap_or("1");
        match said == version.id {
            true => Ok(create.clone()),
            false => Err(self.bad(&format!(
                "the room was said to be of version {}, and is of {said:?}",
                version.id
            ))),
        }
    }

    fn in_vain(&self, source: CallError) -> ActionError {
        ActionError::Call {
            server: self.via.clone(),
            source,
        }
    }

    fn bad(&self, why: &str) -> ActionError {
        ActionError::BadAnswer {
            server: self.via.clone(),
            why: why.to_owned(),
        }
    }
}
