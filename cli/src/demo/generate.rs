//! A room of the demo's own making: members of several servers join, then set a display name, so that half of the
//! events are current state and half are in its auth chain, as in a real public room.

use std::thread;

use comity_core::{ServerName, auth::SigningKey};
use ruma_common::{CanonicalJsonObject, CanonicalJsonValue, RoomVersionId};
use ruma_signatures::{JsonError, PublicKeyMap};

use super::{
    progress::Progress,
    room::{Held, Room, event_id, integer, object, pdu_of, references, room_id_of_create, sign},
    verdict::Judge,
};

/// A server whose users are in the room.
#[derive(Debug)]
pub(crate) struct Signer {
    pub(crate) name: ServerName,
    pub(crate) key: SigningKey,
}

/// Create, creator's join, power levels, join rules.
pub(crate) const LEAST_EVENTS: usize = 4;

/// Makes a room of `count` events (at least [`LEAST_EVENTS`]), on all cores.
pub(crate) fn generate(
    count: usize,
    signers: &[Signer],
    keys: PublicKeyMap,
    now: i64,
    progress: &Progress,
) -> Result<Room, JsonError> {
    let judge = Judge::new(RoomVersionId::V12, keys).expect("ruma knows room version 12");
    let mut base = Branch::new(&judge, String::new(), Vec::new(), now, 0);
    let creator = format!("@founder:{}", signers[0].name);
    let version = object([("room_version", "12".into())]);
    base.push(
        &signers[0],
        "m.room.create",
        &creator,
        Some(""),
        version,
        &[],
    )?;
    let create: CanonicalJsonObject = base.events[0]
        .pdu
        .value()
        .to()
        .expect("made from such an object");
    let room_id = room_id_of_create(&judge, &create)?.expect("the hash gives it");
    base.room_id.clone_from(&room_id);
    let membership = object([("membership", "join".into())]);
    let member = base.push(
        &signers[0],
        "m.room.member",
        &creator,
        Some(&creator),
        membership,
        &[],
    )?;
    let levels = object([
        ("users_default", integer(0)),
        ("events_default", integer(0)),
    ]);
    let levels = base.push(
        &signers[0],
        "m.room.power_levels",
        &creator,
        Some(""),
        levels,
        &[&member],
    )?;
    let rules = object([("join_rule", "public".into())]);
    let rules = base.push(
        &signers[0],
        "m.room.join_rules",
        &creator,
        Some(""),
        rules,
        &[&levels, &member],
    )?;

    let mut events = base.events;
    let users = (count - LEAST_EVENTS).div_ceil(2);
    let lanes = thread::available_parallelism()
        .map_or(2, usize::from)
        .min(16);
    let made: Vec<Result<Vec<Held>, JsonError>> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes)
            .map(|lane| {
                let mut branch = Branch::new(
                    &judge,
                    room_id.clone(),
                    vec![rules.clone()],
                    now,
                    LEAST_EVENTS as i64,
                );
                let auth = [levels.as_str(), rules.as_str()];
                let users = (lane..users).step_by(lanes);
                scope.spawn(move || {
                    for user in users {
                        branch.push_member(&signers[user % signers.len()], user, auth)?;
                        progress.advance(2);
                    }
                    Ok(branch.events)
                })
            })
            .collect();
        lanes
            .into_iter()
            .map(|lane| lane.join().expect("making events does not panic"))
            .collect()
    });
    for lane in made {
        events.extend(lane?);
    }
    // An odd count leaves the last user with one event.
    events.truncate(count);
    for (place, event) in events.iter_mut().enumerate() {
        event.label = format!("event {place}");
    }
    Ok(Room::new(room_id, judge, events))
}

/// A line of events, each on top of the one before.
struct Branch<'a> {
    judge: &'a Judge,
    room_id: String,
    previous: Vec<String>,
    now: i64,
    depth: i64,
    events: Vec<Held>,
}

impl<'a> Branch<'a> {
    fn new(judge: &'a Judge, room_id: String, previous: Vec<String>, now: i64, depth: i64) -> Self {
        Self {
            judge,
            room_id,
            previous,
            now,
            depth,
            events: Vec::new(),
        }
    }

    /// A join, and the same again with a display name: the second is authorised by the first, among others.
    fn push_member(
        &mut self,
        signer: &Signer,
        user: usize,
        auth: [&str; 2],
    ) -> Result<(), JsonError> {
        let id = format!("@member-{user}:{}", signer.name);
        let join = object([("membership", "join".into())]);
        let join = self.push(signer, "m.room.member", &id, Some(&id), join, &auth)?;
        let named = object([
            ("membership", "join".into()),
            // Beyond ASCII, with characters that JSON escapes: what a careless wire would change.
            (
                "displayname",
                format!("Member № {user} \"\u{1f6f0}\"\t").into(),
            ),
            (
                "avatar_url",
                format!("mxc://{}/avatar{user}", signer.name).into(),
            ),
        ]);
        self.push(
            signer,
            "m.room.member",
            &id,
            Some(&id),
            named,
            &[auth[0], auth[1], &join],
        )?;
        Ok(())
    }

    fn push(
        &mut self,
        signer: &Signer,
        kind: &str,
        sender: &str,
        state_key: Option<&str>,
        content: CanonicalJsonValue,
        auth: &[&str],
    ) -> Result<String, JsonError> {
        self.depth += 1;
        let previous = self.previous.iter().map(String::as_str).collect();
        let mut event: CanonicalJsonObject = [
            ("type", kind.into()),
            ("sender", sender.into()),
            ("content", content),
            ("prev_events", references(self.judge, previous)),
            ("auth_events", references(self.judge, auth.to_vec())),
            ("depth", integer(self.depth)),
            ("origin_server_ts", integer(self.now + self.depth)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if let Some(state_key) = state_key {
            event.insert("state_key".to_owned(), state_key.into());
        }
        // SS room version 12: the create event has no `room_id`, as it makes it.
        if kind != "m.room.create" {
            event.insert("room_id".to_owned(), self.room_id.as_str().into());
        }
        let id = sign(self.judge, &signer.name, &signer.key, &mut event)?;
        debug_assert_eq!(event_id(self.judge, &event)?, id);
        self.events.push(Held {
            pdu: pdu_of(&event)?,
            id: id.clone(),
            label: String::new(),
            state: state_key.map(|key| (kind.to_owned(), key.to_owned())),
            previous: std::mem::replace(&mut self.previous, vec![id.clone()]),
            depth: self.depth,
        });
        Ok(id)
    }
}
