//! Events and state that a server asks for.

use comity_core::{
    api::{Backfill, Calls, GetEvent, GetMissingEvents, GetState, GetStateIds},
    call::{Arrival, EventReply, MessageForm},
    endpoint::Query,
    event::Element,
};
use comity_homeserver::{Draft, MAX_WALK};

use crate::setting::{Street, answered, topic};

async fn read<M: MessageForm, T: Element>(mut reply: EventReply<M, T>) -> Vec<(&'static str, T)> {
    let mut read = Vec::new();
    while let Some(arrival) = reply.next().await {
        match arrival.unwrap() {
            Arrival::Item { array, item } => read.push((array, item)),
            Arrival::Bad { bad, .. } => panic!("{bad:?}"),
        }
    }
    reply.finish().await.unwrap();
    read
}

#[tokio::test]
async fn state_at_an_event_is_the_state_before_it() {
    let (one, two) = Street::of_two();
    let alice = one.user("alice");
    let room = one.public_room(&alice, "12");
    two.server
        .join(&room, &two.user("bob"), one.name())
        .await
        .unwrap();
    let first = one.server.append(&room, &topic(&alice, "first")).unwrap();
    let second = one.server.append(&room, &topic(&alice, "second")).unwrap();
    let request = GetState {
        room_id: room.to_string(),
        event_id: second.id().to_string(),
        extra_query: Query::default(),
    };
    let state = read(two.client.get_state(one.name(), request).await.unwrap()).await;
    let has = |array, pdu| state.contains(&(array, pdu));
    assert!(has("pdus", first.pdu().clone()));
    assert!(!has("pdus", second.pdu().clone()));

    let request = GetStateIds {
        room_id: room.to_string(),
        event_id: second.id().to_string(),
        extra_query: Query::default(),
    };
    let ids = read(two.client.get_state_ids(one.name(), request).await.unwrap()).await;
    assert_eq!(ids.len(), state.len());
    assert!(ids.contains(&("pdu_ids", first.id().to_string())));
    let levels = &one.state(&room)["m.room.power_levels \"\""];
    assert!(ids.contains(&("auth_chain_ids", levels.clone())));
}

#[tokio::test]
async fn a_walk_goes_back_from_where_it_is_told_and_no_further_than_it_may() {
    let (one, two) = Street::of_two();
    let alice = one.user("alice");
    let room = one.public_room(&alice, "12");
    two.server
        .join(&room, &two.user("bob"), one.name())
        .await
        .unwrap();
    let sent: Vec<String> = (0..MAX_WALK + 20)
        .map(|number| {
            let draft = Draft::message(&alice, &number.to_string());
            let event = one.server.append(&room, &draft).unwrap();
            event.id().to_string()
        })
        .collect();
    let last = sent.len() - 1;
    let backfill = |limit| Backfill {
        room_id: room.to_string(),
        from: vec![sent[last].clone()],
        limit,
        extra_query: Query::default(),
    };
    for (limit, expected) in [(3, 3), (10_000, MAX_WALK), (-1, 0)] {
        let reply = two.client.backfill(one.name(), backfill(limit)).await;
        assert_eq!(read(reply.unwrap()).await.len(), expected);
    }
    let request = GetMissingEvents {
        room_id: room.to_string(),
        earliest_events: vec![sent[4].clone()],
        latest_events: vec![sent[8].clone()],
        limit: Some(10_000),
        ..GetMissingEvents::default()
    };
    let reply = two.client.get_missing_events(one.name(), request).await;
    let bodies: Vec<String> = reply
        .unwrap()
        .events
        .into_iter()
        .map(|event| event.unwrap().content().unwrap().get("body").unwrap())
        .map(|body| body.as_str().unwrap().into_owned())
        .collect();
    assert_eq!(bodies, ["5", "6", "7"]);
}

#[tokio::test]
async fn a_server_outside_the_room_is_given_nothing_of_it() {
    let street = Street::default();
    let [one, two] = ["one.example", "two.example"].map(|name| street.move_in(name));
    let room = one.public_room(&one.user("alice"), "12");
    let event_id = one.heads(&room).remove(0);
    let (room_id, extra_query) = (room.to_string(), Query::default());
    let (to, client) = (one.name(), &two.client);
    let errors = [
        answered(
            client
                .get_event(
                    to,
                    GetEvent {
                        event_id: event_id.clone(),
                        extra_query: extra_query.clone(),
                    },
                )
                .await,
        ),
        answered(
            client
                .get_state(
                    to,
                    GetState {
                        room_id: room_id.clone(),
                        event_id: event_id.clone(),
                        extra_query: extra_query.clone(),
                    },
                )
                .await,
        ),
        answered(
            client
                .get_state_ids(
                    to,
                    GetStateIds {
                        room_id: room_id.clone(),
                        event_id: event_id.clone(),
                        extra_query: extra_query.clone(),
                    },
                )
                .await,
        ),
        answered(
            client
                .backfill(
                    to,
                    Backfill {
                        room_id: room_id.clone(),
                        from: vec![event_id.clone()],
                        limit: 10,
                        extra_query,
                    },
                )
                .await,
        ),
        answered(
            client
                .get_missing_events(
                    to,
                    GetMissingEvents {
                        room_id,
                        latest_events: vec![event_id],
                        ..GetMissingEvents::default()
                    },
                )
                .await,
        ),
    ];
    for error in errors {
        assert_eq!(
            (error.http_status(), error.errcode()),
            (403, Some("M_FORBIDDEN"))
        );
    }
}
