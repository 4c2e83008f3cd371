//! Events by prepared keys: what is said of them is what is said without.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    ServerName,
    auth::{
        FetchedKeys, KeyDocument, OldVerifyKey, PreparedKeys, ServerKeys, SigningKey, VerifyKey,
        crafted::{Crafted, crafted},
        now_ms,
    },
    event::{EventKeySet, room_version::RoomVersions, sign_event},
    json::{ObjectWriter, Value},
};

const SERVER: &str = "a.example";
const DAY_MS: i64 = 24 * 3600 * 1000;

fn server() -> ServerName {
    SERVER.parse().unwrap()
}

fn version(id: &str) -> Arc<dyn RoomVersion> {
    RoomVersions::matrix().get(id).unwrap().rules().clone()
}

/// A message of this time, signed by this key.
fn message(version: &dyn RoomVersion, key: &SigningKey, at: i64) -> Pdu {
    let text = format!(
        r#"{{"auth_events":["$a"],"content":{{"body":"b"}},"depth":7,"origin_server_ts":{at},
        "prev_events":["$p"],"room_id":"!r:{SERVER}","sender":"@a:{SERVER}","type":"m.room.message"}}"#
    );
    let event = Object::parse(Bytes::from(text), usize::MAX).unwrap();
    sign_event(version, &event, &server(), key).unwrap().1
}

/// The event with this signature and no other.
fn with_signature(event: &Pdu, signature: &Signature) -> Pdu {
    let mut signatures = ObjectWriter::new();
    signatures.object(SERVER, |own| {
        own.string("ed25519:1", &signature.to_base64());
    });
    let signatures = signatures.into_object().to_value();
    let signed = event.object().with_member("signatures", &signatures);
    Pdu::judge(signed.to_value()).unwrap()
}

/// One key, for whatever signed.
struct One {
    key: VerifyKey,
    prepared: Option<PreparedKeys>,
}

impl EventKeys for One {
    fn event_key(&self, _: &ServerName, _: &KeyId, _: Option<i64>, _: bool) -> Option<VerifyKey> {
        Some(self.key.clone())
    }

    fn prepared_keys(&self) -> Option<&PreparedKeys> {
        self.prepared.as_ref()
    }
}

/// What is said of the event without prepared keys, and with this one prepared: the same.
fn verdict(version: &dyn RoomVersion, event: &Pdu, key: &VerifyKey) -> Result<Receipt, Refusal> {
    let check = |prepared| {
        let key = key.clone();
        check_past_event(version, event, &One { key, prepared })
    };
    let plain = check(None);
    let prepared = check(Some(PreparedKeys::with_table_of(key)));
    assert_eq!(prepared, plain);
    plain
}

/// What is turned in a good event.
#[derive(Clone, Copy, Debug)]
enum Part {
    Key,
    Depth,
    Signature,
}

proptest! {
    /// With a bit of key, text or signature turned, or none.
    #[test]
    fn the_verdict_is_that_without_prepared_keys(
        seed in any::<u8>(),
        id in prop::sample::select(vec!["4", "6", "12"]),
        part in prop::sample::select(vec![Part::Key, Part::Depth, Part::Signature]),
        turned in prop::option::weighted(0.8, (any::<prop::sample::Index>(), 0_u32..8)),
    ) {
        let version = version(id);
        let signing = SigningKey::from_seed("1", &[seed; 32]).unwrap();
        let mut event = message(&*version, &signing, 5);
        let text = version.signed_text(event.object()).unwrap();
        let mut key = *signing.verify_key().as_bytes();
        let mut signature = *signing.sign(&text).as_bytes();
        if let Some((at, bit)) = turned {
            match part {
                Part::Key => key[at.index(32)] ^= 1 << bit,
                Part::Signature => signature[at.index(64)] ^= 1 << bit,
                Part::Depth => {
                    let depth = Value::integer(7 ^ (1 << bit));
                    let other = event.object().with_member("depth", &depth);
                    event = Pdu::judge(other.to_value()).unwrap();
                }
            }
        }
        // Half of what a key is turned into is the number of no point.
        let key = VerifyKey::from_bytes(&key);
        prop_assume!(key.is_ok());
        let event = with_signature(&event, &Signature::from_bytes(signature));
        match verdict(&*version, &event, &key.unwrap()) {
            Ok(receipt) => {
                let good = matches!(receipt, Receipt::Good { .. });
                prop_assert!(turned.is_none() && good);
            }
            Err(refusal) => {
                prop_assert!(turned.is_some());
                prop_assert_eq!(refusal.error().rule(), Rule::Signatures);
            }
        }
    }

    #[test]
    fn so_it_is_of_signatures_that_nobody_honest_makes(by in crafted(), at in 0_i64..1_000_000) {
        judge_crafted(by, at);
    }
}

fn judge_crafted(by: Crafted, at: i64) -> bool {
    let version = version("12");
    let event = message(
        &*version,
        &SigningKey::from_seed("1", &[7; 32]).unwrap(),
        at,
    );
    let text = version.signed_text(event.object()).unwrap();
    let (key, signature) = (by.key(), by.sign(&text));
    let event = with_signature(&event, &signature);
    let good = verdict(&*version, &event, &key).is_ok();
    assert_eq!(good, key.verify(&text, &signature), "{by:?}");
    good
}

/// An event is no more strictly judged than a request: R of small order is good.
#[test]
fn which_of_those_are_good() {
    assert!(judge_crafted(Crafted::GOOD, 5));
    for bad in Crafted::bad() {
        assert!(!judge_crafted(bad, 5));
    }
}

/// Sixteen good events, and no bad one, prepare the key of a set.
#[test]
fn a_key_is_prepared_once_its_events_were_good_often() {
    let (version, key) = (version("12"), SigningKey::from_seed("1", &[7; 32]).unwrap());
    let document = KeyDocument::new(server(), now_ms() + DAY_MS);
    let document = ServerKeys::parse(document.sign(&[&key]).unwrap()).unwrap();
    let keys = EventKeySet::new().with(Arc::new(document));
    let prepared = || keys.prepared_keys().unwrap().prepared();
    let forged = with_signature(&message(&*version, &key, 1), &key.sign(b"other"));
    for at in 0..16 {
        assert_eq!(prepared(), 0);
        assert!(check_event(&*version, &forged, &keys).is_err());
        assert!(check_event(&*version, &message(&*version, &key, at), &keys).is_ok());
    }
    assert_eq!(prepared(), 1);
    assert!(check_event(&*version, &forged, &keys).is_err());
    assert!(check_event(&*version, &message(&*version, &key, 16), &keys).is_ok());
    // A clone goes on with the same ones.
    assert_eq!(keys.clone().prepared_keys().unwrap().prepared(), 1);
}

/// A key that has a table counts for as long as its document says, and not at all without.
#[test]
fn a_prepared_key_is_good_for_no_more_than_its_document_says() {
    const FETCHED: i64 = 1_700_000_000_000;
    const UNTIL: i64 = FETCHED + DAY_MS;
    let key = SigningKey::from_seed("1", &[7; 32]).unwrap();
    let next = SigningKey::from_seed("2", &[8; 32]).unwrap();
    let same_id = SigningKey::from_seed("1", &[9; 32]).unwrap();
    let document = KeyDocument::new(server(), UNTIL);
    let former = |expired_ts| {
        let key = key.verify_key();
        let old = OldVerifyKey { key, expired_ts };
        document
            .clone()
            .with_old_key("ed25519:1".parse().unwrap(), old)
    };
    let prepared = Arc::new(PreparedKeys::with_table_of(&key.verify_key()));
    let good = |id: &str, document: &KeyDocument, signing: &SigningKey, at: i64| {
        let version = version(id);
        let event = message(&*version, &key, at);
        let keys = ServerKeys::parse(document.sign(&[signing]).unwrap()).unwrap();
        let fetched = FetchedKeys {
            keys: Arc::new(keys),
            at: FETCHED,
        };
        let set = EventKeySet::new().with_fetched(fetched);
        let plain = set
            .clone()
            .with_prepared_keys(Arc::new(PreparedKeys::new(0)));
        let set = set.with_prepared_keys(Arc::clone(&prepared));
        let verdict = check_event(&*version, &event, &set);
        assert_eq!(verdict, check_event(&*version, &event, &plain));
        assert_eq!(prepared.prepared(), 1);
        verdict.map_err(|refusal| refusal.to_string())
    };
    let unknown = |verdict: Result<Receipt, String>| {
        let why = verdict.unwrap_err();
        assert!(why.contains("known and was valid"), "{why}");
    };
    // Current: until the document's end, and in old versions for ever.
    assert!(good("12", &document, &key, UNTIL).is_ok());
    unknown(good("12", &document, &key, UNTIL + 1));
    assert!(good("4", &document, &key, UNTIL + 1).is_ok());
    // Former: until it expired.
    assert!(good("12", &former(FETCHED), &next, FETCHED - 1).is_ok());
    unknown(good("12", &former(FETCHED), &next, FETCHED));
    unknown(good("4", &former(FETCHED), &next, FETCHED));
    // Withdrawn.
    unknown(good("12", &document, &next, FETCHED - 1));
    // Another has its ID.
    let why = good("12", &document, &same_id, FETCHED - 1).unwrap_err();
    assert!(why.contains("is wrong"), "{why}");
}
