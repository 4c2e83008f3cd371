//! `--room FILE`: real events, carried over each transport and compared byte for byte.
//!
//! No authorization rules are applied to them, as a file seldom has all that these need: `house` holds and gives what the `file` says.

mod file;
mod house;
mod joins;
mod room;
mod work;

use std::{error::Error, path::Path, sync::Arc};

use comity_core::auth::now_ms;
use ruma_signatures::PublicKeyMap;

pub(crate) use file::FileError;

use super::{
    Options, Outcome, add_key,
    findings::Findings,
    measure::{Task, measure},
    progress::Announce,
    report::RoomReport,
    stage::{Identity, Stage, Wire},
};
use file::{FromFile, read_keys, read_room};
use house::House;
use work::{Errand, Work};

/// Carries the events of the file at `path`.
pub(crate) async fn run(
    path: &Path,
    options: &Options,
    (joining, resident): (&Identity, &Identity),
    announce: Announce,
    findings: &mut Findings,
) -> Result<Outcome, Box<dyn Error>> {
    let now = now_ms();
    let mut keys = match &options.keys {
        Some(path) => read_keys(path)?,
        None => PublicKeyMap::new(),
    };
    // For the join on top of the room.
    add_key(&mut keys, joining.name.as_str(), &joining.key);
    let FromFile {
        room,
        skipped,
        repeated,
    } = read_room(path, options.room_version.as_deref(), keys)?;
    let room = Arc::new(room);
    let report = RoomReport {
        id: room.id.clone(),
        version: room.judge.version().to_string(),
        events: room.events().len(),
        bytes: room
            .events()
            .iter()
            .map(|event| event.pdu.value().as_bytes().len())
            .sum(),
        source: path.display().to_string(),
        repeated,
    };

    let guest = Arc::new(House::new(
        joining.name.clone(),
        joining.key_document()?,
        None,
    ));
    let house = Arc::new(House::new(
        resident.name.clone(),
        resident.key_document()?,
        Some(room.clone()),
    ));
    let mut stages = Vec::new();
    for wire in Wire::ALL {
        let open = |identity: &Identity, _, _| {
            Ok(if identity.name == joining.name {
                guest.clone()
            } else {
                house.clone()
            })
        };
        stages.push(Stage::start(wire, joining, resident, open).await?);
    }
    let (join, join_id) = room.join(
        &format!("@guest:{}", joining.name),
        &joining.name,
        &joining.key,
        now,
    )?;
    let errand = Errand {
        from: joining.name.clone(),
        to: resident.name.clone(),
        house,
        room,
        join,
        join_id,
        now,
    };

    findings.unchecked.push(
        "what the room's rules allow: no authorization rules were applied to any event, and no state was resolved, as a file seldom has all that \
         these need"
            .to_owned(),
    );
    joins::check_events(&stages, &errand, announce, findings).await;
    let mut calls = Vec::new();
    for work in Work::ALL {
        let task = Task {
            operation: work.operation(),
            calls: match work {
                Work::Join => options.joins(),
                // As many as it takes to carry each event at least once.
                _ => options.calls.max(errand.rounds(work)),
            },
            claim: work.claim(),
        };
        let call = async |stage: &Stage<House>, round| {
            errand.run(work, &stage.joining.client, round).await
        };
        calls.extend(
            measure(
                &stages,
                task,
                |stage| &stage.joining,
                announce,
                findings,
                call,
            )
            .await,
        );
    }
    let transports = stages.iter().map(|stage| stage.wire).collect();
    for stage in stages {
        stage.stop().await;
    }
    Ok(Outcome {
        room: report,
        transports,
        joins: Vec::new(),
        calls,
        skipped,
    })
}
