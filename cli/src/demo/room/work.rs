//! The measured calls: every operation of the table.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use comity_core::{
    ServerName,
    api::{
        Backfill, Calls, DownloadMedia, GetEvent, GetMissingEvents, GetServerKeys, GetState,
        GetStateIds, GetVersion, Invite, MakeJoin, QueryKeys, QueryProfile, SendTransaction,
    },
    auth::now_ms,
    call::Arrival,
    endpoint::Query,
    error::CallError,
    json::Members,
};
use comity_homeserver::{Draft, Homeserver, NewRoom};
use ruma_common::OwnedRoomId;
use serde_json::json;

use super::{
    cast::{ALGORITHM, Cast, DEVICE, MEDIA_ID, file},
    large::{LargeRoom, VERSION, join_request, stream_join, with_causes},
    story::{claim, read_from},
};
use crate::demo::{
    Options,
    calls::{clocked, read_file, show},
    findings::Findings,
    measure::{Done, Row, Task, measure},
    progress::Announce,
    stage::{Actor, Stage},
};

/// Messages in the room that is asked about: what `Backfill` and `GetMissingEvents` give at once.
const MESSAGES: usize = 100;

/// Most invites that are measured: the invited server keeps a bounded number.
const MOST_INVITES: usize = 500;

/// One stage, with a room that both servers are in.
struct Scene<'a> {
    stage: &'a Stage<Homeserver>,
    cast: &'a Cast,
    large: &'a LargeRoom,
    room: OwnedRoomId,
    /// The last event of that room when all was ready.
    last: String,
    /// What was claimed so far.
    claimed: Mutex<BTreeSet<String>>,
}

pub(crate) fn media() -> DownloadMedia {
    DownloadMedia {
        media_id: MEDIA_ID.to_owned(),
        timeout_ms: Some(20_000),
        extra_query: Query::default(),
    }
}

/// Measures every operation.
pub(crate) async fn measure_all(
    stages: &[Stage<Homeserver>],
    cast: &Cast,
    rooms: &[LargeRoom],
    options: &Options,
    announce: Announce,
    findings: &mut Findings,
) -> Vec<Row> {
    let mut scenes = BTreeMap::new();
    for (stage, large) in stages.iter().zip(rooms) {
        match Scene::set(stage, cast, large).await {
            Ok(scene) => scenes.insert(stage.wire, scene),
            Err(why) => {
                let why = format!("over {}: setting the scene: {why}", stage.wire);
                findings.differences.push(why);
                return Vec::new();
            }
        };
    }
    let mut rows = Vec::new();
    for work in Work::ALL {
        let calls = match work {
            Work::SendJoin => options.joins(),
            Work::Invite => options.calls.min(MOST_INVITES),
            _ => options.calls,
        };
        let task = Task {
            operation: work.operation(),
            calls,
            claim: work.claim(),
        };
        let call =
            async |stage: &Stage<Homeserver>, round| scenes[stage.wire].run(work, round).await;
        let caller = match work {
            Work::Invite => resident,
            _ => joining,
        };
        rows.extend(measure(stages, task, caller, announce, findings, call).await);
    }
    rows
}

fn joining(stage: &Stage<Homeserver>) -> &Actor<Homeserver> {
    &stage.joining
}

fn resident(stage: &Stage<Homeserver>) -> &Actor<Homeserver> {
    &stage.resident
}

/// An operation of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    GetVersion,
    GetServerKeys,
    SendTransaction,
    GetEvent,
    GetState,
    GetStateIds,
    Backfill,
    GetMissingEvents,
    MakeJoin,
    SendJoin,
    Invite,
    QueryProfile,
    QueryKeys,
    ClaimKeys,
    DownloadMedia,
}

impl Work {
    const ALL: [Self; 15] = [
        Self::GetVersion,
        Self::GetServerKeys,
        Self::SendTransaction,
        Self::GetEvent,
        Self::GetState,
        Self::GetStateIds,
        Self::Backfill,
        Self::GetMissingEvents,
        Self::MakeJoin,
        Self::SendJoin,
        Self::Invite,
        Self::QueryProfile,
        Self::QueryKeys,
        Self::ClaimKeys,
        Self::DownloadMedia,
    ];

    fn operation(self) -> &'static str {
        match self {
            Self::GetVersion => "GetVersion",
            Self::GetServerKeys => "GetServerKeys",
            Self::SendTransaction => "SendTransaction",
            Self::GetEvent => "GetEvent",
            Self::GetState => "GetState",
            Self::GetStateIds => "GetStateIds",
            Self::Backfill => "Backfill",
            Self::GetMissingEvents => "GetMissingEvents",
            Self::MakeJoin => "MakeJoin",
            Self::SendJoin => "SendJoin",
            Self::Invite => "Invite",
            Self::QueryProfile => "QueryProfile",
            Self::QueryKeys => "QueryKeys",
            Self::ClaimKeys => "ClaimKeys",
            Self::DownloadMedia => "DownloadMedia",
        }
    }

    /// What all calls of it together show.
    fn claim(self) -> &'static str {
        match self {
            Self::SendTransaction => {
                "{calls} new events were pushed, each checked and authorized by the receiver"
            }
            Self::Backfill => "{calls} Backfill streamed {events} events",
            Self::GetMissingEvents => "{calls} GetMissingEvents gave {events} events",
            Self::GetState => "{calls} GetState streamed {events} events",
            Self::GetStateIds => "{calls} GetStateIds streamed {events} event IDs",
            Self::SendJoin => {
                "{calls} further joins of the large room streamed {events} state events"
            }
            Self::ClaimKeys => "{calls} one-time keys were claimed, all different ones",
            Self::Invite => "{calls} invites were signed by the invited user's server",
            Self::DownloadMedia => "{calls} files of 256 KiB arrived equal",
            Self::GetVersion
            | Self::GetServerKeys
            | Self::GetEvent
            | Self::MakeJoin
            | Self::QueryProfile
            | Self::QueryKeys => "",
        }
    }
}

impl<'a> Scene<'a> {
    /// A room that both are in, with some messages.
    async fn set(
        stage: &'a Stage<Homeserver>,
        cast: &'a Cast,
        large: &'a LargeRoom,
    ) -> Result<Self, String> {
        let house = &stage.resident.house;
        let failed = |error: comity_homeserver::ActionError| with_causes(&error);
        let public = NewRoom {
            join_rule: "public".to_owned(),
            ..NewRoom::default()
        };
        let room = house.create_room(&cast.alice, &public).map_err(failed)?;
        let to = stage.resident.name();
        stage
            .joining
            .house
            .join(&room, &cast.bob, to)
            .await
            .map_err(failed)?;
        let mut events = Vec::new();
        for number in 0..MESSAGES {
            let draft = Draft::message(&cast.alice, &format!("message {number}"));
            events.push(house.append(&room, &draft).map_err(failed)?);
        }
        house.deliver(&room, &events).await;
        let last = events.last().expect("there are messages").id().to_string();
        Ok(Self {
            stage,
            cast,
            large,
            room,
            last,
            claimed: Mutex::default(),
        })
    }

    fn to(&self) -> &ServerName {
        self.stage.resident.name()
    }

    async fn run(&self, work: Work, round: usize) -> Result<Done, String> {
        let (client, to) = (&self.stage.joining.client, self.to());
        let room_id = self.room.to_string();
        let event_id = self.last.clone();
        match work {
            Work::GetVersion => done(client.get_version(to, GetVersion::default())).await,
            Work::GetServerKeys => done(client.get_server_keys(to, GetServerKeys::default())).await,
            Work::SendTransaction => self.send_transaction(round).await,
            Work::GetEvent => {
                let request = GetEvent {
                    event_id,
                    ..GetEvent::default()
                };
                done(client.get_event(to, request)).await
            }
            Work::GetState => {
                let request = GetState {
                    room_id,
                    event_id,
                    ..GetState::default()
                };
                let begun = Instant::now();
                let mut reply = client.get_state(to, request).await.map_err(show)?;
                let mut events = 0;
                while let Some(arrival) = reply.next().await {
                    events += usize::from(is_item(arrival)?);
                }
                Ok(Done {
                    time: begun.elapsed(),
                    events,
                })
            }
            Work::GetStateIds => {
                let request = GetStateIds {
                    room_id,
                    event_id,
                    ..GetStateIds::default()
                };
                let begun = Instant::now();
                let mut reply = client.get_state_ids(to, request).await.map_err(show)?;
                let mut events = 0;
                while let Some(arrival) = reply.next().await {
                    events += usize::from(is_item(arrival)?);
                }
                Ok(Done {
                    time: begun.elapsed(),
                    events,
                })
            }
            Work::Backfill => {
                let request = Backfill {
                    room_id,
                    from: vec![event_id],
                    limit: MESSAGES as i64,
                    extra_query: Query::default(),
                };
                let begun = Instant::now();
                let mut reply = client.backfill(to, request).await.map_err(show)?;
                let mut events = 0;
                while let Some(arrival) = reply.next().await {
                    events += usize::from(is_item(arrival)?);
                }
                exactly(
                    MESSAGES,
                    Done {
                        time: begun.elapsed(),
                        events,
                    },
                )
            }
            Work::GetMissingEvents => {
                let request = GetMissingEvents {
                    room_id,
                    latest_events: vec![event_id],
                    limit: Some(MESSAGES as i64),
                    ..GetMissingEvents::default()
                };
                let (reply, time) = clocked(client.get_missing_events(to, request)).await?;
                let events = reply.events.iter().filter(|event| event.is_ok()).count();
                exactly(MESSAGES, Done { time, events })
            }
            Work::MakeJoin => {
                let request = MakeJoin {
                    room_id,
                    user_id: self.cast.guest("maybe", round).to_string(),
                    versions: vec![VERSION.to_owned()],
                    extra_query: Query::default(),
                };
                done(client.make_join(to, request)).await
            }
            Work::SendJoin => {
                let (joining, resident) = (&self.stage.joining, &self.stage.resident);
                let guest = self.cast.guest("guest", round);
                let request = join_request(joining, resident, &guest, self.large).await?;
                let begun = Instant::now();
                let events = stream_join(joining, resident, request, |_| {}).await?;
                Ok(Done {
                    time: begun.elapsed(),
                    events,
                })
            }
            Work::Invite => self.invite(round).await,
            Work::QueryProfile => {
                let request = QueryProfile {
                    user_id: self.cast.alice.to_string(),
                    ..QueryProfile::default()
                };
                done(client.query_profile(to, request)).await
            }
            Work::QueryKeys => {
                let request = QueryKeys {
                    device_keys: read_from(&json!({self.cast.alice.as_str(): [DEVICE]})),
                    extra: Members::new(),
                    extra_query: Query::default(),
                };
                done(client.query_keys(to, request)).await
            }
            Work::ClaimKeys => self.claim_keys().await,
            Work::DownloadMedia => read_file(client, to, media(), &file()).await,
        }
    }

    async fn send_transaction(&self, round: usize) -> Result<Done, String> {
        let joining = &self.stage.joining;
        let draft = Draft::message(&self.cast.bob, &format!("measured {round}"));
        let event = joining.house.append(&self.room, &draft);
        let event = event.map_err(|error| with_causes(&error))?;
        let id = format!("measured-{round}");
        let pdus = [event.pdu().clone()];
        let request = SendTransaction::new(id, joining.name(), now_ms(), pdus);
        let (reply, time) = clocked(joining.client.send_transaction(self.to(), request)).await?;
        let results = reply.pdus.read().map_err(|error| error.to_string())?;
        match results.get(event.id().as_str()) {
            Some(result) if result.error.is_none() => Ok(Done { time, events: 1 }),
            other => Err(format!("of {} was said {other:?}", event.id())),
        }
    }

    async fn invite(&self, round: usize) -> Result<Done, String> {
        let (resident, joining) = (&self.stage.resident, &self.stage.joining);
        let guest = self.cast.guest("invited", round);
        let draft = Draft::membership(&self.cast.alice, &guest, "invite");
        let invite = resident.house.append(&self.room, &draft);
        let invite = invite.map_err(|error| with_causes(&error))?;
        let create = resident.house.with_room(&self.room, |room| {
            let create = room
                .state()
                .get(&ruma_events::StateEventType::RoomCreate, "");
            create.map(|event| event.pdu().clone())
        });
        let request = Invite {
            room_id: self.room.to_string(),
            event_id: invite.id().to_string(),
            room_version: VERSION.to_owned(),
            event: invite.pdu().clone(),
            invite_room_state: create.flatten().map(|create| vec![Ok(create)]),
            extra: Members::new(),
            extra_query: Query::default(),
        };
        let (reply, time) = clocked(resident.client.invite(joining.name(), request)).await?;
        match reply.event.get("signatures") {
            Some(both) if both.as_text().contains(joining.name().as_str()) => {
                Ok(Done { time, events: 1 })
            }
            _ => Err(
                "the invite came back without the signature of the invited user's server"
                    .to_owned(),
            ),
        }
    }

    async fn claim_keys(&self) -> Result<Done, String> {
        let request = claim(&self.cast.alice);
        let client = &self.stage.joining.client;
        let (reply, time) = clocked(client.claim_keys(self.to(), request)).await?;
        let keys = reply.one_time_keys.ok_or("no keys were given")?;
        let keys = keys.value().as_text().to_owned();
        if !keys.contains(ALGORITHM) {
            return Err("no key was given".to_owned());
        }
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        match claimed.insert(keys) {
            true => Ok(Done { time, events: 0 }),
            false => Err("a key was given twice".to_owned()),
        }
    }
}

async fn done<T>(call: impl Future<Output = Result<T, CallError>>) -> Result<Done, String> {
    let (_, time) = clocked(call).await?;
    Ok(Done { time, events: 0 })
}

fn exactly(wanted: usize, done: Done) -> Result<Done, String> {
    match done.events == wanted {
        true => Ok(done),
        false => Err(format!("{} events came instead of {wanted}", done.events)),
    }
}

fn is_item<T>(arrival: Result<Arrival<T>, CallError>) -> Result<bool, String> {
    match arrival.map_err(show)? {
        Arrival::Item { .. } => Ok(true),
        Arrival::Bad { bad, .. } => Err(format!("an element {}", bad.fault)),
    }
}
