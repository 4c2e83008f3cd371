//! A room with thousands of members: made, joined, and joined once more without keeping anything, to see what the way costs.

use std::{error::Error, sync::Arc, thread, time::Instant};

use comity_core::{
    api::{Calls, SendJoin},
    call::Arrival,
    event::Pdu,
    json::ObjectWriter,
};
use comity_homeserver::{Draft, Event, Homeserver};
use ruma_common::{OwnedRoomId, RoomId, UserId};
use serde::Serialize;

use super::{
    cast::Cast,
    held::{self, same_events},
    public_room, requests,
};
use crate::demo::{
    calls::{same, show},
    heap::Peak,
    progress::Announce,
    report::{RoomReport, counted},
    stage::{Actor, Stage},
    verdict::Verdict,
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
    /// The room: each transport has its own.
    pub(crate) room: String,
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
            let room = house.create_room(&cast.alice, &public_room())?;
            for number in 0..events.saturating_sub(LEAST_EVENTS) {
                house.append(&room, &member_joins(&cast.member(number), number))?;
                if number % BATCH == 0 {
                    progress.advance(BATCH);
                }
            }
            Ok::<_, comity_homeserver::ActionError>((house, room))
        });
        let (house, id) = made.await??;
        let held = held::state(&house, &id).unwrap_or_default();
        let report = RoomReport {
            id: id.to_string(),
            version: VERSION.to_owned(),
            events: held.len(),
            bytes: held
                .iter()
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

/// Joins the room: once as a homeserver does, once by a caller that keeps nothing.
pub(crate) async fn join(
    stage: &Stage<Homeserver>,
    cast: &Cast,
    room: &LargeRoom,
    announce: Announce,
) -> Result<(LargeJoin, String), String> {
    let held = |house: &Homeserver| held::state(house, &room.id).unwrap_or_default();
    let wanted = held(&stage.resident.house);
    let _progress = announce.wait(&format!("joining it over {}", stage.wire));
    let begun = Instant::now();
    let joined = stage
        .joining
        .house
        .join(&room.id, &cast.bob, stage.resident.name())
        .await
        .map_err(show)?;
    let seconds = begun.elapsed().as_secs_f64();
    if joined.refused.count > 0 {
        let first = joined.refused.named.first().cloned().unwrap_or_default();
        let count = counted(joined.refused.count, "event");
        return Err(format!("{count} refused; {first}"));
    }
    let mut arrived = held(&stage.joining.house);
    arrived.retain(|event| event.id() != joined.event.id());
    let pdus: Vec<_> = arrived.iter().map(|event| event.pdu().clone()).collect();
    same_events(&pdus, &wanted)?;
    judge(stage, arrived).await?;

    let live_heap = heap_of_a_join(stage, cast, room).await?;
    let join = LargeJoin {
        transport: stage.wire,
        room: room.id.to_string(),
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
    let judge = Arc::new(held::judge(stage));
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
    room: &LargeRoom,
) -> Result<usize, String> {
    let guest = cast.guest("heap", 0);
    let request = requests::send_join(&stage.joining, &stage.resident, &room.id, &guest).await?;
    let mut peak = Peak::begin();
    stream_join(&stage.joining, &stage.resident, request, |_| peak.sample()).await?;
    Ok(peak.above())
}

/// Sends a join and gives each event of the reply to `look`, keeping none. Gives the number of state events: as many as the resident server
/// held.
pub(crate) async fn stream_join(
    joining: &Actor<Homeserver>,
    resident: &Actor<Homeserver>,
    request: SendJoin,
    mut look: impl FnMut(&Pdu),
) -> Result<usize, String> {
    let held = RoomId::parse(&request.room_id)
        .ok()
        .and_then(|room| resident.house.with_room(&room, |room| room.state().len()));
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
    same(Some(state), &held)?;
    Ok(state)
}
