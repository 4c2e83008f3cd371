//! Leaving, rejecting an invitation, and knocking.

use comity_core::{
    api::{Calls, MakeKnock, MakeLeave, SendKnock, SendLeave, SendLeaveV1},
    endpoint::Query,
    json::Object,
};
use comity_homeserver::{
    ActionError, Draft, NewRoom, Version,
    ruma_common::{OwnedRoomId, UserId},
};

use crate::setting::{House, Street, answered, eventually};

/// How a server sees a user.
fn membership(house: &House, room: &OwnedRoomId, user: &UserId) -> Option<String> {
    house
        .server
        .with_room(room, |room| {
            let event = room.state().get(&"m.room.member".into(), user.as_str())?;
            Some(event.membership()?.1.to_string())
        })
        .unwrap()
}

fn room_of(house: &House, version: &str, join_rule: &str) -> OwnedRoomId {
    let room = NewRoom {
        version: version.to_owned(),
        join_rule: join_rule.to_owned(),
        ..NewRoom::default()
    };
    house
        .server
        .create_room(&house.user("alice"), &room)
        .unwrap()
}

#[tokio::test]
async fn a_member_leaves_and_an_invited_user_rejects() {
    for version in Version::SPOKEN {
        let (one, two) = Street::of_two();
        let (alice, bob) = (one.user("alice"), two.user("bob"));
        let public = one.public_room(&alice, version);
        two.server.join(&public, &bob, one.name()).await.unwrap();
        two.server.leave(&public, &bob).await.unwrap();
        assert_eq!(membership(&one, &public, &bob).as_deref(), Some("leave"));

        let private = room_of(&one, version, "invite");
        one.server.invite(&private, &alice, &bob).await.unwrap();
        two.server.leave(&private, &bob).await.unwrap();
        assert_eq!(membership(&one, &private, &bob).as_deref(), Some("leave"));
        assert!(two.server.invitations(&bob).is_empty());
        // Nothing is left to reject.
        let error = two.server.leave(&private, &bob).await.unwrap_err();
        assert!(matches!(error, ActionError::UnknownRoom(_)), "{error:?}");
    }
}

#[tokio::test]
async fn an_invitation_is_gone_even_if_its_server_does_not_take_the_rejection() {
    let (one, two) = Street::of_two();
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let room = room_of(&one, "12", "invite");
    one.server.invite(&room, &alice, &bob).await.unwrap();
    one.server.forget_room(&room);
    let error = two.server.leave(&room, &bob).await.unwrap_err();
    assert!(matches!(error, ActionError::Call { .. }), "{error:?}");
    assert!(two.server.invitations(&bob).is_empty());
}

#[tokio::test]
async fn the_third_server_is_told_who_left() {
    let street = Street::default();
    let [one, two, three] =
        ["one.example", "two.example", "three.example"].map(|name| street.move_in(name));
    let (alice, bob, carol) = (one.user("alice"), two.user("bob"), three.user("carol"));
    let room = one.public_room(&alice, "12");
    three.server.join(&room, &carol, one.name()).await.unwrap();
    one.server.invite(&room, &alice, &bob).await.unwrap();
    two.server.leave(&room, &bob).await.unwrap();
    eventually(|| membership(&three, &room, &bob).as_deref() == Some("leave")).await;
}

#[tokio::test]
async fn who_is_not_in_the_room_or_of_another_server_is_given_no_template() {
    let (one, two) = Street::of_two();
    let room = one.public_room(&one.user("alice"), "12");
    for (user, says) in [
        (two.user("bob"), "do not allow it"),
        (one.user("alice"), ""),
    ] {
        let request = MakeLeave {
            room_id: room.to_string(),
            user_id: user.to_string(),
            extra_query: Query::default(),
        };
        let error = answered(two.client.make_leave(one.name(), request).await);
        assert_eq!(error.errcode(), Some("M_FORBIDDEN"), "{error}");
        assert!(error.message().contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_leave_in_the_older_form_is_taken_and_one_of_somebody_else_is_not() {
    let (one, two) = Street::of_two();
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let room = one.public_room(&alice, "12");
    two.server.join(&room, &bob, one.name()).await.unwrap();
    let citing = [("m.room.power_levels", ""), ("m.room.member", bob.as_str())];
    let kick = Draft::membership(&bob, &alice, "leave");
    let (event_id, event) = two.forge(&room, &kick, None, &citing);
    let request = SendLeave {
        room_id: room.to_string(),
        event_id,
        event,
        extra_query: Query::default(),
    };
    let error = answered(two.client.send_leave(one.name(), request).await);
    assert_eq!(error.http_status(), 400, "{error}");
    assert_eq!(membership(&one, &room, &alice).as_deref(), Some("join"));

    let own = Draft::membership(&bob, &bob, "leave");
    let (event_id, event) = two.forge(&room, &own, None, &citing);
    let request = SendLeaveV1 {
        room_id: room.to_string(),
        event_id,
        event,
        extra_query: Query::default(),
    };
    two.client.send_leave_v1(one.name(), request).await.unwrap();
    assert_eq!(membership(&one, &room, &bob).as_deref(), Some("leave"));
}

fn knock(room: &OwnedRoomId, user: &UserId) -> MakeKnock {
    MakeKnock {
        room_id: room.to_string(),
        user_id: user.to_string(),
        versions: Version::SPOKEN.map(str::to_owned).to_vec(),
        extra_query: Query::default(),
    }
}

#[tokio::test]
async fn a_user_knocks_where_that_is_allowed_and_is_shown_what_the_room_is() {
    for version in ["7", "10", "11", "12"] {
        let (one, two) = Street::of_two();
        let (alice, bob) = (one.user("alice"), two.user("bob"));
        let room = room_of(&one, version, "knock");
        let reply = two.client.make_knock(one.name(), knock(&room, &bob)).await;
        let reply = reply.unwrap();
        assert_eq!(reply.room_version, version);
        let template = Object::from_value(reply.event.value()).unwrap();
        let format = one
            .server
            .with_room(&room, |room| room.version().format.clone());
        let (event_id, event) =
            comity_core::event::sign_event(&*format.unwrap(), &template, two.name(), &two.key)
                .unwrap();
        let request = SendKnock {
            room_id: room.to_string(),
            event_id,
            event,
            extra_query: Query::default(),
        };
        let reply = two.client.send_knock(one.name(), request).await.unwrap();
        let shown = reply
            .knock_room_state
            .into_iter()
            .map(|event| event.unwrap().event_type());
        let shown: Vec<_> = shown.flatten().collect();
        assert!(shown.contains(&"m.room.create".to_owned()), "{shown:?}");
        assert!(!shown.contains(&"m.room.member".to_owned()), "{shown:?}");
        assert_eq!(membership(&one, &room, &bob).as_deref(), Some("knock"));
        one.server.invite(&room, &alice, &bob).await.unwrap();
        two.server.join(&room, &bob, one.name()).await.unwrap();
        assert_eq!(one.state(&room), two.state(&room));
    }
}

#[tokio::test]
async fn nobody_knocks_on_a_room_that_does_not_allow_it() {
    for (version, join_rule, status, errcode) in [
        ("12", "public", 403, "M_FORBIDDEN"),
        ("12", "invite", 403, "M_FORBIDDEN"),
        // Before version 7 nobody knew knocks.
        ("6", "invite", 403, "M_FORBIDDEN"),
    ] {
        let (one, two) = Street::of_two();
        let room = room_of(&one, version, join_rule);
        let request = knock(&room, &two.user("bob"));
        let error = answered(two.client.make_knock(one.name(), request).await);
        assert_eq!(
            (error.http_status(), error.errcode()),
            (status, Some(errcode)),
            "{error}"
        );
    }
}
