//! Large rooms: making and joining one costs time and memory in proportion to it.

use std::time::Instant;

use comity_homeserver::Draft;
use serde_json::json;

use crate::setting::{Street, object};

async fn join_a_room_of(state_events: usize) {
    let (one, two) = Street::of_two();
    let alice = one.user("alice");
    let start = Instant::now();
    let room = one.public_room(&alice, "12");
    for number in 0..state_events {
        let content =
            object(json!({"number": number, "text": "state of some length, as it is in rooms"}));
        let draft = Draft::state(&alice, "org.example.entry", &number.to_string(), content);
        one.server.append(&room, &draft).unwrap();
    }
    let made = start.elapsed();
    let start = Instant::now();
    let joined = two
        .server
        .join(&room, &two.user("bob"), one.name())
        .await
        .unwrap();
    println!(
        "{state_events} state events: made in {made:?}, joined in {:?}",
        start.elapsed()
    );
    assert_eq!(joined.state, state_events + 5);
    assert_eq!(joined.refused.count, 0);
    assert_eq!(one.state(&room), two.state(&room));
    let sent = one
        .server
        .send_message(&room, &alice, "hello")
        .await
        .unwrap();
    assert!(two.has(&room, sent.event.id().as_str()));
}

#[tokio::test]
async fn a_room_of_two_thousand_state_events_is_joined() {
    join_a_room_of(2_000).await;
}

#[tokio::test]
#[ignore = "slow without optimisation: cargo test --release -p comity-homeserver -- --ignored"]
async fn a_room_of_twenty_thousand_state_events_is_joined() {
    join_a_room_of(20_000).await;
}
