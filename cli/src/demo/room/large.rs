//! A room with thousands of members: made, joined, and joined once more without keeping anything, to see what the way costs.

use std::{collections::HashMap, error::Error, sync::Arc, thread, time::Instant};

use comity_core::{
    api::{Calls, MakeJoin, SendJoin},
    call::Arrival,
    endpoint::Query,
    event::{Pdu, room_version::RoomVersions, sign_event},
    json::{Object, ObjectWriter},
};
use comity_homeserver::{Draft, Event, Homeserver, NewRoom};
use ruma_common::{OwnedEventId, OwnedRoomId, RoomVersionId, UserId};
use ruma_signatures::PublicKeyMap;
use serde::Serialize;

use super::cast::Cast;
use crate::demo::{
    add_key,
    calls::show,
    heap::Peak,
    progress::Announce,
    report::{RoomReport, counted},
    stage::{Actor, Stage},
    verdict::{Judge, Verdict},
};

/// The room version of all rooms of the demo's own.
pub(crate) const VERSION: &str = "12";

/// Create, creator's join, power levels, join rules, history visibility.
pub(crate) const LEAST_EVENTS: usize = 5;

/// Events that are made between two looks at the clock of the progress bar.
const BATCH: usize = 500;

/// A room with many members on the resident server.
#[derive(Debug)]
pub(crate) struct LargeRoom {
    pub(crate) id: OwnedRoomId,
    pub(crate) report: RoomReport,
}

/// What the join of the large room took over one transport.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LargeJoin {
    pub(crate) transport: &'static str,
    /// State events that were taken in.
    pub(crate) events: usize,
    /// From the question for a template to the room, every event checked and authorized.
    pub(crate) seconds: f64,
    /// Both servers together, in bytes, above what was held before, while such a reply streams and nothing of it is kept.
    pub(crate) live_heap: usize,
}

impl LargeRoom {
    /// Makes a room of `events` state events.
    pub(crate) async fn make(
        house: &Arc<Homeserver>,
        cast: &Cast,
        events: usize,
        announce: Announce,
    ) -> Result<Self, Box<dyn Error>> {
        let progress = announce.stage("making and signing a large room", events);
        let (house, cast) = (house.clone(), cast.clone());
        let made = tokio::task::spawn_blocking(move || {
            let public = NewRoom {
                join_rule: "public".to_owned(),
                ..NewRoom::default()
            };
            let room = house.create_room(&cast.alice, &public)?;
            for number in 0..events.saturating_sub(LEAST_EVENTS) {
                house.append(&room, &member_joins(&cast.member(number), number))?;
                if number % BATCH == 0 {
                    progress.advance(BATCH);
                }
            }
            Ok::<_, comity_homeserver::ActionError>((house, room))
        });
        let (house, id) = made.await??;
        let held = events_of(&house, &id);
        let report = RoomReport {
            id: id.to_string(),
            version: VERSION.to_owned(),
            events: held.len(),
            bytes: held
                .values()
                .map(|event| event.pdu().value().as_bytes().len())
                .sum(),
            source: "made here".to_owned(),
            repeated: 0,
        };
        Ok(Self { id, report })
    }
}

fn member_joins(user: &UserId, number: usize) -> Draft {
    let mut content = ObjectWriter::new();
    content
        .string("membership", "join")
        .string("displayname", &format!("Member № {number} \"\u{1f6f0}\"\t"))
        .string(
            "avatar_url",
            &format!("mxc://{}/avatar{number}", user.server_name()),
        );
    let content = content.into_object();
    Draft::state(user, "m.room.member", user.as_str(), content)
}

fn events_of(house: &Homeserver, room: &OwnedRoomId) -> HashMap<OwnedEventId, Arc<Event>> {
    let events = house.with_room(room, |room| {
        let events = room.state().events();
        events
            .map(|event| (event.id().to_owned(), event.clone()))
            .collect()
    });
    events.unwrap_or_default()
}

/// Joins the room: once as a homeserver does, once by a caller that keeps nothing.
pub(crate) async fn join(
    stage: &Stage<Homeserver>,
    cast: &Cast,
    room: &LargeRoom,
    announce: Announce,
) -> Result<(LargeJoin, String), String> {
    let wanted = events_of(&stage.resident.house, &room.id);
    let _progress = announce.stage(&format!("joining it over {}", stage.wire), wanted.len());
    let begun = Instant::now();
    let joined = stage
        .joining
        .house
        .join(&room.id, &cast.bob, stage.resident.name())
        .await
        .map_err(|error| with_causes(&error))?;
    let seconds = begun.elapsed().as_secs_f64();
    if joined.refused.count > 0 {
        let first = joined.refused.named.first().cloned().unwrap_or_default();
        let count = counted(joined.refused.count, "event");
        return Err(format!("{count} refused; {first}"));
    }
    let mut arrived = events_of(&stage.joining.house, &room.id);
    arrived.remove(joined.event.id());
    for (id, event) in &wanted {
        match arrived.get(id) {
            Some(other) if other.pdu().value().text() == event.pdu().value().text() => {}
            Some(_) => return Err(format!("{id} arrived changed")),
            None => return Err(format!("{id} is missing")),
        }
    }
    if arrived.len() != wanted.len() {
        let (arrived, wanted) = (arrived.len(), wanted.len());
        return Err(format!(
            "{arrived} state events arrived instead of {wanted}"
        ));
    }
    judge(stage, arrived.into_values().collect()).await?;

    let live_heap = heap_of_a_join(stage, cast, &wanted, room).await?;
    let join = LargeJoin {
        transport: stage.wire,
        events: wanted.len(),
        seconds,
        live_heap,
    };
    let claim = format!(
        "a room of {} was joined: each equal byte for byte, its hash and signature good by ruma-signatures, too, and allowed by its auth events",
        counted(wanted.len(), "state event")
    );
    Ok((join, claim))
}

/// By an implementation that is not ours, on all cores.
async fn judge(stage: &Stage<Homeserver>, events: Vec<Arc<Event>>) -> Result<(), String> {
    let mut keys = PublicKeyMap::new();
    for actor in [&stage.joining, &stage.resident] {
        add_key(&mut keys, actor.name().as_str(), &actor.identity.key);
    }
    let version = RoomVersionId::try_from(VERSION).expect("ruma knows it");
    let judge = Arc::new(Judge::new(version, keys).expect("ruma knows its rules"));
    let judged = tokio::task::spawn_blocking(move || {
        let lanes = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let lanes: Vec<_> = events
                .chunks(events.len().div_ceil(lanes).max(1))
                .map(|events| {
                    let judge = &judge;
                    scope.spawn(move || {
                        events
                            .iter()
                            .find_map(|event| match judge.judge(event.pdu()) {
                                Verdict::Good => None,
                                other => Some(format!("{} is {other:?}", event.id())),
                            })
                    })
                })
                .collect();
            lanes
                .into_iter()
                .find_map(|lane| lane.join().expect("judging does not panic"))
        })
    });
    match judged.await.map_err(|error| error.to_string())? {
        None => Ok(()),
        Some(why) => Err(why),
    }
}

async fn heap_of_a_join(
    stage: &Stage<Homeserver>,
    cast: &Cast,
    wanted: &HashMap<OwnedEventId, Arc<Event>>,
    room: &LargeRoom,
) -> Result<usize, String> {
    let request = join_request(
        &stage.joining,
        &stage.resident,
        &cast.guest("heap", 0),
        room,
    )
    .await?;
    let mut peak = Peak::begin();
    let state = stream_join(&stage.joining, &stage.resident, request, |_| peak.sample()).await?;
    // Bob and this guest came behind the members.
    match state >= wanted.len() {
        true => Ok(peak.above()),
        false => Err(format!(
            "{state} state events arrived instead of {}",
            wanted.len()
        )),
    }
}

/// A signed join of `user`, on the template that the resident server gives.
pub(crate) async fn join_request(
    joining: &Actor<Homeserver>,
    resident: &Actor<Homeserver>,
    user: &UserId,
    room: &LargeRoom,
) -> Result<SendJoin, String> {
    let request = MakeJoin {
        room_id: room.id.to_string(),
        user_id: user.to_string(),
        versions: vec![VERSION.to_owned()],
        extra_query: Query::default(),
    };
    let reply = joining
        .client
        .make_join(resident.name(), request)
        .await
        .map_err(show)?;
    let template = reply.event.ok_or("the template is missing")?;
    let template = Object::from_value(template.value()).ok_or("the template is no object")?;
    let versions = RoomVersions::matrix();
    let version = versions.get(VERSION).expect("it is registered").rules();
    let identity = &joining.identity;
    let (event_id, event) = sign_event(&**version, &template, &identity.name, &identity.key)
        .map_err(|error| error.to_string())?;
    Ok(SendJoin {
        room_id: room.id.to_string(),
        event_id,
        event,
        omit_members: None,
        extra_query: Query::default(),
    })
}

/// Sends a join and gives each event of the reply to `look`, keeping none. Gives the number of state events.
pub(crate) async fn stream_join(
    joining: &Actor<Homeserver>,
    resident: &Actor<Homeserver>,
    request: SendJoin,
    mut look: impl FnMut(&Pdu),
) -> Result<usize, String> {
    let mut reply = joining
        .client
        .send_join(resident.name(), request)
        .await
        .map_err(show)?;
    let mut state = 0;
    while let Some(arrival) = reply.next().await {
        match arrival.map_err(show)? {
            Arrival::Item { array, item } => {
                look(&item);
                state += usize::from(array == "state");
            }
            Arrival::Bad { array, bad } => {
                return Err(format!("element {} of `{array}` {}", bad.index, bad.fault));
            }
        }
    }
    reply.finish().await.map_err(show)?;
    Ok(state)
}

/// An error with its causes.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
