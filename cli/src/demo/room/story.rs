//! What happens in a room, step by step. Each step ends with what it proved.

use std::collections::BTreeSet;

use comity_core::{
    ServerName,
    api::{Backfill, Calls, GetEvent, GetState, GetStateIds, QueryProfile, SendTransaction},
    auth::{SigningKey, now_ms},
    endpoint::Query,
    error::CallError,
    event::{BadEvent, EventFault, Pdu, room_version::RoomVersions, sign_event},
    json::{Object, Value},
};
use comity_homeserver::{ActionError, Draft, Event, Homeserver, NewRoom, Sent};
use ruma_common::OwnedRoomId;
use ruma_events::StateEventType;
use serde_json::json;

use super::{
    cast::{ALGORITHM, Cast, DEVICE, value},
    held::{self, Before, same_events, same_ids},
    large::VERSION,
    odd, public_room, requests,
};
use crate::demo::{
    calls::{read_file, same, show, streamed},
    checks, mascot,
    progress::Progress,
    report::counted,
    stage::{Actor, Stage},
};

/// How many steps there are.
pub(crate) const STEPS: usize = 15;

/// Events that the joining server has to ask for.
const MISSED: usize = 5;

/// What each step proved, up to the first that failed.
pub(crate) async fn play(
    stage: &Stage<Homeserver>,
    cast: &Cast,
    progress: &Progress,
) -> Vec<Result<String, String>> {
    let mut claims = Vec::new();
    let mut note = |claim: String| {
        progress.advance(1);
        claims.push(Ok(claim));
    };
    if let Err(why) = act(stage, cast, &mut note).await {
        claims.push(Err(why));
    }
    claims
}

async fn act(
    stage: &Stage<Homeserver>,
    cast: &Cast,
    note: &mut impl FnMut(String),
) -> Result<(), String> {
    let (room, claim) = create(stage, cast)?;
    note(claim);
    let story = Story { stage, cast, room };
    note(story.join().await?);
    note(story.talk().await?);
    note(story.miss_events().await?);
    note(story.invite().await?);
    note(story.backfill().await?);
    note(story.fetch_state().await?);
    note(story.refuse_events().await?);
    note(story.profile().await?);
    note(story.device_keys().await?);
    note(story.media().await?);
    let calls = odd::calls(stage, cast, &story.room).await?;
    note(checks::signed_bytes(&stage.joining, &stage.resident, &calls).await?);
    note(checks::refusals(&stage.joining, &stage.resident, &calls).await?);
    note(checks::an_error(&stage.joining, &stage.resident).await?);
    held::agree(stage, &story.room)?;
    note("in the end both servers had the same state".to_owned());
    Ok(())
}

fn create(stage: &Stage<Homeserver>, cast: &Cast) -> Result<(OwnedRoomId, String), String> {
    let house = &stage.resident.house;
    let room = house
        .create_room(&cast.alice, &public_room())
        .map_err(show)?;
    let create = house.with_room(&room, |room| {
        let create = room.state().get(&StateEventType::RoomCreate, "");
        create.map(|event| event.id().as_str().replacen('$', "!", 1))
    });
    same(create.flatten().as_deref(), &Some(room.as_str()))?;
    let claim =
        format!("a room of version {VERSION} was made; its ID is the hash of its create event");
    Ok((room, claim))
}

struct Story<'a> {
    stage: &'a Stage<Homeserver>,
    cast: &'a Cast,
    room: OwnedRoomId,
}

impl Story<'_> {
    fn joining(&self) -> &Actor<Homeserver> {
        &self.stage.joining
    }

    fn resident(&self) -> &Actor<Homeserver> {
        &self.stage.resident
    }

    fn to(&self) -> &ServerName {
        self.resident().name()
    }

    async fn join(&self) -> Result<String, String> {
        let joined = self
            .joining()
            .house
            .join(&self.room, &self.cast.bob, self.to())
            .await
            .map_err(show)?;
        same(joined.refused.count, &0)?;
        same(joined.room_version.as_str(), &VERSION)?;
        held::agree(self.stage, &self.room)?;
        Ok(format!(
            "it was joined by MakeJoin and SendJoin: {} checked and authorized, the same state on both servers",
            counted(joined.state, "state event")
        ))
    }

    async fn talk(&self) -> Result<String, String> {
        for number in 0..4 {
            let (from, to, user) = match number % 2 {
                0 => (self.resident(), self.joining(), &self.cast.alice),
                _ => (self.joining(), self.resident(), &self.cast.bob),
            };
            let body = format!("message {number}: żółw \u{1f422} \"quoted\" \\ \u{7}");
            let sent = from.house.send_message(&self.room, user, &body).await;
            let sent = sent.map_err(show)?;
            accepted(&sent)?;
            self.holds(to, &sent.event)?;
        }
        Ok(
            "messages went both ways; each was taken without an error and held byte for byte"
                .to_owned(),
        )
    }

    /// The joining server was not told of some events: it asks for them when the next one comes.
    async fn miss_events(&self) -> Result<String, String> {
        let mut missed = Vec::new();
        for number in 0..MISSED {
            let draft = Draft::message(&self.cast.alice, &format!("unheard {number}"));
            let event = self.resident().house.append(&self.room, &draft);
            missed.push(event.map_err(show)?);
        }
        let sent = self
            .resident()
            .house
            .send_message(&self.room, &self.cast.alice, "heard")
            .await;
        accepted(&sent.map_err(show)?)?;
        for event in &missed {
            self.holds(self.joining(), event)?;
        }
        Ok(format!(
            "{} that were never pushed were fetched by GetMissingEvents when the next one came",
            counted(MISSED, "event")
        ))
    }

    /// To a room that the joining server is not in.
    async fn invite(&self) -> Result<String, String> {
        let (alice, carol) = (&self.cast.alice, &self.cast.carol);
        let house = &self.resident().house;
        let private = house.create_room(alice, &NewRoom::default());
        let private = private.map_err(show)?;
        let uninvited = self
            .joining()
            .house
            .join(&private, &self.cast.bob, self.to())
            .await;
        match uninvited {
            Err(ActionError::Call {
                source: CallError::Federation(error),
                ..
            }) if error.http_status() == 403 && error.errcode() == Some("M_FORBIDDEN") => {}
            Err(error) => {
                return Err(format!(
                    "a user who was not invited failed to join for another reason: {}",
                    show(error)
                ));
            }
            Ok(_) => {
                return Err("a user who was not invited joined a room for invited ones".to_owned());
            }
        }
        let sent = house.invite(&private, alice, carol).await;
        sent.map_err(show)?;
        let invitations = self.joining().house.invitations(carol);
        let invitation = invitations
            .iter()
            .find(|invitation| invitation.room_id == private)
            .ok_or("the invitation did not arrive")?;
        let both = [self.joining().name(), self.resident().name()];
        held::judge(self.stage).is_signed_by(&invitation.event, &both)?;
        let joined = self
            .joining()
            .house
            .join(&private, carol, &invitation.via)
            .await;
        same(joined.map_err(show)?.refused.count, &0)?;
        Ok("a user was invited to a room for invited ones, and joined: the invite has good signatures of both servers, by ruma-signatures; \
            an uninvited one was refused with 403 M_FORBIDDEN"
            .to_owned())
    }

    async fn backfill(&self) -> Result<String, String> {
        let house = &self.resident().house;
        let join = house.with_room(&self.room, |room| {
            let key = self.cast.bob.as_str();
            room.state().get(&StateEventType::RoomMember, key).cloned()
        });
        let join = join.flatten().ok_or("the join is not in the room")?;
        let before = held::history(house, &self.room, join.previous());
        let request = Backfill {
            room_id: self.room.to_string(),
            from: join.previous().iter().map(ToString::to_string).collect(),
            limit: 100,
            extra_query: Query::default(),
        };
        let (arrived, _) = streamed(self.joining().client.backfill(self.to(), request)).await?;
        same_events(arrived.array("pdus"), &before)?;
        Ok(format!(
            "Backfill gave the {} before the join, each equal byte for byte",
            counted(before.len(), "event")
        ))
    }

    async fn fetch_state(&self) -> Result<String, String> {
        let (client, to) = (&self.joining().client, self.to());
        let house = &self.resident().house;
        let last = house.with_room(&self.room, |room| {
            room.heads().next().and_then(|id| room.event(id)).cloned()
        });
        let event = last.flatten().ok_or("the room has no last event")?;
        let before = Before::event(house, &self.room, event.id());
        let before = before.ok_or("the room has no state before its last event")?;
        let (room_id, event_id) = (self.room.to_string(), event.id().to_string());

        let request = GetEvent {
            event_id: event_id.clone(),
            ..GetEvent::default()
        };
        let reply = client.get_event(to, request).await.map_err(show)?;
        match &reply.pdus[..] {
            [Ok(pdu)] => same_events(std::slice::from_ref(pdu), &[event])?,
            _ => return Err("GetEvent did not give one event".to_owned()),
        }

        let request = GetState {
            room_id: room_id.clone(),
            event_id: event_id.clone(),
            ..GetState::default()
        };
        let (arrived, _) = streamed(client.get_state(to, request)).await?;
        same_events(arrived.array("pdus"), &before.state)?;
        same_events(arrived.array("auth_chain"), &before.auth_chain)?;

        let request = GetStateIds {
            room_id,
            event_id,
            ..GetStateIds::default()
        };
        let (arrived, _) = streamed(client.get_state_ids(to, request)).await?;
        same_ids(arrived.array("pdu_ids"), &before.state)?;
        same_ids(arrived.array("auth_chain_ids"), &before.auth_chain)?;
        Ok(
            "GetEvent gave an event, GetState and GetStateIds the state before it with its auth chain: all that there was, equal byte for byte"
                .to_owned(),
        )
    }

    /// Good and bad events side by side in one transaction.
    async fn refuse_events(&self) -> Result<String, String> {
        let own = self.joining();
        let good = |body: &str| {
            let draft = Draft::message(&self.cast.bob, body);
            let event = own.house.append(&self.room, &draft);
            event.map_err(show)
        };
        let (first, last) = (good("the first good one")?, good("the last good one")?);
        let bare = first
            .pdu()
            .object()
            .filtered(|name| !matches!(name, "hashes" | "signatures"));
        // Another time makes another event.
        let at = |offset: i64| {
            let now = first.pdu().origin_server_ts().unwrap_or_default();
            bare.with_member("origin_server_ts", &Value::integer(now + offset * 1000))
        };
        let topic = bare
            .with_member("type", &Value::string("m.room.topic"))
            .with_member("state_key", &Value::string(""));
        let (unauthorized_id, unauthorized) = self.signed(&topic, &own.identity.key)?;
        let another = SigningKey::generate(own.identity.key.key_id().version()).map_err(show)?;
        let later = at(1);
        let (forged_id, forged) = self.signed(&later, &another)?;
        let latest = at(2);
        let (altered_id, altered) = self.signed(&latest, &own.identity.key)?;
        let content = value(&json!({"body": "not what was hashed", "msgtype": "m.text"}));
        let altered = altered.object().with_member("content", &content).to_value();
        let altered = Pdu::judge(altered).map_err(|fault| fault.to_string())?;
        let nothing = BadEvent {
            index: 1,
            fault: EventFault::NotAnObject,
            value: Some(Value::string("not an event")),
        };
        let mut request = SendTransaction::new("mixed", own.name(), now_ms(), []);
        request.pdus = vec![
            Ok(first.pdu().clone()),
            Err(nothing),
            Ok(forged),
            Ok(unauthorized),
            Ok(altered),
            Ok(last.pdu().clone()),
        ];
        let reply = own
            .client
            .send_transaction(self.to(), request)
            .await
            .map_err(show)?;
        let results = reply.pdus.read().map_err(show)?;
        let said = |id: &str| {
            results
                .get(id)
                .map(|result| result.error.as_deref().unwrap_or(""))
        };
        for event in [&first, &last] {
            same(said(event.id().as_str()), &Some(""))?;
            self.holds(self.resident(), event)?;
        }
        for (id, rule) in [
            (&forged_id, "signature"),
            (&unauthorized_id, "m.room.topic"),
        ] {
            match said(id) {
                Some(why) if why.contains(rule) => {}
                other => {
                    return Err(format!(
                        "of {id}, which breaks a rule ({rule}), was said {other:?}"
                    ));
                }
            }
            if held::event(&self.resident().house, &self.room, id).is_some() {
                return Err(format!("{id}, which was refused, is in the room"));
            }
        }
        same(said(&altered_id), &Some(""))?;
        let held = held::event(&self.resident().house, &self.room, &altered_id)
            .and_then(|event| event.pdu().content());
        same(held, &Some(Object::empty()))?;
        Ok("of six elements of a transaction one was no event, one forged, one not allowed: these were refused, the latter two with the reason; \
            one did not match its hash and was redacted; the two good ones beside them were taken"
            .to_owned())
    }

    fn signed(&self, event: &Object, key: &SigningKey) -> Result<(String, Pdu), String> {
        let versions = RoomVersions::matrix();
        let version = versions.get(VERSION).expect("it is registered").rules();
        sign_event(&**version, event, self.joining().name(), key).map_err(show)
    }

    async fn profile(&self) -> Result<String, String> {
        let request = QueryProfile {
            user_id: self.cast.alice.to_string(),
            ..QueryProfile::default()
        };
        let reply = self
            .joining()
            .client
            .query_profile(self.to(), request)
            .await
            .map_err(show)?;
        same(
            reply.displayname.as_deref(),
            &Some("Alice \"Łucja\" \u{1f6f0}\t№ 1"),
        )?;
        let avatar = format!("mxc://{}/{}", self.to(), mascot::ID);
        same(reply.avatar_url, &Some(avatar))?;
        Ok("a profile was given".to_owned())
    }

    async fn device_keys(&self) -> Result<String, String> {
        let (client, alice) = (&self.joining().client, self.cast.alice.as_str());
        let request = requests::query_keys(&self.cast.alice);
        let reply = client.query_keys(self.to(), request).await.map_err(show)?;
        let keys = reply
            .device_keys
            .ok_or("no device keys were given")?
            .value()
            .to::<serde_json::Value>()
            .map_err(show)?;
        let unknown = &keys[alice][DEVICE]["org.example.unknown"];
        same(unknown, &&json!([null, {"kept": true}]))?;

        let mut given = BTreeSet::new();
        for _ in 0..2 {
            let reply = client
                .claim_keys(self.to(), requests::claim_keys(&self.cast.alice))
                .await
                .map_err(show)?;
            let keys = reply.one_time_keys.ok_or("no keys were given")?;
            given.insert(keys.value().as_text().to_owned());
        }
        match given.len() {
            2 if given.iter().all(|keys| keys.contains(ALGORITHM)) => Ok(
                "device keys were given, and two one-time keys claimed: not the same twice"
                    .to_owned(),
            ),
            _ => Err(format!("two claims gave {given:?}")),
        }
    }

    async fn media(&self) -> Result<String, String> {
        read_file(&self.joining().client, self.to(), &mascot::bytes()).await?;
        Ok("a file of 256 KiB was fetched, equal byte for byte".to_owned())
    }

    fn holds(&self, actor: &Actor<Homeserver>, event: &Event) -> Result<(), String> {
        held::holds(&actor.house, &self.room, event)
    }
}

/// Whether every other server took an event.
fn accepted(sent: &Sent) -> Result<(), String> {
    for delivery in &sent.deliveries {
        if let Err(error) = &delivery.outcome {
            return Err(format!("{}: {}", delivery.server, show(error)));
        }
        if let Some((id, why)) = delivery.refused().next() {
            return Err(format!("{} refused {id}: {why}", delivery.server));
        }
    }
    match sent.deliveries.len() {
        0 => Err("the event was sent to nobody".to_owned()),
        _ => Ok(()),
    }
}
