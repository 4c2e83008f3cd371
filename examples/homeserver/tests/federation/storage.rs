//! What is still there after a crash. A crash is a copy of the directory as it is while the server runs: what is not in it never reached the disk.

use std::{collections::BTreeMap, fs, path::Path};

use comity_core::{
    api::{Calls, ClaimKeys},
    endpoint::Query,
    json::{Json, Members},
};
use comity_homeserver::{
    Device, Draft, NewRoom, Storage, StorageError, User, Versions,
    ruma_common::{OwnedRoomId, RoomId},
};
use serde_json::json;
use tempfile::TempDir;

use crate::setting::{House, Street, object, refusal, topic};

/// The directory as a crash would leave it.
fn after_a_crash(directory: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    fs::copy(
        directory.join(Storage::FILE),
        copy.path().join(Storage::FILE),
    )
    .unwrap();
    copy
}

/// All that is to be the same.
fn all_of(house: &House, room: &RoomId) -> impl PartialEq + std::fmt::Debug + use<> {
    let size = house.server.with_room(room, |room| {
        let texts = room.latest(100).into_iter();
        let texts = texts.map(|event| event.pdu().value().to_string());
        (room.len(), texts.collect::<Vec<_>>())
    });
    (house.state(room), house.heads(room), size)
}

async fn talk(one: &House, two: &House, room: &RoomId) {
    for (from, to, user) in [(one, two, one.user("alice")), (two, one, two.user("bob"))] {
        let sent = from
            .server
            .send_message(room, &user, "hello")
            .await
            .unwrap();
        assert_eq!(sent.deliveries.len(), 1);
        assert!(sent.deliveries[0].outcome.is_ok(), "{sent:?}");
        assert_eq!(sent.deliveries[0].refused().count(), 0, "{sent:?}");
        assert!(to.has(room, sent.event.id().as_str()));
    }
}

/// A room of each that both are in.
async fn rooms(one: &House, two: &House, version: &str) -> [OwnedRoomId; 2] {
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let theirs = one.public_room(&alice, version);
    two.server.join(&theirs, &bob, one.name()).await.unwrap();
    let ours = two.public_room(&bob, version);
    one.server.join(&ours, &alice, two.name()).await.unwrap();
    [theirs, ours]
}

#[tokio::test]
async fn rooms_of_both_kinds_are_as_they_were_and_go_on() {
    for version in ["6", "11", "12"] {
        let street = Street::default();
        let one = street.move_in("one.example");
        let directory = TempDir::new().unwrap();
        let two = street.move_in_stored("two.example", directory.path());
        let rooms = rooms(&one, &two, version).await;
        for room in &rooms {
            talk(&one, &two, room).await;
        }
        let before = rooms.each_ref().map(|room| all_of(&two, room));
        let key = two.key.verify_key().to_base64();

        let copy = after_a_crash(directory.path());
        let two = street.move_in_stored("two.example", copy.path());
        assert_eq!(two.key.verify_key().to_base64(), key);
        assert_eq!(rooms.each_ref().map(|room| all_of(&two, room)), before);
        for room in &rooms {
            talk(&one, &two, room).await;
            assert_eq!(one.state(room), two.state(room));
        }
    }
}

#[tokio::test]
async fn each_event_is_there_as_soon_as_it_was_answered_for() {
    let street = Street::default();
    let one = street.move_in("one.example");
    let directory = TempDir::new().unwrap();
    let two = street.move_in_stored("two.example", directory.path());
    let [room, _] = rooms(&one, &two, "12").await;
    for number in 0..20 {
        let house = if number % 2 == 0 { &one } else { &two };
        let user = house.user(if number % 2 == 0 { "alice" } else { "bob" });
        let sent = house
            .server
            .send_message(&room, &user, "hello")
            .await
            .unwrap();
        let copy = after_a_crash(directory.path());
        let again = Street::default().move_in_stored("two.example", copy.path());
        assert!(again.has(&room, sent.event.id().as_str()), "{number}");
    }
}

#[tokio::test]
async fn a_fork_a_rejected_event_and_a_soft_failed_one_are_as_they_were() {
    let street = Street::default();
    let one = street.move_in("one.example");
    let directory = TempDir::new().unwrap();
    let two = street.move_in_stored("two.example", directory.path());
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let room = one.public_room(&alice, "12");
    two.server.join(&room, &bob, one.name()).await.unwrap();
    let levels = ("m.room.power_levels", "");

    let carol = one.user("carol");
    one.server.join(&room, &carol, two.name()).await.unwrap();
    let of_carol = [levels, ("m.room.member", carol.as_str())];
    // Beside the ban that comes before it, and so not to be built on.
    let (soft_failed, late) = one.forge(&room, &Draft::message(&carol, "late"), None, &of_carol);
    let (rejected, bad) = one.forge(&room, &topic(&carol, "not allowed"), None, &of_carol);
    let (upon, good) = one.forge(
        &room,
        &Draft::message(&alice, "on top of it"),
        Some(std::slice::from_ref(&rejected)),
        &[levels, ("m.room.member", alice.as_str())],
    );
    let ban = Draft::membership(&alice, &carol, "ban");
    one.server.send(&room, &ban).await.unwrap();
    let results = one.push(&two, [Ok(late), Ok(bad.clone()), Ok(good)]).await;
    assert_eq!(results[&soft_failed].error, None);
    let why = refusal(&results, &rejected).to_owned();
    assert_eq!(results[&upon].error, None);
    let before = all_of(&two, &room);
    assert_eq!(two.heads(&room).len(), 2);

    let copy = after_a_crash(directory.path());
    let two = street.move_in_stored("two.example", copy.path());
    assert_eq!(all_of(&two, &room), before);
    assert!(two.has(&room, &soft_failed));
    assert!(!two.has(&room, &rejected));
    let results = one.push(&two, [Ok(bad)]).await;
    assert_eq!(refusal(&results, &rejected), why);
}

#[tokio::test]
async fn users_and_invitations_are_there_and_a_claimed_key_is_not() {
    let street = Street::default();
    let one = street.move_in("one.example");
    let directory = TempDir::new().unwrap();
    let two = street.move_in_stored("two.example", directory.path());
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let key = |name: &str| object(json!({ "key": name })).to_value();
    let phone = Device {
        keys: key("identity"),
        one_time_keys: [
            ("curve:A".to_owned(), key("A")),
            ("curve:B".to_owned(), key("B")),
        ]
        .into(),
        fallback_keys: BTreeMap::new(),
    };
    let user = User {
        display_name: Some("Bob".to_owned()),
        devices: [("PHONE".to_owned(), phone)].into(),
        ..User::default()
    };
    two.server.add_user(bob.clone(), user);
    let claim = async || {
        let wanted = json!({ bob.as_str(): { "PHONE": "curve" } });
        let request = ClaimKeys {
            one_time_keys: Json::from_value(object(wanted).to_value()),
            extra: Members::new(),
            extra_query: Query::default(),
        };
        let name = "two.example".parse().unwrap();
        let reply = one.client.claim_keys(&name, request).await.unwrap();
        reply.one_time_keys.unwrap().value().to_string()
    };
    assert!(claim().await.contains("curve:A"));
    let private = one.server.create_room(&alice, &NewRoom::default()).unwrap();
    one.server.invite(&private, &alice, &bob).await.unwrap();
    let rejected = one.server.create_room(&alice, &NewRoom::default()).unwrap();
    one.server.invite(&rejected, &alice, &bob).await.unwrap();
    two.server.leave(&rejected, &bob).await.unwrap();
    let invitations = two.server.invitations(&bob);
    assert_eq!(invitations.len(), 1);

    let copy = after_a_crash(directory.path());
    let two = street.move_in_stored("two.example", copy.path());
    assert_eq!(two.server.invitations(&bob), invitations);
    let user = two.server.user(&bob).unwrap();
    assert_eq!(user.display_name.as_deref(), Some("Bob"));
    assert!(claim().await.contains("curve:B"));
    assert_eq!(claim().await, "{}");
    two.server.join(&private, &bob, one.name()).await.unwrap();

    let copy = after_a_crash(copy.path());
    let two = street.move_in_stored("two.example", copy.path());
    assert_eq!(two.server.invitations(&bob), []);
    assert_eq!(two.state(&private), one.state(&private));
}

#[tokio::test]
async fn a_room_that_was_forgotten_is_gone_and_one_joined_again_is_the_new_one() {
    let street = Street::default();
    let one = street.move_in("one.example");
    let directory = TempDir::new().unwrap();
    let two = street.move_in_stored("two.example", directory.path());
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let [room, forgotten] = rooms(&one, &two, "12").await;
    talk(&one, &two, &room).await;
    two.server.leave(&room, &bob).await.unwrap();
    one.server
        .send_message(&room, &alice, "while bob was away")
        .await
        .unwrap();
    two.server.join(&room, &bob, one.name()).await.unwrap();
    assert!(two.server.forget_room(&forgotten));
    two.server.saved().await.unwrap();
    let before = all_of(&two, &room);

    let copy = after_a_crash(directory.path());
    let two = street.move_in_stored("two.example", copy.path());
    assert_eq!(two.server.rooms(), std::slice::from_ref(&room));
    assert_eq!(all_of(&two, &room), before);
    talk(&one, &two, &room).await;
}

#[tokio::test]
async fn a_directory_serves_one_name_and_one_process() {
    let directory = TempDir::new().unwrap();
    let name = "two.example".parse().unwrap();
    let storage = Storage::open(directory.path(), &name).unwrap();
    let error = Storage::open(directory.path(), &name).unwrap_err();
    assert!(matches!(error, StorageError::Database { .. }), "{error:?}");
    drop(storage);
    let other = "other.example".parse().unwrap();
    let error = Storage::open(directory.path(), &other).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("belongs to the server two.example"),
        "{error}"
    );
    Storage::open(directory.path(), &name).unwrap();
}

#[cfg(unix)]
#[test]
fn the_signing_key_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().unwrap();
    Storage::open(directory.path(), &"two.example".parse().unwrap()).unwrap();
    let file = fs::metadata(directory.path().join(Storage::FILE)).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_is_no_database_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join(Storage::FILE);
    fs::write(&file, "something else that was there before").unwrap();
    let error = Storage::open(directory.path(), &"two.example".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("homeserver.redb"), "{error}");
    assert_eq!(
        fs::read(&file).unwrap(),
        b"something else that was there before"
    );
}

#[tokio::test]
async fn a_room_whose_version_is_not_spoken_any_more_keeps_the_server_from_starting() {
    let street = Street::default();
    let directory = TempDir::new().unwrap();
    let one = street.move_in_stored("one.example", directory.path());
    let room = one.public_room(&one.user("alice"), "12");
    one.server.saved().await.unwrap();
    let copy = after_a_crash(directory.path());
    let storage = Storage::open(copy.path(), one.name()).unwrap();
    let error = one.unstored().speaking(Versions::none()).stored_in(storage);
    let said = error.unwrap_err().to_string();
    assert!(
        said.contains(room.as_str()) && said.contains("version is not spoken"),
        "{said}"
    );
}
