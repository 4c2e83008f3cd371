//! Two servers that act at the same time.

use std::{sync::Arc, time::Instant};

use comity_core::json::Value;
use comity_homeserver::{Draft, Event, MAX_HEADS, NewRoom, ruma_common::OwnedRoomId};
use serde_json::json;

use crate::setting::{House, Street, object, topic};

/// Two servers in a room where both users may do everything.
async fn peers(version: &str) -> (House, House, OwnedRoomId) {
    let (one, two) = Street::of_two();
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let mut users = serde_json::Map::from_iter([(bob.to_string(), json!(90))]);
    if version != "12" {
        users.insert(alice.to_string(), json!(100));
    }
    let new = NewRoom {
        version: version.to_owned(),
        join_rule: "public".to_owned(),
        power_levels: Some(object(json!({ "users": users }))),
        ..NewRoom::default()
    };
    let room = one.server.create_room(&alice, &new).unwrap();
    two.server.join(&room, &bob, one.name()).await.unwrap();
    (one, two, room)
}

/// Each server appends its drafts before it hears of the other's; then they exchange them.
async fn at_the_same_time(
    room: &OwnedRoomId,
    sides: [(&House, Vec<Draft>); 2],
) -> [Vec<Arc<Event>>; 2] {
    let made = sides.each_ref().map(|(house, drafts)| {
        let drafts = drafts.iter();
        let events = drafts.map(|draft| house.server.append(room, draft).unwrap());
        events.collect::<Vec<_>>()
    });
    for ((house, _), events) in sides.iter().zip(&made) {
        let delivered = house.server.deliver(room, events).await;
        assert_eq!(delivered.len(), 1);
        let delivered = &delivered[0];
        assert!(delivered.outcome.is_ok(), "{delivered:?}");
        assert_eq!(delivered.refused().count(), 0, "{delivered:?}");
    }
    made
}

#[tokio::test]
async fn messages_at_the_same_time_fork_the_graph_and_the_next_one_joins_it() {
    let (one, two, room) = peers("12").await;
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let messages = |user| vec![Draft::message(user, "a"), Draft::message(user, "b")];
    let sides = [(&one, messages(&alice)), (&two, messages(&bob))];
    let made = at_the_same_time(&room, sides).await;
    for house in [&one, &two] {
        assert_eq!(house.heads(&room).len(), 2);
        for event in made.iter().flatten() {
            assert!(house.has(&room, event.id().as_str()));
        }
    }
    assert_eq!(one.state(&room), two.state(&room));
    let sent = two
        .server
        .send_message(&room, &bob, "both seen")
        .await
        .unwrap();
    assert_eq!(sent.event.previous().len(), 2);
    assert_eq!(one.heads(&room), [sent.event.id().as_str()]);
}

#[tokio::test]
async fn conflicting_state_ends_the_same_on_both_sides() {
    for version in ["6", "11", "12"] {
        let (one, two, room) = peers(version).await;
        let (alice, bob) = (one.user("alice"), two.user("bob"));
        let name = |user, name: &str| {
            Draft::state(user, "m.room.name", "", object(json!({ "name": name })))
        };
        let sides = [
            (&one, vec![topic(&alice, "hers"), name(&alice, "only hers")]),
            (&two, vec![topic(&bob, "his"), topic(&bob, "his again")]),
        ];
        let made = at_the_same_time(&room, sides).await;
        assert_eq!(one.heads(&room).len(), 2);
        assert_eq!(one.state(&room), two.state(&room), "version {version}");
        let named = &one.state(&room)["m.room.name \"\""];
        assert_eq!(*named, made[0][1].id().as_str());
        // And it stays so when the branches are joined.
        let sent = one
            .server
            .send_message(&room, &alice, "well")
            .await
            .unwrap();
        assert_eq!(sent.deliveries[0].refused().count(), 0);
        assert_eq!(one.state(&room), two.state(&room), "version {version}");
        assert_eq!(one.heads(&room), two.heads(&room));
    }
}

#[tokio::test]
async fn a_ban_beats_what_the_banned_user_did_at_the_same_time() {
    for version in ["11", "12"] {
        let (one, two, room) = peers(version).await;
        let (alice, bob) = (one.user("alice"), two.user("bob"));
        let before = one.state(&room);
        let sides = [
            (&one, vec![Draft::membership(&alice, &bob, "ban")]),
            (&two, vec![topic(&bob, "bob was here")]),
        ];
        let made = at_the_same_time(&room, sides).await;
        for house in [&one, &two] {
            let state = house.state(&room);
            assert_eq!(state.get("m.room.topic \"\""), None, "version {version}");
            let membership = &state[&format!("m.room.member \"{bob}\"")];
            assert_eq!(*membership, made[0][0].id().as_str());
            assert_eq!(state.len(), before.len());
        }
        // The ban is the end for the room's part of that server.
        assert!(
            two.server
                .append(&room, &Draft::message(&bob, "still?"))
                .is_err()
        );
    }
}

#[tokio::test]
async fn two_hundred_forks_make_no_more_heads_than_one_event_can_join() {
    let (one, two, room) = peers("12").await;
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let citing = [("m.room.power_levels", ""), ("m.room.member", bob.as_str())];
    let forks: Vec<_> = (0..200)
        .map(|number| two.forge(&room, &topic(&bob, &number.to_string()), None, &citing))
        .collect();
    let start = Instant::now();
    for forks in forks.chunks(50) {
        let results = two.push(&one, forks.iter().map(|(_, pdu)| Ok(pdu.clone())));
        assert!(results.await.values().all(|result| result.error.is_none()));
    }
    let taken = start.elapsed();
    assert!(taken.as_secs() < 20, "{taken:?}");
    assert_eq!(one.heads(&room).len(), MAX_HEADS);
    assert!(forks.iter().all(|(id, _)| one.has(&room, id)));

    // Honest users go on as if nothing were: their next event joins the forks.
    let sent = one.server.append(&room, &topic(&alice, "one")).unwrap();
    assert_eq!(sent.previous().len(), MAX_HEADS);
    assert_eq!(one.heads(&room), [sent.id().as_str()]);
    assert_eq!(one.state(&room)["m.room.topic \"\""], sent.id().as_str());
}

#[tokio::test]
async fn an_event_that_names_one_head_twice_does_not_stand_on_the_other() {
    let (one, two, room) = peers("12").await;
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let sides = [
        (&one, vec![topic(&alice, "hers")]),
        (&two, vec![Draft::message(&bob, "his")]),
    ];
    let [_, his] = at_the_same_time(&room, sides).await;
    let his = his[0].id().as_str();
    let citing = [("m.room.power_levels", ""), ("m.room.member", bob.as_str())];
    let unsigned = two.unsigned(&room, &Draft::message(&bob, "twice"), None, &citing);
    let previous = Value::array([Value::string(his), Value::string(his)]);
    let (id, twice) = two.sign(&room, &unsigned.with_member("prev_events", &previous));
    let results = two.push(&one, [Ok(twice)]).await;
    assert_eq!(results[&id].error, None);
    let before = one.server.with_room(&room, |room| {
        let id: &str = &id;
        let before = room.state_before(id.try_into().unwrap()).unwrap();
        before.get(&"m.room.topic".into(), "").is_some()
    });
    assert_eq!(before, Some(false), "her topic stands beside it");
}

#[tokio::test]
async fn what_stands_on_a_soft_failed_event_stands_on_what_that_stood_on() {
    let (one, two, room) = peers("12").await;
    let (alice, bob, carol) = (one.user("alice"), two.user("bob"), two.user("carol"));
    two.server.join(&room, &carol, one.name()).await.unwrap();
    let member = |user| [("m.room.power_levels", ""), ("m.room.member", user)];
    let late = two.unsigned(
        &room,
        &Draft::message(&bob, "beside the ban"),
        None,
        &member(bob.as_str()),
    );
    let sides = [
        (&one, vec![Draft::membership(&alice, &bob, "ban")]),
        (&two, vec![Draft::message(&carol, "hers")]),
    ];
    let [ban, hers] = at_the_same_time(&room, sides).await;
    let on_hers = Value::array([Value::string(hers[0].id().as_str())]);
    let (late_id, late) = two.sign(&room, &late.with_member("prev_events", &on_hers));
    assert_eq!(two.push(&one, [Ok(late)]).await[&late_id].error, None);
    assert_eq!(one.heads(&room).len(), 2, "it is no head");
    // Carol's server did not hold it against Bob.
    let next = Draft::message(&carol, "on it");
    let (next_id, next) = two.forge(&room, &next, Some(&[late_id]), &member(carol.as_str()));
    assert_eq!(two.push(&one, [Ok(next)]).await[&next_id].error, None);
    let mut heads = vec![ban[0].id().to_string(), next_id];
    heads.sort();
    assert_eq!(one.heads(&room), heads);
}
