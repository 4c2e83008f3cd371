//! Rooms of either edition, joined through what each side says it speaks.

use comity_homeserver::Versions;
use mimi_profile::versions;

use crate::setting::{Api, BINDINGS, Town, answered, taken};

#[tokio::test]
async fn rooms_of_both_editions_are_joined_and_talked_in_both_ways_over_each_binding() {
    for binding in BINDINGS {
        let town = Town::new(binding);
        let profile = town
            .move_in("profile.example", Api::Profile, versions())
            .await;
        let full = town.move_in("full.example", Api::Full, versions()).await;
        let (alice, bob) = (profile.user("alice"), full.user("bob"));
        for version in ["I.1", "10", "12"] {
            for (at, joins, host, guest) in [
                (&profile, &full, &alice, &bob),
                (&full, &profile, &bob, &alice),
            ] {
                let room = at.room(host, version);
                let joined = joins.server.join(&room, guest, at.name()).await.unwrap();
                assert_eq!(joined.room_version, version, "{:?}", town.binding());
                assert_eq!(joined.refused.count, 0, "{:?}", joined.refused);
                for (from, to, user) in [(at, joins, host), (joins, at, guest)] {
                    let sent = from
                        .server
                        .send_message(&room, user, "hello")
                        .await
                        .unwrap();
                    taken(&sent);
                    assert!(to.has(&room, &sent));
                }
                assert_eq!(at.state(&room), joins.state(&room));
            }
        }
    }
}

#[tokio::test]
async fn an_invitation_to_a_room_of_the_ietfs_edition_is_signed_by_both() {
    for binding in BINDINGS {
        let town = Town::new(binding);
        let profile = town
            .move_in("profile.example", Api::Profile, versions())
            .await;
        let full = town.move_in("full.example", Api::Full, versions()).await;
        let (alice, bob) = (profile.user("alice"), full.user("bob"));
        let room = profile.room(&alice, "I.1");
        profile.server.invite(&room, &alice, &bob).await.unwrap();
        let invitations = full.server.invitations(&bob);
        assert_eq!(invitations[0].room_version, "I.1");
        full.server.join(&room, &bob, profile.name()).await.unwrap();
        assert_eq!(profile.state(&room), full.state(&room));
    }
}

#[tokio::test]
async fn a_server_of_one_edition_is_told_the_version_of_a_room_of_the_other() {
    for binding in BINDINGS {
        let town = Town::new(binding);
        let both = town
            .move_in("profile.example", Api::Profile, versions())
            .await;
        let matrix = town
            .move_in("matrix.example", Api::Full, Versions::matrix())
            .await;
        let ietf = town
            .move_in("ietf.example", Api::Profile, Versions::ietf())
            .await;
        let alice = both.user("alice");
        for (stranger, version) in [(&matrix, "I.1"), (&ietf, "12")] {
            let room = both.room(&alice, version);
            let bob = stranger.user("bob");
            // It asks to join, and says what it speaks.
            let error = answered(stranger.server.join(&room, &bob, both.name()).await);
            assert_eq!(
                (error.http_status(), error.errcode()),
                (400, Some("M_INCOMPATIBLE_ROOM_VERSION"))
            );
            assert_eq!(
                error.room_version().as_deref(),
                Some(version),
                "{binding:?}"
            );
            // It is invited.
            let error = answered(both.server.invite(&room, &alice, &bob).await);
            assert_eq!(
                (error.http_status(), error.errcode()),
                (400, Some("M_INCOMPATIBLE_ROOM_VERSION"))
            );
            assert_eq!(
                error.room_version().as_deref(),
                Some(version),
                "{binding:?}"
            );
        }
        // Each joins rooms of its own edition at the same server.
        for (guest, version) in [(&matrix, "11"), (&ietf, "I.1")] {
            let room = both.room(&alice, version);
            let joined = guest
                .server
                .join(&room, &guest.user("bob"), both.name())
                .await
                .unwrap();
            assert_eq!(joined.room_version, version);
        }
    }
}
