//! The bindings that a key document lists: for how long they count, and of which document.

use bytes::Bytes;
use comity_core::{
    auth::{KeyDocument, KeyFault, KeyRing, KeySource},
    json::Value,
    transport::{BINDINGS_MEMBER, Offers},
};

use crate::{homeserver::name, key_setting::*, network::*};

/// A document that lists a binding, good for so long.
fn offering(s: &Setting, binding: &str, lasting: i64) -> Bytes {
    let list = format!(r#"[{{"binding":"{binding}"}}]"#);
    let list = Value::parse(list.into(), 1000).unwrap();
    KeyDocument::new(name("a.example"), s.clock.now() + lasting)
        .with_member(BINDINGS_MEMBER, list)
        .sign(&[&s.key])
        .unwrap()
}

#[tokio::test]
async fn bindings_count_for_a_day_at_most_and_are_asked_for_again() {
    let s = Setting::new();
    let say = |binding: &str| s.origin.say(offering(&s, binding, 7 * DAY));
    say("grpc/1");
    let ring = KeyRing::new(s.network.client(), options(&s.clock));
    let a = name("a.example");
    let offered = ring.offered(&a).await.unwrap();
    assert_eq!(ring.source(), "signed");
    assert_eq!(offered.until, s.clock.now() + DAY);
    // Half a day: from the cache.
    s.clock.pass(DAY / 2);
    say("grpc/2");
    assert_eq!(ring.offered(&a).await, Some(offered));
    assert_eq!(s.network.calls("a.example"), 1);
    s.clock.pass(DAY / 2);
    let offered = ring.offered(&a).await.unwrap();
    assert_eq!(offered.offers[0].binding, "grpc/2");
    // It cannot be asked: what is older than a day does not count, while the keys do.
    s.network.refuse("a.example");
    s.clock.pass(DAY);
    assert_eq!(ring.offered(&a).await, None);
    assert!(key_1(&ring).await.is_ok());
}

#[tokio::test]
async fn what_a_document_does_not_say_is_not_known() {
    let s = Setting::new();
    let ring = KeyRing::new(s.network.client(), options(&s.clock));
    assert_eq!(ring.offered(&name("a.example")).await, None);
    let none = Value::array([]);
    let says_none = KeyDocument::new(name("a.example"), s.clock.now() + 2 * DAY)
        .with_member(BINDINGS_MEMBER, none);
    s.origin.say(says_none.sign(&[&s.key]).unwrap());
    s.clock.pass(DAY);
    let offered = ring.offered(&name("a.example")).await.unwrap();
    assert!(offered.offers.is_empty());
    assert_eq!(ring.offered(&name("down.example")).await, None);
}

#[tokio::test]
async fn a_server_that_shortens_its_validity_keeps_its_bindings() {
    let s = Setting::new();
    let with = |binding: &str, lasting: i64| offering(&s, binding, lasting);
    s.origin.say(with("grpc/1", 7 * DAY));
    let ring = KeyRing::new(s.network.client(), options(&s.clock));
    let a = name("a.example");
    for _ in 0..200 {
        let offered = ring.offered(&a).await.expect("bindings");
        assert!(offered.until <= s.clock.now() + DAY);
        key_1(&ring).await.unwrap();
        // Nothing failed, so a key that is not there is not there.
        let unknown = ring.request_key(&a, &id("ed25519:x")).await;
        assert_eq!(unknown, Err(KeyFault::Unknown));
        s.clock.pass(HOUR);
        s.origin.say(with("grpc/1", DAY));
    }
}

#[tokio::test]
async fn a_replay_with_other_bindings_confirms_nothing() {
    let s = Setting::new();
    let with = |binding: &str, lasting: i64| offering(&s, binding, lasting);
    let ring = KeyRing::new(s.network.client(), options(&s.clock));
    let a = name("a.example");
    s.origin.say(with("grpc/1", 7 * DAY));
    ring.offered(&a).await.unwrap();
    s.origin.say(with("grpc/2", 2 * DAY));
    s.clock.pass(DAY);
    assert_eq!(ring.offered(&a).await, None, "neither of the two");
    key_1(&ring).await.unwrap();
}
