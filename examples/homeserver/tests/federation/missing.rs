//! Events that stand on others which did not arrive.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use comity_core::{
    api::{self, Events, GetMissingEvents, GetMissingEventsReply},
    call::Authenticated,
    error::FederationError,
    event::Pdu,
};
use comity_homeserver::{
    Draft, Event, Homeserver, MAX_MISSING, MAX_QUESTIONS, MAX_WALK, ruma_common::RoomId,
};

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
async fn what_does_not_fit_into_one_answer_is_asked_for_again() {
    let street = Street::default();
    let (one, two) = (street.move_in("one.example"), street.move_in("two.example"));
    let alice = one.user("alice");
    let room = one.public_room(&alice, "12");
    let bob = two.user("bob");
    two.server.join(&room, &bob, one.name()).await.unwrap();
    let missed = unsent(&one, &room, 2 * MAX_WALK + 1);
    let sent = one
        .server
        .send_message(&room, &alice, "and now")
        .await
        .unwrap();
    assert_eq!(sent.deliveries[0].refused().count(), 0, "{sent:?}");
    for event in &missed {
        assert!(two.has(&room, event.id().as_str()));
    }
    assert_eq!(two.heads(&room), [sent.event.id().as_str()]);
    assert_eq!(street.calls("GetMissingEvents", &one), 3);
}

/// Gives one event more at each question, and never what they all stand on.
#[derive(Default)]
struct Endless {
    chain: Mutex<Vec<Pdu>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Events for Endless {
    async fn get_missing_events(
        &self,
        _: &Authenticated,
        _: GetMissingEvents,
    ) -> Result<GetMissingEventsReply, FederationError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let next = self.chain.lock().unwrap().pop();
        Ok(GetMissingEventsReply::new(next))
    }
}

#[tokio::test]
async fn a_server_that_always_has_one_event_more_is_not_asked_for_ever() {
    let street = Street::default();
    let endless = Arc::new(Endless::default());
    let one = street.move_in_with("one.example", |_| api::events(endless.clone()));
    let two = street.move_in("two.example");
    let alice = one.user("alice");
    let room = one.public_room(&alice, "12");
    two.server
        .join(&room, &two.user("bob"), one.name())
        .await
        .unwrap();
    let heads = two.heads(&room);
    let chain = unsent(&one, &room, MAX_QUESTIONS + 10);
    let last = chain.last().unwrap().pdu().clone();
    let (_, below) = chain.split_last().unwrap();
    *endless.chain.lock().unwrap() = below.iter().map(|event| event.pdu().clone()).collect();
    let results = one.push(&two, [Ok(last)]).await;
    let why = refusal(&results, chain.last().unwrap().id().as_str());
    assert!(why.contains("which this server does not have"), "{why}");
    assert_eq!(endless.asked.load(Ordering::Relaxed), MAX_QUESTIONS);
    assert_eq!(two.heads(&room), heads);
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
