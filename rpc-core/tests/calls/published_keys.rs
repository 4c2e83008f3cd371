//! A server's own keys: always valid for an hour, never for longer than set, rotated while it runs.

use std::{sync::Arc, time::Duration};

use comity_core::{
    Client,
    api::{Calls, GetServerKeysById, GetVersion},
    auth::{
        KeyDocumentError, KeyFault, KeyRing, KeySource, MAX_PUBLISHED_BYTES, OldVerifyKey,
        PublishedKeys, PublishedKeysOptions, ServerKeys, Sign, XMatrixCredentials,
    },
    call::{Call, Reply},
    error::{CallError, FederationError},
    json::Value,
    transport::{BINDINGS_MEMBER, Capabilities, Offer, Offers, Transport},
};

use crate::{
    homeserver::{name, transaction},
    network::*,
};

fn read(keys: &PublishedKeys) -> ServerKeys {
    let read = ServerKeys::parse(keys.document().text().clone()).unwrap();
    read.check_self_signed(keys.server_name()).unwrap();
    read
}

#[test]
fn what_is_given_away_is_valid_for_an_hour_at_least_and_a_day_at_most() {
    let clock = Clock::new();
    let keys = published("a.example", &signing_key("1", 1), &clock);
    let mut signed = 0;
    let mut last = 0;
    for _ in 0..(10 * 24 * 4) {
        let until = read(&keys).valid_until_ts;
        assert!(until >= clock.now() + HOUR && until <= clock.now() + DAY);
        assert!(until >= last, "a later document is valid for longer");
        signed += usize::from(until != last);
        last = until;
        clock.pass(HOUR / 4);
    }
    assert!(
        (10..=40).contains(&signed),
        "{signed} signatures in ten days"
    );
}

#[test]
fn a_clock_that_is_set_back_leaves_no_document_that_is_valid_for_longer() {
    let clock = Clock::new();
    let keys = published("a.example", &signing_key("1", 1), &clock);
    clock.pass(-30 * DAY);
    let until = read(&keys).valid_until_ts;
    assert!(until >= clock.now() + HOUR && until <= clock.now() + DAY);
}

#[test]
fn a_validity_out_of_range_is_refused() {
    for seconds in [0, 7199, 7 * 86400 + 1, u64::MAX] {
        let options = PublishedKeysOptions {
            validity: Duration::from_secs(seconds),
            ..Default::default()
        };
        let made = PublishedKeys::new(name("a.example"), signing_key("1", 1), options);
        assert!(matches!(made, Err(KeyDocumentError::Validity(_))));
    }
    let options = PublishedKeysOptions {
        validity: Duration::from_secs(7200),
        ..Default::default()
    };
    PublishedKeys::new(name("a.example"), signing_key("1", 1), options).unwrap();
}

#[test]
fn after_a_rotation_the_former_key_is_good_for_older_events_only() {
    let clock = Clock::new();
    let (one, two) = (signing_key("1", 1), signing_key("2", 2));
    let keys = published("a.example", &one, &clock);
    clock.pass(1000);
    keys.rotate(two.clone()).unwrap();
    let at = clock.now();
    let read = read(&keys);
    assert_eq!(keys.signing_key().key_id(), two.key_id());
    assert!(read.key_for_request(two.key_id(), at).is_some());
    assert!(read.key_for_request(one.key_id(), at).is_none());
    let before = read.key_for_event(one.key_id(), Some(at - 1), true, at);
    assert_eq!(before, Some(&one.verify_key()));
    assert!(
        read.key_for_event(one.key_id(), Some(at), true, at)
            .is_none()
    );
}

#[test]
fn an_announced_key_is_published_before_it_signs() {
    let clock = Clock::new();
    let (one, two) = (signing_key("1", 1), signing_key("2", 2));
    let keys = published("a.example", &one, &clock);
    keys.announce(two.clone()).unwrap();
    keys.announce(two.clone()).unwrap();
    assert_eq!(keys.signing_key().key_id(), one.key_id());
    assert_eq!(read(&keys).verify_keys.len(), 2);
    keys.rotate(two.clone()).unwrap();
    assert_eq!(keys.signing_key().key_id(), two.key_id());
    assert_eq!(read(&keys).verify_keys.len(), 1);
    // And back again.
    keys.rotate(one.clone()).unwrap();
    let read = read(&keys);
    assert!(read.verify_keys.contains_key(one.key_id()));
    assert!(!read.old_verify_keys.contains_key(one.key_id()));
    assert!(read.old_verify_keys.contains_key(two.key_id()));
}

#[test]
fn a_change_that_makes_no_good_document_changes_nothing() {
    let clock = Clock::new();
    let keys = published("a.example", &signing_key("1", 1), &clock);
    let before = keys.document();
    let other_key_of_that_id = signing_key("1", 9);
    let twice = |result| assert!(matches!(result, Err(KeyDocumentError::DuplicateKey(_))));
    twice(keys.announce(other_key_of_that_id.clone()));
    twice(keys.rotate(other_key_of_that_id.clone()));
    let old = OldVerifyKey {
        key: other_key_of_that_id.verify_key(),
        expired_ts: 1,
    };
    twice(keys.add_old_key(id("ed25519:1"), old));
    let own = keys.set_member("verify_keys", Some(Value::integer(1)));
    assert!(matches!(own, Err(KeyDocumentError::OwnMember(_))));
    let giant = Value::string(&"x".repeat(MAX_PUBLISHED_BYTES));
    let too_large = keys.set_member("x", Some(giant)).unwrap_err();
    assert!(too_large.to_string().contains("61440"), "{too_large}");
    assert_eq!(keys.document(), before);
}

#[test]
fn added_members_are_signed_and_can_be_taken_out() {
    let clock = Clock::new();
    let keys = published("a.example", &signing_key("1", 1), &clock);
    keys.set_member("org.example.x", Some(Value::integer(7)))
        .unwrap();
    assert_eq!(read(&keys).member("org.example.x"), Some(Value::integer(7)));
    clock.pass(DAY);
    assert_eq!(read(&keys).member("org.example.x"), Some(Value::integer(7)));
    keys.set_member("org.example.x", None).unwrap();
    assert_eq!(read(&keys).member("org.example.x"), None);
}

#[tokio::test]
async fn a_server_that_names_a_key_gets_them_all() {
    let clock = Clock::new();
    let network = Network::default();
    let keys = published("a.example", &signing_key("1", 1), &clock);
    network.add("a.example", Arc::new(keys.clone()));
    let request = GetServerKeysById {
        key_id: "ed25519:nonsense".to_owned(),
        ..Default::default()
    };
    let reply = network
        .client()
        .get_server_keys_by_id(&name("a.example"), request)
        .await
        .unwrap();
    assert_eq!(reply.document, keys.document());
}

#[tokio::test]
async fn others_follow_a_rotation() {
    let clock = Clock::new();
    let network = Network::default();
    let keys = published("a.example", &signing_key("1", 1), &clock);
    network.add("a.example", Arc::new(keys.clone()));
    let ring = KeyRing::new(network.client(), options(&clock));
    let a = name("a.example");
    ring.request_key(&a, &id("ed25519:1")).await.unwrap();
    clock.pass(60_000);
    keys.rotate(signing_key("2", 2)).unwrap();
    assert!(ring.request_key(&a, &id("ed25519:2")).await.is_ok());
    assert_eq!(
        ring.request_key(&a, &id("ed25519:1")).await,
        Err(KeyFault::Expired)
    );
    assert_eq!(network.calls("a.example"), 2);
}

#[tokio::test]
async fn a_servers_own_keys_are_never_fetched_and_never_run_out() {
    let clock = Clock::new();
    let network = Network::default();
    let keys = published("a.example", &signing_key("1", 1), &clock);
    keys.offer(&Offer::read_list(&bindings())).unwrap();
    let ring = KeyRing::new(network.client(), options(&clock)).with_own(keys.clone());
    clock.pass(40 * DAY);
    let a = name("a.example");
    assert!(ring.request_key(&a, &id("ed25519:1")).await.is_ok());
    keys.rotate(signing_key("2", 2)).unwrap();
    assert!(ring.request_key(&a, &id("ed25519:2")).await.is_ok());
    assert!(ring.request_key(&a, &id("ed25519:1")).await.is_err());
    assert!(ring.offered(&a).await.is_some());
    assert_eq!(network.all_calls(), 0);
    assert!(read(&keys).member(BINDINGS_MEMBER).is_some());
}

fn bindings() -> Value {
    Value::parse(br#"[{"binding":"grpc/1"}]"#.as_slice().into(), 100).unwrap()
}

/// Remembers the key that signed.
#[derive(Debug, Default)]
struct Recorder(std::sync::Mutex<Vec<String>>);

#[async_trait::async_trait]
impl Transport for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
    }
    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        let headers = call.context().credentials.iter().map(str::as_bytes);
        if let Ok(credentials) = XMatrixCredentials::from_headers(headers) {
            let key = credentials.as_slice()[0].key.to_string();
            self.0.lock().unwrap().push(key);
        }
        Err(FederationError::unrecognized().into())
    }
}

#[tokio::test]
async fn requests_are_signed_by_the_new_key_from_then_on() {
    let clock = Clock::new();
    let keys = published("a.example", &signing_key("1", 1), &clock);
    let recorder = Arc::new(Recorder::default());
    let client = Client::layered(recorder.clone(), Sign::with_published(keys.clone()));
    let call = async || {
        let to = name("b.example");
        let _ = client.send_transaction(&to, transaction("[]")).await;
        // Nobody proves an origin for this one.
        let _ = client.get_version(&to, GetVersion::default()).await;
    };
    call().await;
    keys.rotate(signing_key("2", 2)).unwrap();
    call().await;
    assert_eq!(*recorder.0.lock().unwrap(), ["ed25519:1", "ed25519:2"]);
}
