//! The measured calls: every operation that the example homeserver has.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use comity_core::{
    ServerName,
    api::{
        Backfill, Calls, GetEvent, GetMissingEvents, GetServerKeys, GetState, GetStateIds,
        GetVersion, QueryProfile, SendTransaction,
    },
    auth::now_ms,
    endpoint::Query,
    error::CallError,
    event::{Listed, Pdu},
};
use comity_homeserver::{Draft, Event, Homeserver};
use ruma_common::OwnedRoomId;

use super::{
    cast::{ALGORITHM, Cast},
    held::{self, Before, same_events, same_ids},
    large::{LargeRoom, stream_join},
    public_room, requests,
};
use crate::demo::{
    Options,
    calls::{clocked, read_file, show, streamed},
    findings::Findings,
    mascot,
    measure::{Done, Row, Task, measure},
    progress::Announce,
    stage::{Actor, Stage},
    verdict::Judge,
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
    last: Arc<Event>,
    /// The state before it.
    before: Before,
    /// It and all before it, the latest first.
    history: Vec<Arc<Event>>,
    judge: Judge,
    /// What was claimed so far.
    claimed: Mutex<BTreeSet<String>>,
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

/// An operation that is measured.
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
                "{calls} new events were pushed, each taken without an error and held byte for byte by the receiver"
            }
            Self::GetEvent => "{calls} GetEvent gave an event, equal byte for byte",
            Self::Backfill => "{calls} Backfill streamed {events} events, equal byte for byte",
            Self::GetMissingEvents => {
                "{calls} GetMissingEvents gave {events} events, equal byte for byte"
            }
            Self::GetState => "{calls} GetState streamed {events} events, equal byte for byte",
            Self::GetStateIds => {
                "{calls} GetStateIds streamed {events} event IDs, those of the state and its auth chain"
            }
            Self::SendJoin => {
                "{calls} further joins of the large room streamed {events} state events, as many as it had"
            }
            Self::ClaimKeys => "{calls} one-time keys were claimed, all different ones",
            Self::Invite => {
                "{calls} invites came back with good signatures of both servers, by ruma-signatures"
            }
            Self::DownloadMedia => "{calls} files of 256 KiB arrived equal",
            Self::GetVersion
            | Self::GetServerKeys
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
        let room = house
            .create_room(&cast.alice, &public_room())
            .map_err(show)?;
        let to = stage.resident.name();
        stage
            .joining
            .house
            .join(&room, &cast.bob, to)
            .await
            .map_err(show)?;
        let mut events = Vec::new();
        for number in 0..MESSAGES {
            let draft = Draft::message(&cast.alice, &format!("message {number}"));
            events.push(house.append(&room, &draft).map_err(show)?);
        }
        house.deliver(&room, &events).await;
        let last = events.pop().expect("there are messages");
        let before = Before::event(house, &room, last.id());
        let before = before.ok_or("the room has no state before its last event")?;
        let history = held::history(house, &room, &[last.id().to_owned()]);
        Ok(Self {
            stage,
            cast,
            large,
            room,
            last,
            before,
            history,
            judge: held::judge(stage),
            claimed: Mutex::default(),
        })
    }

    fn to(&self) -> &ServerName {
        self.stage.resident.name()
    }

    async fn run(&self, work: Work, round: usize) -> Result<Done, String> {
        let (client, to) = (&self.stage.joining.client, self.to());
        let room_id = self.room.to_string();
        let event_id = self.last.id().to_string();
        match work {
            Work::GetVersion => done(client.get_version(to, GetVersion::default())).await,
            Work::GetServerKeys => done(client.get_server_keys(to, GetServerKeys::default())).await,
            Work::SendTransaction => self.send_transaction(round).await,
            Work::GetEvent => {
                let request = GetEvent {
                    event_id,
                    ..GetEvent::default()
                };
                let (reply, time) = clocked(client.get_event(to, request)).await?;
                let events = all(reply.pdus)?;
                same_events(&events, std::slice::from_ref(&self.last))?;
                Ok(Done { time, events: 1 })
            }
            Work::GetState => {
                let request = GetState {
                    room_id,
                    event_id,
                    ..GetState::default()
                };
                let (arrived, time) = streamed(client.get_state(to, request)).await?;
                same_events(arrived.array("pdus"), &self.before.state)?;
                same_events(arrived.array("auth_chain"), &self.before.auth_chain)?;
                Ok(Done {
                    time,
                    events: self.before.len(),
                })
            }
            Work::GetStateIds => {
                let request = GetStateIds {
                    room_id,
                    event_id,
                    ..GetStateIds::default()
                };
                let (arrived, time) = streamed(client.get_state_ids(to, request)).await?;
                same_ids(arrived.array("pdu_ids"), &self.before.state)?;
                same_ids(arrived.array("auth_chain_ids"), &self.before.auth_chain)?;
                Ok(Done {
                    time,
                    events: self.before.len(),
                })
            }
            Work::Backfill => {
                let request = Backfill {
                    room_id,
                    from: vec![event_id],
                    limit: MESSAGES as i64,
                    extra_query: Query::default(),
                };
                let (arrived, time) = streamed(client.backfill(to, request)).await?;
                // The events asked from are part of the reply.
                same_events(arrived.array("pdus"), &self.history[..MESSAGES])?;
                Ok(Done {
                    time,
                    events: MESSAGES,
                })
            }
            Work::GetMissingEvents => {
                let request = GetMissingEvents {
                    room_id,
                    latest_events: vec![event_id],
                    limit: Some(MESSAGES as i64),
                    ..GetMissingEvents::default()
                };
                let (reply, time) = clocked(client.get_missing_events(to, request)).await?;
                // Here they are not.
                same_events(&all(reply.events)?, &self.history[1..=MESSAGES])?;
                Ok(Done {
                    time,
                    events: MESSAGES,
                })
            }
            Work::MakeJoin => {
                let guest = self.cast.guest("maybe", round);
                done(client.make_join(to, requests::make_join(&self.room, &guest))).await
            }
            Work::SendJoin => {
                let (joining, resident) = (&self.stage.joining, &self.stage.resident);
                let guest = self.cast.guest("guest", round);
                let request =
                    requests::send_join(joining, resident, &self.large.id, &guest).await?;
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
                done(client.query_keys(to, requests::query_keys(&self.cast.alice))).await
            }
            Work::ClaimKeys => self.claim_keys().await,
            Work::DownloadMedia => read_file(client, to, &mascot::bytes()).await,
        }
    }

    async fn send_transaction(&self, round: usize) -> Result<Done, String> {
        let joining = &self.stage.joining;
        let draft = Draft::message(&self.cast.bob, &format!("measured {round}"));
        let event = joining.house.append(&self.room, &draft);
        let event = event.map_err(show)?;
        let id = format!("measured-{round}");
        let pdus = [event.pdu().clone()];
        let request = SendTransaction::new(id, joining.name(), now_ms(), pdus);
        let (reply, time) = clocked(joining.client.send_transaction(self.to(), request)).await?;
        let results = reply.pdus.read().map_err(|error| error.to_string())?;
        match results.get(event.id().as_str()) {
            Some(result) if result.error.is_none() => {}
            other => return Err(format!("of {} was said {other:?}", event.id())),
        }
        held::holds(&self.stage.resident.house, &self.room, &event)?;
        Ok(Done { time, events: 1 })
    }

    async fn invite(&self, round: usize) -> Result<Done, String> {
        let (resident, joining) = (&self.stage.resident, &self.stage.joining);
        let guest = self.cast.guest("invited", round);
        let request = requests::invite(resident, &self.room, &self.cast.alice, &guest)?;
        let (reply, time) = clocked(resident.client.invite(joining.name(), request)).await?;
        self.judge
            .is_signed_by(&reply.event, &[resident.name(), joining.name()])?;
        Ok(Done { time, events: 1 })
    }

    async fn claim_keys(&self) -> Result<Done, String> {
        let request = requests::claim_keys(&self.cast.alice);
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

/// The events of a list, if each of them is one.
fn all(listed: Vec<Listed<Pdu>>) -> Result<Vec<Pdu>, String> {
    let events = listed.into_iter();
    events
        .map(|event| event.map_err(|bad| format!("element {} {}", bad.index, bad.fault)))
        .collect()
}
