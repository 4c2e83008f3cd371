//! Which key document counts, of servers and notaries that err, lie or replay, and for how long.

use std::time::Duration;

use bytes::Bytes;
use comity_core::{
    auth::{
        FetchOrder, KeyDocument, KeyFault, KeyRing, KeySource, MAX_DOCUMENT_BYTES, OldVerifyKey,
        ServerKeys, SigningKey, TrustedNotary,
    },
    json::Value,
    transport::{BINDINGS_MEMBER, Offers},
};

use crate::{homeserver::name, key_setting::*, network::*};

#[tokio::test]
async fn of_several_documents_the_one_of_the_longest_validity_counts() {
    let s = Setting::new();
    s.network.refuse("a.example");
    let (old, new) = (s.document(HOUR), s.document(5 * HOUR));
    let expired = s.document(-HOUR);
    let forged = document("a.example", &signing_key("1", 3), s.clock.now() + DAY);
    let forged =
        Bytes::from(String::from_utf8_lossy(&forged).replace("ed25519:1\":\"", "ed25519:1\":\"A"));
    s.relay(&[&old, &new, &expired]);
    s.notary.of_others.lock().unwrap().push(forged);
    let ring = s.ring(|_| ());
    key_1(&ring).await.unwrap();
    let known = ring
        .event_keys(&name("a.example"), &[id("ed25519:1")].into())
        .await
        .unwrap();
    assert_eq!(known.keys.valid_until_ts, s.clock.now() + 5 * HOUR);
}

#[tokio::test]
async fn of_several_notaries_the_longest_validity_counts_though_it_comes_later() {
    let s = Setting::new();
    s.network.refuse("a.example");
    let other_key = signing_key("o", 8);
    let other = Scripted::saying(document("o.example", &other_key, s.clock.now() + DAY));
    let newer = ServerKeys::parse(s.document(5 * HOUR)).unwrap();
    let newer = newer.notarised(&name("o.example"), &[&other_key]).unwrap();
    other.relay(vec![newer.text().clone()]);
    s.network.add("o.example", other);
    s.network.slow("o.example", Duration::from_millis(50));
    s.relay(&[&s.document(HOUR)]);
    let ring = s.ring(|_| ()).with_notaries(vec![
        TrustedNotary::new(name("n.example")),
        TrustedNotary::new(name("o.example")).with_key(id("ed25519:o"), other_key.verify_key()),
        TrustedNotary::new(name("down.example")),
    ]);
    let known = ring
        .event_keys(&name("a.example"), &[id("ed25519:1")].into())
        .await
        .unwrap();
    assert_eq!(known.keys.valid_until_ts, s.clock.now() + 5 * HOUR);
}

#[tokio::test]
async fn a_notary_that_lies_is_not_believed() {
    let s = Setting::new();
    s.network.refuse("a.example");
    let by = &s.notary_key;
    let good = s.document(HOUR);
    let other_server = document("b.example", &s.key, s.clock.now() + DAY);
    let text = String::from_utf8_lossy(&good)
        .replace("\"old_verify_keys\":{}", "\"old_verify_keys\":{},\"p\":1");
    let not_signed_by_the_server = Bytes::from(text);
    for (lie, reason) in [
        (good.clone(), "signature by the notary"),
        (
            relayed(&good, &signing_key("n", 77)),
            "signature by the notary",
        ),
        (
            relayed(&good, &signing_key("m", 9)),
            "signature by the notary",
        ),
        (relayed(&other_server, by), "no document of the server"),
        (
            relayed(&not_signed_by_the_server, by),
            "one of its own keys",
        ),
    ] {
        s.notary.relay(vec![lie]);
        let fault = key_1(&s.ring(|_| ())).await.unwrap_err();
        assert!(fault.to_string().contains(reason), "{fault}");
    }
    s.notary.relay(vec![relayed(&good, by)]);
    assert!(key_1(&s.ring(|_| ())).await.is_ok());
}

#[tokio::test]
async fn an_older_document_never_replaces_a_newer_one() {
    let s = Setting::new();
    let bindings = |text: &'static str, lasting: i64| {
        let list = Value::parse(text.into(), 1000).unwrap();
        KeyDocument::new(name("a.example"), s.clock.now() + lasting)
            .with_member(BINDINGS_MEMBER, list)
            .sign(&[&s.key])
            .unwrap()
    };
    let old = bindings(r#"[{"binding":"old/1"}]"#, HOUR);
    let new = bindings(r#"[{"binding":"new/1"}]"#, 5 * HOUR);
    s.origin.say(new.clone());
    let ring = s.ring(|_| ());
    let a = name("a.example");
    let offered = ring.offered(&a).await.unwrap();
    assert_eq!(offered.offers[0].binding, "new/1");
    assert_eq!(offered.until, s.clock.now() + 5 * HOUR);
    // Replayed, by the server's address and by the notary.
    for direct in [true, false] {
        s.origin.say(old.clone());
        s.relay(&[&old]);
        if !direct {
            s.network.refuse("a.example");
        }
        s.clock.pass(600_000);
        let asked = s.network.all_calls();
        let unknown = ring.request_key(&a, &id("ed25519:x")).await;
        assert!(unknown.is_err());
        assert!(s.network.all_calls() > asked, "it was asked again");
        let offered = ring.offered(&a).await.unwrap();
        assert_eq!(offered.offers[0].binding, "new/1");
        assert!(key_1(&ring).await.is_ok());
    }
}

#[tokio::test]
async fn a_replay_does_not_undo_a_rotation() {
    let s = Setting::new();
    let (stolen, new) = (&s.key, signing_key("2", 2));
    let replayed = s.document(7 * DAY);
    let former = OldVerifyKey {
        key: stolen.verify_key(),
        expired_ts: s.clock.now(),
    };
    let rotated = KeyDocument::new(name("a.example"), s.clock.now() + HOUR)
        .with_old_key(stolen.key_id().clone(), former)
        .sign(&[&new])
        .unwrap();
    // The stolen key is known, and a document that is valid for longer: the rotation counts all the same.
    let ring = s.ring(|_| ());
    s.origin.say(replayed.clone());
    assert!(key_1(&ring).await.is_ok());
    s.origin.say(rotated);
    s.clock.pass(60_000);
    let a = name("a.example");
    ring.request_key(&a, &id("ed25519:2")).await.unwrap();
    assert!(key_1(&ring).await.is_err());
    // The older one comes back, valid for longer.
    s.origin.say(replayed.clone());
    s.relay(&[&replayed]);
    for _ in 0..3 {
        s.clock.pass(600_000);
        assert!(key_1(&ring).await.is_err());
        assert!(ring.request_key(&a, &id("ed25519:2")).await.is_ok());
    }
}

#[tokio::test]
async fn a_server_that_lost_its_keys_is_believed_by_its_own_word_only() {
    let s = Setting::new();
    let ring = s.ring(|_| ());
    key_1(&ring).await.unwrap();
    // New software, a new key, a shorter validity, and no memory of the former key.
    let new = signing_key("2", 2);
    let fresh = document("a.example", &new, s.clock.now() + 2 * HOUR);
    s.relay(&[&fresh]);
    s.network.refuse("a.example");
    s.clock.pass(60_000);
    let a = name("a.example");
    assert!(ring.request_key(&a, &id("ed25519:2")).await.is_err());
    s.network.mend("a.example");
    s.origin.say(fresh);
    s.clock.pass(60_000);
    assert!(ring.request_key(&a, &id("ed25519:2")).await.is_ok());
}

/// A document of the server that a notary made up: signed by a key of its own, with the server's key as a former one.
fn made_up(s: &Setting, evil: &SigningKey) -> Bytes {
    let former = OldVerifyKey {
        key: s.key.verify_key(),
        expired_ts: s.clock.now(),
    };
    KeyDocument::new(name("a.example"), s.clock.now() + 7 * DAY)
        .with_old_key(s.key.key_id().clone(), former)
        .sign(&[evil])
        .unwrap()
}

#[tokio::test]
async fn a_notary_cannot_take_over_a_server_that_is_known() {
    let evil = signing_key("evil", 66);
    let (a, evil_id) = (name("a.example"), id("ed25519:evil"));
    for order in [FetchOrder::OriginFirst, FetchOrder::NotariesFirst] {
        let s = Setting::new();
        s.origin.say(s.document(7 * DAY));
        let ring = s.ring(|options| options.order = order);
        key_1(&ring).await.unwrap();
        s.network.refuse("a.example");
        // It lists the server's key, yet what that key signed is something else.
        let both = KeyDocument::new(name("a.example"), s.clock.now() + 8 * DAY)
            .sign(&[&s.key, &evil])
            .unwrap();
        let both = String::from_utf8(both.to_vec()).unwrap();
        let signature = both.find(r#""a.example":{"ed25519:1":""#).unwrap() + 30;
        let other = if both.as_bytes()[signature] == b'A' {
            "B"
        } else {
            "A"
        };
        let both = format!("{}{other}{}", &both[..signature], &both[signature + 1..]);
        let both = Bytes::from(both);
        let parsed = ServerKeys::parse(both.clone()).unwrap();
        parsed.check_self_signed(&a).unwrap();
        let other_keys = document("a.example", &evil, s.clock.now() + 30 * DAY);
        for lie in [made_up(&s, &evil), other_keys, both] {
            s.relay(&[&lie]);
            s.clock.pass(HOUR);
            assert!(ring.request_key(&a, &evil_id).await.is_err(), "{order}");
            key_1(&ring).await.unwrap();
        }
        // What the server's key has signed, a notary may give, and another one's lie does not keep it away.
        let liar_key = signing_key("l", 8);
        let liar = Scripted::default();
        let lie = ServerKeys::parse(made_up(&s, &evil)).unwrap();
        let lie = lie.notarised(&name("l.example"), &[&liar_key]).unwrap();
        liar.relay(vec![lie.text().clone()]);
        s.network.add("l.example", std::sync::Arc::new(liar));
        let liar = TrustedNotary::new(name("l.example"))
            .with_key(liar_key.key_id().clone(), liar_key.verify_key());
        let ring = ring.with_notaries(vec![liar, TrustedNotary::new(name("n.example"))]);
        let next = KeyDocument::new(name("a.example"), s.clock.now() + 7 * DAY - 1)
            .sign(&[&s.key, &signing_key("2", 2)])
            .unwrap();
        s.relay(&[&next]);
        s.clock.pass(HOUR);
        ring.request_key(&a, &id("ed25519:2")).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_notary_made_up_ends_as_soon_as_the_server_itself_is_asked() {
    let evil = signing_key("evil", 66);
    let (a, evil_id) = (name("a.example"), id("ed25519:evil"));
    for was_known in [false, true] {
        let s = Setting::new();
        let ring = s.ring(|_| ());
        if was_known {
            key_1(&ring).await.unwrap();
        }
        s.network.refuse("a.example");
        s.clock.pass(2 * DAY);
        let own = document("n.example", &s.notary_key, s.clock.now() + DAY);
        s.notary.say(own);
        s.relay(&[&made_up(&s, &evil)]);
        // Nothing that counts is known, so the notary is believed: that is what it is trusted for.
        ring.request_key(&a, &evil_id).await.unwrap();
        s.network.mend("a.example");
        s.origin.say(s.document(HOUR));
        s.clock.pass(60_000);
        key_1(&ring).await.unwrap();
        assert!(ring.request_key(&a, &evil_id).await.is_err());
        // And it does not come back.
        s.network.refuse("a.example");
        s.clock.pass(60_000);
        assert!(ring.request_key(&a, &evil_id).await.is_err());
        key_1(&ring).await.unwrap();
    }
}

#[tokio::test]
async fn a_rotation_that_notaries_know_is_confirmed_by_the_server_itself() {
    let s = Setting::new();
    let ring = s.ring(|options| options.order = FetchOrder::NotariesFirst);
    s.relay(&[&s.document(DAY)]);
    key_1(&ring).await.unwrap();
    assert_eq!(s.network.calls("a.example"), 0);
    let new = signing_key("2", 2);
    let rotated = made_up(&s, &new);
    s.origin.say(rotated.clone());
    s.relay(&[&rotated]);
    s.clock.pass(60_000);
    let a = name("a.example");
    ring.request_key(&a, &id("ed25519:2")).await.unwrap();
    assert_eq!(s.network.calls("a.example"), 1);
    assert!(key_1(&ring).await.is_err());
}

#[tokio::test]
async fn hostile_documents_are_refused() {
    let s = Setting::new();
    let until = s.clock.now() + DAY;
    let weak = format!(
        r#"{{"server_name":"a.example","signatures":{{}},"valid_until_ts":{until},"verify_keys":{{"ed25519:1":{{"key":"{}"}}}}}}"#,
        "A".repeat(43)
    );
    let many: Vec<String> = (0..1_100)
        .map(|n| {
            let key = signing_key("x", (n % 250) as u8).verify_key().to_base64();
            format!(r#""ed25519:k{n:04}":{{"key":"{key}"}}"#)
        })
        .collect();
    let many = format!(
        r#"{{"server_name":"a.example","valid_until_ts":{until},"verify_keys":{{{}}}}}"#,
        many.join(",")
    );
    let giant = KeyDocument::new(name("a.example"), until)
        .with_member("x", Value::string(&"x".repeat(MAX_DOCUMENT_BYTES)))
        .sign(&[&s.key])
        .unwrap();
    let larger = KeyDocument::new(name("a.example"), until)
        .with_member("x", Value::string(&"x".repeat(2 << 20)))
        .sign(&[&s.key])
        .unwrap();
    for (hostile, reason) in [
        (Bytes::from(weak), "no usable key"),
        (Bytes::from(many), "1024 keys"),
        (giant, "262144"),
        (larger, "1048576"),
        (document("b.example", &s.key, until), "is of b.example"),
        (Bytes::from_static(b"{}"), "malformed"),
    ] {
        s.origin.say(hostile);
        let ring = KeyRing::new(s.network.client(), options(&s.clock));
        let fault = key_1(&ring).await.unwrap_err().to_string();
        assert!(fault.contains(reason), "{fault}");
        assert!(fault.len() < 500, "what a peer writes is cut");
    }
}

#[tokio::test]
async fn a_thousand_keys_are_read() {
    let s = Setting::new();
    let mut document = KeyDocument::new(name("a.example"), s.clock.now() + DAY);
    for n in 0..1_000 {
        let former = OldVerifyKey {
            key: signing_key("x", (n % 250) as u8).verify_key(),
            expired_ts: n,
        };
        document = document.with_old_key(id(&format!("ed25519:k{n}")), former);
    }
    s.origin.say(document.sign(&[&s.key]).unwrap());
    assert!(key_1(&s.ring(|_| ())).await.is_ok());
}

#[tokio::test]
async fn an_expired_document_of_the_server_itself_is_good_for_nothing_new() {
    let s = Setting::new();
    s.origin.say(s.document(-1));
    let ring = KeyRing::new(s.network.client(), options(&s.clock));
    assert_eq!(key_1(&ring).await, Err(KeyFault::Expired));
    // And it backs off like a failure.
    for _ in 0..100 {
        s.clock.pass(1_000);
        assert!(key_1(&ring).await.is_err());
    }
    assert_eq!(
        s.network.calls("a.example"),
        4,
        "at 0, 10, 30 and 70 seconds"
    );
}

#[tokio::test]
async fn a_clock_that_jumps_makes_no_key_good_for_longer_and_no_storm() {
    let s = Setting::new();
    s.origin.say(s.document(365 * DAY));
    let ring = KeyRing::new(s.network.client(), options(&s.clock));
    // Fetched while the clock was a month ahead.
    s.clock.pass(30 * DAY);
    key_1(&ring).await.unwrap();
    s.clock.pass(-30 * DAY);
    key_1(&ring).await.unwrap();
    let asked = s.network.calls("a.example");
    for _ in 0..50 {
        key_1(&ring).await.unwrap();
    }
    tokio::task::yield_now().await;
    assert!(s.network.calls("a.example") <= asked + 1);
    let until = ring.offered(&name("a.example")).await;
    assert_eq!(until, None, "it says nothing of bindings");
    // Seven days from the time as it is now, not from then.
    s.network.refuse("a.example");
    s.clock.pass(7 * DAY + HOUR);
    let first = key_1(&ring).await;
    s.clock.pass(DAY);
    assert!(first.is_err() && key_1(&ring).await.is_err());
}

#[tokio::test]
async fn a_document_that_is_confirmed_is_not_renewed_all_the_time() {
    let s = Setting::new();
    s.origin.say(s.document(7 * DAY));
    let ring = KeyRing::new(s.network.client(), options(&s.clock));
    key_1(&ring).await.unwrap();
    s.clock.pass(4 * DAY);
    for _ in 0..24 * 6 {
        s.origin.say(s.document(HOUR));
        key_1(&ring).await.unwrap();
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        s.clock.pass(600_000);
    }
    assert_eq!(
        s.network.calls("a.example"),
        2,
        "a day of uses every ten minutes"
    );
}
