//! Rooms, joins and invites between honest servers.

use comity_core::{
    api::{Calls, Invite, MakeJoin},
    endpoint::Query,
    error::CallError,
    json::Members,
};
use comity_homeserver::{ActionError, NewRoom, Version};

use crate::setting::{Street, answered, eventually, topic};

#[tokio::test]
async fn a_room_of_every_spoken_version_is_joined_and_talked_in_both_ways() {
    for version in Version::SPOKEN {
        let (one, two) = Street::of_two();
        let (alice, bob) = (one.user("alice"), two.user("bob"));
        let room = one.public_room(&alice, version);
        one.server
            .send(&room, &topic(&alice, "before the join"))
            .await
            .unwrap();
        let joined = two.server.join(&room, &bob, one.name()).await.unwrap();
        assert_eq!(joined.room_version, version);
        assert_eq!(joined.refused.count, 0, "{:?}", joined.refused);
        assert_eq!(joined.state, 6);
        assert_eq!(one.state(&room), two.state(&room));

        for (from, to, user) in [(&one, &two, &alice), (&two, &one, &bob)] {
            let sent = from
                .server
                .send_message(&room, user, "hello")
                .await
                .unwrap();
            assert_eq!(sent.deliveries.len(), 1);
            let delivered = &sent.deliveries[0];
            assert!(delivered.outcome.is_ok(), "{delivered:?}");
            assert_eq!(delivered.refused().count(), 0, "{delivered:?}");
            assert!(to.has(&room, sent.event.id().as_str()));
        }
        let changed = topic(&alice, "after the join");
        one.server.send(&room, &changed).await.unwrap();
        assert_eq!(one.state(&room), two.state(&room));
        assert_eq!(one.heads(&room), two.heads(&room));
    }
}

#[tokio::test]
async fn the_id_of_a_room_of_version_12_is_its_create_event_and_nothing_cites_that() {
    let (one, _) = Street::of_two();
    let room = one.public_room(&one.user("alice"), "12");
    let create = room.as_str().replacen('!', "$", 1);
    assert!(one.has(&room, &create));
    let citing = one.server.with_room(&room, |room| {
        let state = room.state().events();
        state
            .filter(|event| event.authorising().iter().any(|id| *id == create))
            .count()
    });
    assert_eq!(citing, Some(0));
}

#[tokio::test]
async fn a_second_user_of_a_server_joins_without_asking_another() {
    let (one, two) = Street::of_two();
    let room = one.public_room(&one.user("alice"), "12");
    two.server
        .join(&room, &two.user("bob"), one.name())
        .await
        .unwrap();
    let nobody = "nobody.example".parse().unwrap();
    two.server
        .join(&room, &two.user("carol"), &nobody)
        .await
        .unwrap();
    assert_eq!(one.state(&room), two.state(&room));
}

#[tokio::test]
async fn a_third_server_is_told_of_a_join_by_the_server_that_took_it() {
    let street = Street::default();
    let [one, two, three] =
        ["one.example", "two.example", "three.example"].map(|name| street.move_in(name));
    let room = one.public_room(&one.user("alice"), "12");
    two.server
        .join(&room, &two.user("bob"), one.name())
        .await
        .unwrap();
    three
        .server
        .join(&room, &three.user("carol"), two.name())
        .await
        .unwrap();
    eventually(|| one.state(&room).len() == 7).await;
    assert_eq!(one.state(&room), three.state(&room));
    let sent = one
        .server
        .send_message(&room, &one.user("alice"), "to both")
        .await
        .unwrap();
    assert_eq!(sent.deliveries.len(), 2);
    assert!(three.has(&room, sent.event.id().as_str()));
}

#[tokio::test]
async fn an_invited_user_joins_a_room_that_nobody_else_can_join() {
    let (one, two) = Street::of_two();
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let room = one.server.create_room(&alice, &NewRoom::default()).unwrap();

    let error = two.server.join(&room, &bob, one.name()).await.unwrap_err();
    let ActionError::Call { source, .. } = error else {
        panic!("{error:?}");
    };
    let CallError::Federation(refused) = source else {
        panic!("{source:?}");
    };
    assert_eq!(
        (refused.http_status(), refused.errcode()),
        (403, Some("M_FORBIDDEN"))
    );

    let sent = one.server.invite(&room, &alice, &bob).await.unwrap();
    let invitations = two.server.invitations(&bob);
    assert_eq!(invitations.len(), 1);
    assert_eq!(invitations[0].room_id, room);
    assert_eq!(invitations[0].event, *sent.event.pdu());
    let signatures = sent.event.pdu().get("signatures").unwrap().to_string();
    for house in [&one, &two] {
        assert!(signatures.contains(house.name().as_str()), "{signatures}");
    }

    let via = invitations[0].via.clone();
    two.server.join(&room, &bob, &via).await.unwrap();
    assert_eq!(one.state(&room), two.state(&room));
    assert!(two.server.invitations(&bob).is_empty());
}

#[tokio::test]
async fn a_template_is_given_to_the_users_own_server_only() {
    let (one, two) = Street::of_two();
    let room = one.public_room(&one.user("alice"), "12");
    let request = MakeJoin {
        room_id: room.to_string(),
        user_id: "@eve:three.example".to_owned(),
        versions: vec!["12".to_owned()],
        extra_query: Query::default(),
    };
    let error = answered(two.client.make_join(one.name(), request).await);
    assert_eq!(
        (error.http_status(), error.errcode()),
        (403, Some("M_FORBIDDEN"))
    );
}

#[tokio::test]
async fn a_server_that_does_not_speak_the_rooms_version_is_told_which_it_is() {
    let (one, two) = Street::of_two();
    let room = one.public_room(&one.user("alice"), "11");
    for versions in [vec![], vec!["10".to_owned(), "12".to_owned()]] {
        let request = MakeJoin {
            room_id: room.to_string(),
            user_id: two.user("bob").to_string(),
            versions,
            extra_query: Query::default(),
        };
        let error = answered(two.client.make_join(one.name(), request).await);
        assert_eq!(error.http_status(), 400);
        assert_eq!(error.errcode(), Some("M_INCOMPATIBLE_ROOM_VERSION"));
        let body = String::from_utf8_lossy(error.body()).into_owned();
        assert!(body.contains(r#""room_version":"11""#), "{body}");
    }
}

#[tokio::test]
async fn an_invite_that_is_none_is_not_signed() {
    let (one, two) = Street::of_two();
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let room = one.public_room(&alice, "12");
    let ban = comity_homeserver::Draft::membership(&alice, &bob, "ban");
    let (event_id, event) = one.forge(&room, &ban, None, &[]);
    let invite = comity_homeserver::Draft::membership(&alice, &bob, "invite");
    let (invite_id, invite) = one.forge(&room, &invite, None, &[]);
    for (version, event_id, event, expected, says) in [
        ("12", event_id, event, "M_INVALID_PARAM", "invite"),
        // Nothing proves that it is this room.
        (
            "12",
            invite_id.clone(),
            invite.clone(),
            "M_INVALID_PARAM",
            "m.room.create",
        ),
        ("99", invite_id, invite, "M_INCOMPATIBLE_ROOM_VERSION", "99"),
    ] {
        let request = Invite {
            room_id: room.to_string(),
            event_id,
            room_version: version.to_owned(),
            event,
            invite_room_state: None,
            extra: Members::new(),
            extra_query: Query::default(),
        };
        let error = answered(one.client.invite(two.name(), request).await);
        assert_eq!(
            (error.http_status(), error.errcode()),
            (400, Some(expected))
        );
        assert!(error.message().contains(says), "{error}");
    }
    assert!(two.server.invitations(&bob).is_empty());
}
