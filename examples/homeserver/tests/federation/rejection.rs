//! Events that nobody takes, and what stands on them (SS "Rejection").

use comity_core::{event::Pdu, json::Value};
use comity_homeserver::{Draft, MAX_REJECTED, ruma_common::OwnedRoomId};
use serde_json::json;

use crate::setting::{House, Street, object, refusal, topic};

const LEVELS: (&str, &str) = ("m.room.power_levels", "");

async fn together() -> (House, House, OwnedRoomId) {
    let (one, two) = Street::of_two();
    let room = one.public_room(&one.user("alice"), "12");
    let bob = two.user("bob");
    two.server.join(&room, &bob, one.name()).await.unwrap();
    (one, two, room)
}

/// An event of Bob on these, or on his server's heads.
fn of_bob(
    two: &House,
    room: &OwnedRoomId,
    draft: &Draft,
    previous: Option<&[String]>,
) -> (String, Pdu) {
    let member = ("m.room.member", draft.sender.as_str());
    two.forge(room, draft, previous, &[LEVELS, member])
}

#[tokio::test]
async fn what_stands_on_a_rejected_event_is_taken_and_built_on() {
    let (one, two, room) = together().await;
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let before = one.state(&room);
    let bad = topic(&bob, "not allowed");
    let (rejected, first) = of_bob(&two, &room, &bad, None);
    let good = Draft::message(&bob, "on top of it");
    let (taken, second) = of_bob(&two, &room, &good, Some(std::slice::from_ref(&rejected)));
    // Twice: what was rejected stays so.
    for _ in 0..2 {
        let results = two
            .push(&one, [Ok(first.clone()), Ok(second.clone())])
            .await;
        let why = refusal(&results, &rejected);
        assert!(why.contains("do not allow it"), "{why}");
        assert_eq!(results[&taken].error, None);
    }
    assert!(!one.has(&room, &rejected));
    assert_eq!(one.state(&room), before);
    assert_eq!(one.heads(&room), std::slice::from_ref(&taken));

    // An honest server builds on it, and another one that missed it all asks for what lies between and takes that.
    let built = one.server.send_state(
        &room,
        &alice,
        "m.room.topic",
        "",
        object(json!({"topic": "hers"})),
    );
    let built = built.await.unwrap();
    assert_eq!(built.event.previous(), [taken.as_str()]);
    assert_eq!(built.deliveries[0].refused().count(), 0, "{built:?}");
    assert_eq!(two.heads(&room), [built.event.id().as_str()]);
    assert!(two.has(&room, &taken));
    assert!(!two.has(&room, &rejected));
    assert_eq!(one.state(&room), two.state(&room));
}

#[tokio::test]
async fn a_rejected_event_allows_nothing() {
    let (one, two, room) = together().await;
    let bob = two.user("bob");
    let levels = json!({"users": {bob.as_str(): 100}});
    let coup = Draft::state(&bob, "m.room.power_levels", "", object(levels));
    let (coup, first) = of_bob(&two, &room, &coup, None);
    let unsigned = two.unsigned(&room, &topic(&bob, "mine"), None, &[]);
    let member = two.state(&room)[&format!("m.room.member \"{bob}\"")].clone();
    let cited = Value::array([Value::string(&coup), Value::string(&member)]);
    let (reign, second) = two.sign(&room, &unsigned.with_member("auth_events", &cited));
    let results = two.push(&one, [Ok(first), Ok(second)]).await;
    let why = refusal(&results, &reign);
    assert!(why.contains("rejected auth event"), "{why}");
}

#[tokio::test]
async fn rejected_events_are_bounded_and_what_was_forgotten_is_asked_for() {
    let (one, two, room) = together().await;
    let bob = two.user("bob");
    let bad: Vec<(String, Pdu)> = (0..=MAX_REJECTED)
        .map(|number| of_bob(&two, &room, &topic(&bob, &number.to_string()), None))
        .collect();
    for bad in bad.chunks(50) {
        let results = two.push(&one, bad.iter().map(|(_, pdu)| Ok(pdu.clone())));
        assert!(results.await.values().all(|result| result.error.is_some()));
    }
    let on = |id: &String| {
        let draft = Draft::message(&bob, "on top of it");
        of_bob(&two, &room, &draft, Some(std::slice::from_ref(id)))
    };
    let (forgotten, on_first) = on(&bad[0].0);
    let (taken, on_last) = on(&bad[MAX_REJECTED].0);
    let results = two.push(&one, [Ok(on_first), Ok(on_last)]).await;
    assert!(refusal(&results, &forgotten).contains("does not have"));
    assert_eq!(results[&taken].error, None);
}

#[tokio::test]
async fn a_time_before_1970_is_a_time() {
    let (one, two, room) = together().await;
    let bob = two.user("bob");
    let member = ("m.room.member", bob.as_str());
    let early = two.unsigned(
        &room,
        &Draft::message(&bob, "early"),
        None,
        &[LEVELS, member],
    );
    let (id, early) = two.sign(
        &room,
        &early.with_member("origin_server_ts", &Value::integer(-1)),
    );
    let results = two.push(&one, [Ok(early)]).await;
    assert_eq!(results[&id].error, None);
}
