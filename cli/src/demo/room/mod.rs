//! A real room, over each transport in turn: two homeservers, the same implementation each time.
//!
//! `cast` is who plays; `story` what happens, step by step, and what each step proves; `large` the join of a large room; `work` the
//! measured calls. `requests` makes what is asked, `odd` asks it with what nobody knows, and `held` tells whether what arrived is what the
//! other server holds.

mod cast;
mod held;
mod large;
mod odd;
mod requests;
mod story;
mod work;

use std::error::Error;

use comity_homeserver::{Homeserver, NewRoom};

use super::{
    Options, Outcome,
    findings::Findings,
    progress::Announce,
    stage::{Identity, Stage, Wire},
};
use cast::{Cast, add_users};
use large::LargeRoom;

pub(crate) use large::{LEAST_EVENTS, LargeJoin};

/// Plays it.
pub(crate) async fn run(
    options: &Options,
    (joining, resident): (&Identity, &Identity),
    announce: Announce,
    findings: &mut Findings,
) -> Result<Outcome, Box<dyn Error>> {
    let mut stages = Vec::new();
    for wire in Wire::ALL {
        let stage = Stage::start(wire, joining, resident, |identity, client, keys| {
            let (name, key) = (identity.name.clone(), identity.key.clone());
            Ok(Homeserver::new(name, key, client, keys).into())
        });
        stages.push(stage.await?);
    }
    let cast = Cast::new(&joining.name, &resident.name);
    for stage in &stages {
        add_users(&stage.resident.house, &cast, options.calls);
    }

    let mut played = Vec::new();
    for stage in &stages {
        let progress = announce.stage(&format!("a room over {}", stage.wire), story::STEPS);
        played.push(story::play(stage, &cast, &progress).await);
    }
    for step in 0..story::STEPS {
        let results = stages.iter().zip(&played);
        findings.conclude(
            results.filter_map(|(stage, played)| Some((stage.wire, played.get(step)?.clone()))),
        );
    }

    let mut rooms = Vec::new();
    let mut joins = Vec::new();
    let mut results = Vec::new();
    for stage in &stages {
        let room = LargeRoom::make(&stage.resident.house, &cast, options.events, announce).await?;
        match large::join(stage, &cast, &room, announce).await {
            Ok((join, claim)) => {
                joins.push(join);
                results.push((stage.wire, Ok(claim)));
            }
            Err(why) => results.push((stage.wire, Err(format!("the large join: {why}")))),
        }
        rooms.push(room);
    }
    findings.conclude(results);
    let calls = match findings.differences.is_empty() {
        true => work::measure_all(&stages, &cast, &rooms, options, announce, findings).await,
        // What is wrong already is not worth a time.
        false => Vec::new(),
    };
    let room = rooms.remove(0).report;
    let transports = stages.iter().map(|stage| stage.wire).collect();
    for stage in stages {
        stage.stop().await;
    }
    Ok(Outcome {
        room,
        transports,
        joins,
        calls,
        skipped: Vec::new(),
    })
}

/// A room that anyone may join.
fn public_room() -> NewRoom {
    NewRoom {
        join_rule: "public".to_owned(),
        ..NewRoom::default()
    }
}
