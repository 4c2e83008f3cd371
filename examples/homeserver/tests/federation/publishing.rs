//! What anyone may ask a server: its public rooms, its aliases; and what only members may.

use comity_core::{
    api::{
        Calls, Direction, GetEventAuth, GetEventByTimestamp, GetPublicRooms, GetUserDevices,
        PublicRoomsFilter, QueryDirectory, QueryPublicRooms, SendTransaction,
    },
    auth::now_ms,
    endpoint::Query,
    json::Json,
};
use comity_homeserver::{User, ruma_common::OwnedRoomId};
use serde_json::json;

use crate::setting::{House, Street, answered, object};

async fn named(house: &House, name: &str, alias: &str) -> OwnedRoomId {
    let alice = house.user("alice");
    let room = house.public_room(&alice, "12");
    let alias = format!("#{alias}:{}", house.name());
    for (kind, content) in [
        ("m.room.name", json!({ "name": name })),
        ("m.room.canonical_alias", json!({ "alias": alias })),
    ] {
        let sent = house
            .server
            .send_state(&room, &alice, kind, "", object(content));
        sent.await.unwrap();
    }
    room
}

async fn ask(from: &House, to: &House, alias: &str) -> Result<String, u16> {
    let request = QueryDirectory {
        room_alias: alias.to_owned(),
        ..QueryDirectory::default()
    };
    match from.client.query_directory(to.name(), request).await {
        Ok(found) => {
            assert!(found.servers.contains(&to.name().to_string()));
            Ok(found.room_id)
        }
        error => Err(answered(error).http_status()),
    }
}

#[tokio::test]
async fn public_rooms_are_listed_in_pages_and_found_by_their_words() {
    let (one, two) = Street::of_two();
    let mut rooms = Vec::new();
    for name in ["Cats", "Dogs", "Catalogue"] {
        rooms.push(named(&one, name, &name.to_lowercase()).await.to_string());
    }
    rooms.sort();
    let alice = one.user("alice");
    one.server.create_room(&alice, &Default::default()).unwrap();
    // A room of another server is that one's to publish.
    let theirs = two.public_room(&two.user("bob"), "12");
    one.server.join(&theirs, &alice, two.name()).await.unwrap();

    let mut listed = Vec::new();
    let mut since = None;
    loop {
        let request = GetPublicRooms {
            limit: Some(2),
            since,
            ..GetPublicRooms::default()
        };
        let page = two
            .client
            .get_public_rooms(one.name(), request)
            .await
            .unwrap();
        assert_eq!(page.total_room_count_estimate, Some(3));
        let rooms = page.chunk.iter().map(|room| room.read().unwrap().room_id);
        listed.extend(rooms);
        since = page.next_batch;
        if since.is_none() {
            break;
        }
    }
    assert_eq!(listed, rooms);

    let filter = PublicRoomsFilter {
        generic_search_term: Some("CAT".to_owned()),
        room_types: None,
    };
    let request = QueryPublicRooms {
        filter: Some(Json::write(&filter).unwrap()),
        ..QueryPublicRooms::default()
    };
    let found = two
        .client
        .query_public_rooms(one.name(), request)
        .await
        .unwrap();
    let mut names: Vec<_> = found
        .chunk
        .iter()
        .map(|room| room.read().unwrap().name)
        .collect();
    names.sort();
    assert_eq!(
        names,
        [Some("Catalogue".to_owned()), Some("Cats".to_owned())]
    );

    for since in ["-1", "x", "99999999999999999999"] {
        let request = GetPublicRooms {
            since: Some(since.to_owned()),
            ..GetPublicRooms::default()
        };
        let error = answered(two.client.get_public_rooms(one.name(), request).await);
        assert_eq!(error.http_status(), 400, "{since}");
    }
    let request = GetPublicRooms {
        since: Some(usize::MAX.to_string()),
        limit: Some(i64::MAX),
        ..GetPublicRooms::default()
    };
    let beyond = two
        .client
        .get_public_rooms(one.name(), request)
        .await
        .unwrap();
    assert!(beyond.chunk.is_empty() && beyond.next_batch.is_none());
}

#[tokio::test]
async fn an_alias_leads_to_the_room_that_a_user_of_its_server_gave_it_to() {
    let (one, two) = Street::of_two();
    let cats = named(&one, "Cats", "cats").await;
    assert_eq!(
        ask(&two, &one, "#cats:one.example").await,
        Ok(cats.to_string())
    );
    assert_eq!(ask(&two, &one, "#dogs:one.example").await, Err(404));
    assert_eq!(ask(&two, &one, "#cats:two.example").await, Err(404));

    // A room of another server that says it is called so.
    let bob = two.user("bob");
    let theirs = two.public_room(&bob, "12");
    one.server
        .join(&theirs, &one.user("alice"), two.name())
        .await
        .unwrap();
    let content = object(json!({ "alias": "#dogs:one.example" }));
    let sent = two
        .server
        .send_state(&theirs, &bob, "m.room.canonical_alias", "", content);
    assert_eq!(sent.await.unwrap().deliveries[0].refused().count(), 0);
    assert_eq!(ask(&two, &one, "#dogs:one.example").await, Err(404));
}

#[tokio::test]
async fn an_auth_chain_and_a_time_are_answered_for_members_only() {
    let street = Street::default();
    let [one, two, three] =
        ["one.example", "two.example", "three.example"].map(|name| street.move_in(name));
    let room = one.public_room(&one.user("alice"), "12");
    let bob = two.user("bob");
    let joined = two.server.join(&room, &bob, one.name()).await.unwrap();
    let chain = GetEventAuth {
        room_id: room.to_string(),
        event_id: joined.event.id().to_string(),
        extra_query: Query::default(),
    };
    let mut reply = two
        .client
        .get_event_auth(one.name(), chain.clone())
        .await
        .unwrap();
    let mut kinds = Vec::new();
    while let Some(arrival) = reply.next().await {
        let comity_core::call::Arrival::Item { item, .. } = arrival.unwrap() else {
            panic!("not an event");
        };
        kinds.push(item.event_type().unwrap());
    }
    kinds.sort();
    assert_eq!(
        kinds,
        ["m.room.join_rules", "m.room.member", "m.room.power_levels"]
    );
    let error = answered(three.client.get_event_auth(one.name(), chain).await);
    assert_eq!(error.http_status(), 403);

    let at = |timestamp, direction| GetEventByTimestamp {
        room_id: room.to_string(),
        timestamp,
        direction,
        extra_query: Query::default(),
    };
    let create = room.as_str().replacen('!', "$", 1);
    for (timestamp, direction, expected) in [
        (0, Direction::Forwards, Some(create.as_str())),
        (i64::MIN, Direction::Forwards, Some(create.as_str())),
        (
            i64::MAX,
            Direction::Backwards,
            Some(joined.event.id().as_str()),
        ),
        (0, Direction::Backwards, None),
        (i64::MAX, Direction::Forwards, None),
    ] {
        let request = at(timestamp, direction);
        match (
            two.client.get_event_by_timestamp(one.name(), request).await,
            expected,
        ) {
            (Ok(found), Some(expected)) => assert_eq!(found.event_id, expected),
            (error, None) => assert_eq!(answered(error).http_status(), 404),
            (error, Some(_)) => panic!("{error:?}"),
        }
    }
    let request = at(0, Direction::Forwards);
    let error = answered(
        three
            .client
            .get_event_by_timestamp(one.name(), request)
            .await,
    );
    assert_eq!(error.http_status(), 403);
}

#[tokio::test]
async fn devices_are_listed_of_its_own_users() {
    let (one, two) = Street::of_two();
    let alice = one.user("alice");
    one.server.add_user(alice.clone(), User::default());
    for (user, expected) in [
        (alice, 200),
        (one.user("nobody"), 404),
        (two.user("bob"), 404),
    ] {
        let request = GetUserDevices {
            user_id: user.to_string(),
            extra_query: Query::default(),
        };
        match two.client.get_user_devices(one.name(), request).await {
            Ok(reply) => {
                assert_eq!(expected, 200);
                assert!(reply.devices.is_empty() && reply.user_id == user.as_str());
            }
            error => assert_eq!(answered(error).http_status(), expected),
        }
    }
}

#[tokio::test]
async fn a_server_that_the_room_denies_is_not_talked_to() {
    let (one, two) = Street::of_two();
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let room = one.public_room(&alice, "12");
    two.server.join(&room, &bob, one.name()).await.unwrap();
    let acl = object(json!({ "allow": ["*"], "deny": ["two.example"] }));
    one.server
        .send_state(&room, &alice, "m.room.server_acl", "", acl)
        .await
        .unwrap();
    let sent = two
        .server
        .send_message(&room, &bob, "hello?")
        .await
        .unwrap();
    assert_eq!(sent.deliveries[0].refused().count(), 1, "{sent:?}");
    assert!(!one.has(&room, sent.event.id().as_str()));
    let chain = GetEventAuth {
        room_id: room.to_string(),
        event_id: sent.event.id().to_string(),
        extra_query: Query::default(),
    };
    let error = answered(two.client.get_event_auth(one.name(), chain).await);
    assert_eq!(error.errcode(), Some("M_FORBIDDEN"));
    // What belongs to no room passes.
    let empty = SendTransaction::new("1".to_owned(), two.name(), now_ms(), []);
    two.client
        .send_transaction(one.name(), empty)
        .await
        .unwrap();
}
