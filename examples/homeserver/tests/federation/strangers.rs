//! Servers that are not in a room, not any more or not yet.

use std::time::Duration;

use comity_core::{
    api::{Calls, GetStateIds, MakeJoin, SendJoin},
    endpoint::Query,
    event::Pdu,
};
use comity_homeserver::{
    Draft, MAX_SIGNERS, NewRoom,
    ruma_common::{OwnedRoomId, UserId},
};

use crate::setting::{House, Street, answered, eventually, refusal, topic};

const LEVELS: (&str, &str) = ("m.room.power_levels", "");

/// Three servers, of which the first two are in a room.
async fn with_a_stranger() -> (Street, [House; 3], OwnedRoomId) {
    let street = Street::default();
    let houses = ["one.example", "two.example", "three.example"].map(|name| street.move_in(name));
    let [one, two, _] = &houses;
    let room = one.public_room(&one.user("alice"), "12");
    two.server
        .join(&room, &two.user("bob"), one.name())
        .await
        .unwrap();
    (street, houses, room)
}

/// An event of Bob that stands on one that nobody has.
fn on_nothing(two: &House, room: &OwnedRoomId, draft: &Draft) -> (String, Pdu) {
    let nothing = format!("${}", "A".repeat(43));
    let citing = [LEVELS, ("m.room.member", draft.sender.as_str())];
    two.forge(room, draft, Some(&[nothing]), &citing)
}

#[tokio::test]
async fn only_a_server_in_the_room_is_asked_for_what_is_missing_and_once() {
    let (street, [one, two, three], room) = with_a_stranger().await;
    let bob = two.user("bob");
    let message = |body| on_nothing(&two, &room, &Draft::message(&bob, body));
    let (first_id, first) = message("first");
    let (second_id, second) = message("second");
    let both = [Ok(first), Ok(second)];
    for (from, questions) in [(&three, 0), (&two, 1)] {
        let results = from.push(&one, both.clone()).await;
        for id in [&first_id, &second_id] {
            assert!(refusal(&results, id).contains("does not have"));
        }
        assert_eq!(street.calls("GetMissingEvents", from), questions);
    }
    // Nor is anyone asked for the sake of what is not allowed wherever it stands.
    let (id, event) = on_nothing(&two, &room, &topic(&bob, "not allowed"));
    let results = two.push(&one, [Ok(event)]).await;
    assert!(refusal(&results, &id).contains("auth events do not allow it"));
    assert_eq!(street.calls("GetMissingEvents", &two), 1);
}

#[tokio::test]
async fn the_servers_that_one_transaction_has_asked_for_keys_are_bounded() {
    let (_, [one, two, three], room) = with_a_stranger().await;
    let (ids, pdus): (Vec<_>, Vec<_>) = (0..MAX_SIGNERS + 5)
        .map(|number| {
            let user = UserId::parse(format!("@user:server{number}.example")).unwrap();
            let draft = Draft::message(&user, "keys, please");
            two.forge(&room, &draft, None, &[LEVELS])
        })
        .unzip();
    let results = three.push(&one, pdus.into_iter().map(Ok)).await;
    for (number, id) in ids.iter().enumerate() {
        let over = refusal(&results, id).contains("more servers than this server's limit");
        assert_eq!(over, number >= MAX_SIGNERS, "{results:?}");
    }
}

#[tokio::test]
async fn a_join_that_stands_before_a_ban_is_refused_and_told_to_nobody() {
    let (_, [one, two, three], room) = with_a_stranger().await;
    let (alice, eve) = (one.user("alice"), two.user("eve"));
    three
        .server
        .join(&room, &three.user("carol"), one.name())
        .await
        .unwrap();
    eventually(|| two.state(&room) == one.state(&room)).await;
    let join = Draft::membership(&eve, &eve, "join");
    let (event_id, event) = two.forge(&room, &join, None, &[LEVELS, ("m.room.join_rules", "")]);
    let ban = Draft::membership(&alice, &eve, "ban");
    one.server.send(&room, &ban).await.unwrap();
    let request = SendJoin {
        room_id: room.to_string(),
        event_id: event_id.clone(),
        event,
        omit_members: None,
        extra_query: Query::default(),
    };
    // Asked again, it says the same.
    for _ in 0..2 {
        let error = answered(two.client.send_join(one.name(), request.clone()).await);
        assert_eq!(
            (error.http_status(), error.errcode()),
            (403, Some("M_FORBIDDEN"))
        );
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!three.has(&room, &event_id));
    assert_eq!(one.state(&room), three.state(&room));
}

#[tokio::test]
async fn a_join_is_not_sent_back_to_the_server_that_it_came_from() {
    let (street, [one, two, three], room) = with_a_stranger().await;
    three
        .server
        .join(&room, &three.user("carol"), one.name())
        .await
        .unwrap();
    eventually(|| two.state(&room) == one.state(&room)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(street.calls("SendTransaction", &two), 1);
    assert_eq!(street.calls("SendTransaction", &three), 0);
}

#[tokio::test]
async fn a_server_that_was_kicked_admits_nobody_and_tells_nothing() {
    let (_, [one, two, three], room) = with_a_stranger().await;
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let event_id = two.heads(&room).remove(0);
    let join = {
        let carol = two.user("carol");
        let draft = Draft::membership(&carol, &carol, "join");
        two.unsigned(&room, &draft, None, &[LEVELS, ("m.room.join_rules", "")])
    };
    let kick = Draft::membership(&alice, &bob, "leave");
    one.server.send(&room, &kick).await.unwrap();
    let (room_id, extra_query) = (room.to_string(), Query::default());
    let request = GetStateIds {
        room_id: room_id.clone(),
        event_id,
        extra_query: extra_query.clone(),
    };
    let mut errors = vec![answered(
        one.client.get_state_ids(two.name(), request).await,
    )];
    let request = MakeJoin {
        room_id: room_id.clone(),
        user_id: three.user("carol").to_string(),
        versions: vec!["12".to_owned()],
        extra_query: extra_query.clone(),
    };
    errors.push(answered(three.client.make_join(two.name(), request).await));
    let (event_id, event) = two.sign(&room, &join);
    let request = SendJoin {
        room_id,
        event_id,
        event,
        omit_members: None,
        extra_query,
    };
    errors.push(answered(two.client.send_join(two.name(), request).await));
    for error in errors {
        assert_eq!(
            (error.http_status(), error.errcode()),
            (404, Some("M_NOT_FOUND"))
        );
    }
}

#[tokio::test]
async fn a_banned_user_is_told_so_where_others_would_need_a_voucher() {
    let (one, two) = Street::of_two();
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let new = NewRoom {
        join_rule: "restricted".to_owned(),
        ..NewRoom::default()
    };
    let room = one.server.create_room(&alice, &new).unwrap();
    let ban = Draft::membership(&alice, &bob, "ban");
    one.server.send(&room, &ban).await.unwrap();
    for (user, status, code) in [
        (bob, 403, "M_FORBIDDEN"),
        (two.user("carol"), 400, "M_UNABLE_TO_AUTHORISE_JOIN"),
    ] {
        let request = MakeJoin {
            room_id: room.to_string(),
            user_id: user.to_string(),
            versions: vec!["12".to_owned()],
            extra_query: Query::default(),
        };
        let error = answered(two.client.make_join(one.name(), request).await);
        assert_eq!((error.http_status(), error.errcode()), (status, Some(code)));
    }
}
