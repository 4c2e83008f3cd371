//! Events that are refused, each with its reason, among events that are not.

use comity_core::{
    event::{BadEvent, EventFault, Pdu},
    json::{ObjectWriter, Value},
};
use comity_homeserver::{Draft, Homeserver, ruma_common::OwnedRoomId};
use serde_json::json;

use crate::setting::{House, Street, object, refusal, topic};

const LEVELS: (&str, &str) = ("m.room.power_levels", "");

/// Two servers in a public room of version 12.
async fn together() -> (House, House, OwnedRoomId) {
    let (one, two) = Street::of_two();
    let room = one.public_room(&one.user("alice"), "12");
    let bob = two.user("bob");
    two.server.join(&room, &bob, one.name()).await.unwrap();
    (one, two, room)
}

fn message(house: &House, room: &OwnedRoomId, body: &str) -> (String, Pdu) {
    let bob = house.user("bob");
    let draft = Draft::message(&bob, body);
    house.forge(
        room,
        &draft,
        None,
        &[LEVELS, ("m.room.member", bob.as_str())],
    )
}

fn size(server: &Homeserver, room: &OwnedRoomId) -> usize {
    server.with_room(room, |room| room.len()).unwrap()
}

#[tokio::test]
async fn a_user_without_power_changes_no_power_levels() {
    let (one, two, room) = together().await;
    let bob = two.user("bob");
    let levels = json!({"users": {bob.as_str(): 100}});
    let draft = Draft::state(&bob, "m.room.power_levels", "", object(levels));
    let (id, event) = two.forge(
        &room,
        &draft,
        None,
        &[LEVELS, ("m.room.member", bob.as_str())],
    );
    let (good, neighbour) = message(&two, &room, "hello");
    let before = one.state(&room);
    let results = two.push(&one, [Ok(event), Ok(neighbour)]).await;
    let why = refusal(&results, &id);
    assert!(why.contains("its auth events do not allow it"), "{why}");
    assert!(why.contains("enough power"), "{why}");
    assert_eq!(results[&good].error, None);
    assert!(one.has(&room, &good));
    assert!(!one.has(&room, &id));
    assert_eq!(one.state(&room), before);
    // Its own server does not even make it.
    assert!(two.server.append(&room, &draft).is_err());
}

#[tokio::test]
async fn a_user_that_is_no_member_sends_nothing() {
    let (one, two, room) = together().await;
    let eve = two.user("eve");
    let (id, event) = two.forge(&room, &Draft::message(&eve, "let me in"), None, &[LEVELS]);
    let results = two.push(&one, [Ok(event)]).await;
    let why = refusal(&results, &id);
    assert!(why.contains("membership is not `join`"), "{why}");
    assert!(!one.has(&room, &id));
}

#[tokio::test]
async fn an_uninvited_user_does_not_join_by_a_transaction() {
    let (one, two) = Street::of_two();
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let room = one.server.create_room(&alice, &Default::default()).unwrap();
    one.server.invite(&room, &alice, &bob).await.unwrap();
    two.server.join(&room, &bob, one.name()).await.unwrap();
    let eve = two.user("eve");
    let join = Draft::membership(&eve, &eve, "join");
    let (id, event) = two.forge(&room, &join, None, &[LEVELS, ("m.room.join_rules", "")]);
    let results = two.push(&one, [Ok(event)]).await;
    let why = refusal(&results, &id);
    assert!(why.contains("do not allow it"), "{why}");
    assert!(!one.has(&room, &id));
}

#[tokio::test]
async fn a_banned_user_is_refused_by_the_state_though_the_cited_events_allow() {
    let (one, two, room) = together().await;
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let member = ("m.room.member", bob.as_str());
    let draft = Draft::message(&bob, "I was never banned");
    // Bob cites the membership of before the ban, and stands on the ban.
    let unsigned = two.unsigned(&room, &draft, None, &[LEVELS, member]);
    let before_ban = two.heads(&room);
    let ban = one
        .server
        .send(&room, &Draft::membership(&alice, &bob, "ban"))
        .await
        .unwrap();
    let after_ban = Value::array([Value::string(ban.event.id().as_str())]);
    let (after, on_ban) = two.sign(&room, &unsigned.with_member("prev_events", &after_ban));
    let results = two.push(&one, [Ok(on_ban)]).await;
    let why = refusal(&results, &after);
    assert!(why.contains("the state of the room before it"), "{why}");

    // Standing beside the ban it was allowed once, so it is kept; nothing is built on it.
    let (beside, beside_ban) = two.sign(&room, &unsigned);
    assert_eq!(
        unsigned.array("prev_events").unwrap().len(),
        before_ban.len()
    );
    let results = two.push(&one, [Ok(beside_ban)]).await;
    assert_eq!(results[&beside].error, None);
    assert!(one.has(&room, &beside));
    assert_eq!(one.heads(&room), [ban.event.id().as_str()]);
}

#[tokio::test]
async fn a_forged_a_mishashed_and_an_oversized_event_harm_no_neighbour() {
    let (one, two, room) = together().await;
    let bob = two.user("bob");
    let (first_id, first) = message(&two, &room, "first");
    // Signed by a server that is not the sender's.
    let alice = one.user("alice");
    let unsigned = two.unsigned(&room, &Draft::message(&alice, "as alice"), None, &[LEVELS]);
    let (forged_id, forged) = two.sign(&room, &unsigned);
    // The signature covers the hash but not what the hash covers.
    let (altered_id, altered) = message(&two, &room, "what was said");
    let said = object(json!({"body": "what was not", "msgtype": "m.text"})).to_value();
    let altered = Pdu::judge(altered.object().with_member("content", &said).to_value()).unwrap();
    let large = Draft::message(&bob, &"x".repeat(70_000));
    let large = two.unsigned(&room, &large, None, &[LEVELS]);
    let large = Pdu::judge(large.to_value()).unwrap_err();
    assert!(matches!(large, EventFault::TooLarge { .. }));
    let (last_id, last) = message(&two, &room, "last");

    let oversized = BadEvent {
        index: 3,
        fault: large,
        value: Some(Value::string(&"x".repeat(70_000))),
    };
    let before = size(&one.server, &room);
    let pdus = [Ok(first), Ok(forged), Ok(altered), Err(oversized), Ok(last)];
    let results = two.push(&one, pdus).await;
    assert_eq!(results.len(), 4, "{results:?}");
    assert_eq!(results[&first_id].error, None);
    assert_eq!(results[&last_id].error, None);
    let why = refusal(&results, &forged_id);
    assert!(why.contains("one.example did not sign it"), "{why}");
    assert!(!one.has(&room, &forged_id));
    assert_eq!(results[&altered_id].error, None);
    let kept = one.server.with_room(&room, |room| {
        let id: &str = &altered_id;
        let event = room.event(id.try_into().unwrap()).unwrap();
        event.pdu().content().unwrap().text().clone()
    });
    assert_eq!(kept.unwrap(), "{}", "redacted, not refused");
    assert_eq!(size(&one.server, &room), before + 3);
}

#[tokio::test]
async fn a_second_create_event_does_not_begin_the_room_anew() {
    let (one, two) = Street::of_two();
    let room = one.public_room(&one.user("alice"), "11");
    let alice = one.user("alice");
    two.server
        .join(&room, &two.user("bob"), one.name())
        .await
        .unwrap();
    let mut create = ObjectWriter::new();
    create
        .string("room_id", room.as_str())
        .string("type", "m.room.create")
        .string("sender", alice.as_str())
        .string("state_key", "")
        .value("content", &object(json!({"room_version": "11"})).to_value())
        .strings("prev_events", [""; 0])
        .strings("auth_events", [""; 0])
        .integer("depth", 1)
        .integer("origin_server_ts", 1);
    let (id, create) = one.sign(&room, &create.into_object());
    let results = one.push(&two, [Ok(create)]).await;
    assert!(refusal(&results, &id).contains("one m.room.create"));
}

#[tokio::test]
async fn a_user_of_another_server_is_not_spoken_for() {
    let (one, two, room) = together().await;
    let error = one.server.append(&room, &topic(&two.user("bob"), "mine"));
    assert!(error.unwrap_err().to_string().contains("not a user"));
}
