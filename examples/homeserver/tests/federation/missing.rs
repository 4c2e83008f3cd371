//! Events that stand on others which did not arrive.

use std::sync::Arc;

use comity_homeserver::{Draft, Event, Homeserver, MAX_MISSING, ruma_common::RoomId};

use crate::setting::{House, Street, refusal, topic};

/// Makes messages and sends them to nobody.
fn unsent(house: &House, room: &RoomId, count: usize) -> Vec<Arc<Event>> {
    let alice = house.user("alice");
    let server: &Homeserver = &house.server;
    (0..count)
        .map(|number| {
            let draft = Draft::message(&alice, &number.to_string());
            server.append(room, &draft).unwrap()
        })
        .collect()
}

#[tokio::test]
async fn what_lies_between_is_asked_for() {
    let (one, two) = Street::of_two();
    let alice = one.user("alice");
    let room = one.public_room(&alice, "12");
    let bob = two.user("bob");
    two.server.join(&room, &bob, one.name()).await.unwrap();
    let missed = unsent(&one, &room, 20);
    one.server.append(&room, &topic(&alice, "missed")).unwrap();
    let sent = one
        .server
        .send_message(&room, &alice, "and now")
        .await
        .unwrap();
    assert_eq!(sent.deliveries[0].refused().count(), 0, "{sent:?}");
    for event in &missed {
        assert!(two.has(&room, event.id().as_str()));
    }
    assert_eq!(one.state(&room), two.state(&room));
    assert_eq!(two.heads(&room), [sent.event.id().as_str()]);
}

#[tokio::test]
async fn a_gap_wider_than_the_limit_leaves_the_event_out() {
    let (one, two) = Street::of_two();
    let alice = one.user("alice");
    let room = one.public_room(&alice, "12");
    let bob = two.user("bob");
    two.server.join(&room, &bob, one.name()).await.unwrap();
    let heads = two.heads(&room);
    let missed = unsent(&one, &room, MAX_MISSING + 2);
    let last = missed.last().unwrap();
    let results = one.push(&two, [Ok(last.pdu().clone())]).await;
    let why = refusal(&results, last.id().as_str());
    assert!(why.contains("which this server does not have"), "{why}");
    assert_eq!(two.heads(&room), heads);

    // In order they need nothing that is missing, and in transactions of fifty they fit.
    let delivered = one.server.deliver(&room, &missed).await;
    assert_eq!(delivered[0].refused().count(), 0, "{delivered:?}");
    assert_eq!(two.heads(&room), one.heads(&room));
}

#[tokio::test]
async fn what_was_sent_while_a_server_joined_has_a_place_there() {
    let (one, two) = Street::of_two();
    let alice = one.user("alice");
    let room = one.public_room(&alice, "12");
    let citing = [
        ("m.room.power_levels", ""),
        ("m.room.member", alice.as_str()),
    ];
    let (id, early) = one.forge(&room, &topic(&alice, "meanwhile"), None, &citing);
    let bob = two.user("bob");
    two.server.join(&room, &bob, one.name()).await.unwrap();
    for house in [&one, &two] {
        let results = one.push(house, [Ok(early.clone())]).await;
        assert_eq!(results[&id].error, None);
    }
    assert_eq!(one.state(&room), two.state(&room));
    let sent = one
        .server
        .send_message(&room, &alice, "welcome")
        .await
        .unwrap();
    assert_eq!(sent.event.previous().len(), 2);
    assert_eq!(sent.deliveries[0].refused().count(), 0, "{sent:?}");
    assert_eq!(two.heads(&room), one.heads(&room));
}
