//! Key documents: made, read, checked, and tampered with.

use super::*;
use crate::json::Value;

const NOW: i64 = 1_700_000_000_000;
const LATER: i64 = NOW + 3_600_000;

fn server() -> ServerName {
    "a.example".parse().unwrap()
}

fn key(version: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(version, &[seed; 32]).unwrap()
}

fn old(seed: u8) -> OldVerifyKey {
    OldVerifyKey {
        key: key("old", seed).verify_key(),
        expired_ts: 5,
    }
}

fn document() -> KeyDocument {
    KeyDocument::new(server(), LATER)
}

fn parse(text: impl Into<Bytes>) -> Result<ServerKeys, ServerKeysError> {
    ServerKeys::parse(text.into())
}

/// The document with one text replaced in it.
fn altered(document: &Bytes, from: &str, to: &str) -> Bytes {
    let text = std::str::from_utf8(document).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    text.replace(from, to).into()
}

fn raw(text: &'static str) -> Value {
    Value::parse(Bytes::from_static(text.as_bytes()), 1 << 10).unwrap()
}

#[test]
fn our_own_document_is_canonical_and_reads_back() {
    let old_keys = BTreeMap::from([("ed25519:old".parse().unwrap(), old(2))]);
    let text = ServerKeys::sign_document(&key("1", 1), &server(), LATER, &old_keys).unwrap();
    let keys = parse(text.clone()).unwrap();
    keys.check_self_signed(&server()).unwrap();
    assert_eq!(keys.document(), &text);
    assert_eq!(keys.server_name, server());
    assert_eq!(keys.valid_until_ts, LATER);
    assert_eq!(keys.old_verify_keys, old_keys);
    assert_eq!(keys.verify_keys.len(), 1);
    // serde_json's map is sorted and its writer leaves no spaces, so this is the canonical form.
    let sorted: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&text).unwrap();
    assert_eq!(serde_json::to_vec(&sorted).unwrap(), text);
}

#[test]
fn every_current_key_signs_and_added_members_are_covered() {
    let text = document()
        .with_member("aaa", raw("[1]"))
        .with_member("zzz\"", raw(r#"{"b":[true,null]}"#))
        .sign(&[&key("2", 2), &key("1", 1)])
        .unwrap();
    let keys = parse(text.clone()).unwrap();
    let signed = signed_text(&text).unwrap();
    assert_eq!(keys.signatures.len(), 2);
    for (id, signature) in &keys.signatures {
        assert!(keys.verify_keys[id].verify(&signed, signature));
    }
    let altered = parse(altered(&text, "[1]", "[2]")).unwrap();
    assert!(altered.check_self_signed(&server()).is_err());
}

#[test]
fn a_document_that_contradicts_itself_is_not_made() {
    let (one, other) = (key("1", 1), key("1", 2));
    assert_eq!(document().sign(&[]), Err(KeyDocumentError::NoKey));
    let twice = KeyDocumentError::DuplicateKey(one.key_id().clone());
    assert_eq!(document().sign(&[&one, &other]), Err(twice.clone()));
    let with_old = document().with_old_key(one.key_id().clone(), old(2));
    assert_eq!(with_old.sign(&[&one]), Err(twice));
    let with_member = document().with_member("signatures", raw("{}"));
    let own = KeyDocumentError::OwnMember("signatures");
    assert_eq!(with_member.sign(&[&one]), Err(own));
}

#[test]
fn signatures_cover_all_but_signatures_and_unsigned() {
    let text =
        br#"{"a":{"signatures":1,"unsigned":2},"signatures":{},"unsigned":{"x":1},"z":1.50}"#;
    assert_eq!(
        signed_text(&Bytes::from_static(text)).unwrap(),
        r#"{"a":{"signatures":1,"unsigned":2},"z":1.50}"#
    );
    let text = document().sign(&[&key("1", 1)]).unwrap();
    let text = altered(
        &text,
        r#","valid_until"#,
        r#","unsigned":{"x":1},"valid_until"#,
    );
    parse(text).unwrap().check_self_signed(&server()).unwrap();
}

#[test]
fn another_servers_document_is_refused() {
    let keys = parse(document().sign(&[&key("1", 1)]).unwrap()).unwrap();
    let error = keys.check_self_signed(&"A.example".parse().unwrap());
    assert!(matches!(error, Err(ServerKeysError::OtherServer { .. })));
}

#[test]
fn a_document_without_a_valid_signature_of_its_own_is_refused() {
    let text = document().sign(&[&key("1", 1)]).unwrap();
    for text in [
        altered(&text, &LATER.to_string(), &(LATER + 1).to_string()),
        altered(
            &text,
            r#""signatures":{"a.example""#,
            r#""signatures":{"b.example""#,
        ),
        altered(&text, r#""signatures""#, r#""sagnatures""#),
        // Signed, but by a key that it does not list.
        altered(
            &text,
            r#"{"a.example":{"ed25519:1":"#,
            r#"{"a.example":{"ed25519:2":"#,
        ),
        // Listed under another ID only.
        altered(
            &text,
            r#""verify_keys":{"ed25519:1""#,
            r#""verify_keys":{"ed25519:2""#,
        ),
    ] {
        let error = parse(text).unwrap().check_self_signed(&server());
        assert!(matches!(error, Err(ServerKeysError::NotSelfSigned)));
    }
}

#[test]
fn one_valid_signature_is_enough() {
    let text = document().sign(&[&key("1", 1), &key("2", 2)]).unwrap();
    for junk in [r#""junk""#, "7", r#""AAAA""#] {
        let good = parse(text.clone()).unwrap().signatures[key("1", 1).key_id()].to_base64();
        let text = altered(&text, &format!("\"{good}\""), junk);
        parse(text).unwrap().check_self_signed(&server()).unwrap();
    }
}

#[test]
fn a_flood_of_bad_signatures_is_not_checked_to_its_end() {
    let keys: Vec<SigningKey> = (0..40).map(|n| key(&format!("k{n:02}"), n)).collect();
    let text = document().sign(&keys.iter().collect::<Vec<_>>()).unwrap();
    let spoil = |count: usize| {
        let signatures = parse(text.clone()).unwrap().signatures;
        let bad = |text: Bytes, key: &SigningKey| {
            let good = signatures[key.key_id()].to_base64();
            altered(&text, &good, &"A".repeat(86))
        };
        parse(keys[..count].iter().fold(text.clone(), bad)).unwrap()
    };
    spoil(0).check_self_signed(&server()).unwrap();
    spoil(MAX_CHECKED - 1).check_self_signed(&server()).unwrap();
    let error = spoil(MAX_CHECKED).check_self_signed(&server());
    assert!(matches!(error, Err(ServerKeysError::NotSelfSigned)));
}

#[test]
fn an_old_key_does_not_vouch_for_the_document() {
    let text = document()
        .with_old_key("ed25519:old".parse().unwrap(), old(2))
        .sign(&[&key("1", 1)])
        .unwrap();
    let signed = signed_text(&text).unwrap();
    let by_old = key("old", 2).sign(&signed).to_base64();
    let by_current = parse(text.clone()).unwrap().signatures[key("1", 1).key_id()].to_base64();
    let text = altered(
        &text,
        &format!(r#"{{"a.example":{{"ed25519:1":"{by_current}""#),
        &format!(r#"{{"a.example":{{"ed25519:old":"{by_old}""#),
    );
    let error = parse(text).unwrap().check_self_signed(&server());
    assert!(matches!(error, Err(ServerKeysError::NotSelfSigned)));
}

#[test]
fn other_algorithms_are_ignored_but_kept() {
    let text = r#"{"old_verify_keys":{"x":1},"server_name":"a.example","valid_until_ts":1,"verify_keys":{"ed448:1":{"key":"?"},"ed25519:a-b":7,"odd":null}}"#;
    let keys = parse(text).unwrap();
    assert!(keys.verify_keys.is_empty() && keys.old_verify_keys.is_empty());
    assert_eq!(keys.document(), text);
}

#[test]
fn an_unusable_ed25519_key_refuses_the_document() {
    let with = |member: &str, entry: &str| {
        let other = if member == "verify_keys" {
            "old_verify_keys"
        } else {
            "verify_keys"
        };
        parse(format!(
            r#"{{"{other}":{{}},"{member}":{{"ed25519:1":{entry}}},"server_name":"a.example","valid_until_ts":1}}"#
        ))
    };
    let weak = format!(r#"{{"expired_ts":1,"key":"{}"}}"#, "A".repeat(43));
    let short = r#"{"expired_ts":1,"key":"AAAA"}"#;
    for member in ["verify_keys", "old_verify_keys"] {
        for entry in [weak.as_str(), short] {
            assert!(matches!(
                with(member, entry),
                Err(ServerKeysError::Key { .. })
            ));
        }
        for entry in ["1", "{}", r#"{"key":1}"#] {
            assert!(matches!(
                with(member, entry),
                Err(ServerKeysError::Shape(_))
            ));
        }
    }
}

#[test]
fn other_shapes_are_refused() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"server_name":"a.example","valid_until_ts":1}"#,
        r#"{"server_name":"a.example","valid_until_ts":1.5,"verify_keys":{}}"#,
        r#"{"server_name":"a.example","valid_until_ts":1,"verify_keys":[]}"#,
        r#"{"server_name":"a_b","valid_until_ts":1,"verify_keys":{}}"#,
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
    let many: Vec<_> = (0..=MAX_KEYS).map(|n| format!(r#""x:{n}":1"#)).collect();
    let text = format!(
        r#"{{"server_name":"a.example","valid_until_ts":1,"verify_keys":{{{}}}}}"#,
        many.join(",")
    );
    assert!(matches!(parse(text), Err(ServerKeysError::TooManyKeys)));
}

#[test]
fn validity_ends_after_seven_days_at_most() {
    let keys = |until| {
        let document = KeyDocument::new(server(), until);
        parse(document.sign(&[&key("1", 1)]).unwrap()).unwrap()
    };
    assert_eq!(keys(LATER).valid_until(NOW), LATER);
    assert_eq!(keys(i64::MAX).valid_until(NOW), NOW + MAX_VALIDITY_MS);
    assert_eq!(keys(i64::MAX).valid_until(i64::MAX), i64::MAX);
    assert_eq!(keys(NOW - 1).valid_until(NOW), NOW - 1);
}

#[test]
fn only_a_current_key_of_a_valid_document_authenticates() {
    let text = document()
        .with_old_key("ed25519:old".parse().unwrap(), old(2))
        .sign(&[&key("1", 1)])
        .unwrap();
    let keys = parse(text).unwrap();
    let current = key("1", 1);
    let expected = current.verify_key();
    assert_eq!(keys.key_for_request(current.key_id(), NOW), Some(&expected));
    assert_eq!(
        keys.key_for_request(current.key_id(), LATER),
        Some(&expected)
    );
    assert_eq!(keys.key_for_request(current.key_id(), LATER + 1), None);
    let old: KeyId = "ed25519:old".parse().unwrap();
    assert_eq!(keys.key_for_request(&old, NOW), None);
}

/// Where the last character of the document's only signature stands.
fn signature_end(document: &Bytes) -> usize {
    let text = std::str::from_utf8(document).unwrap();
    text.find(r#""}},"valid_until_ts""#).unwrap() - 1
}

proptest::proptest! {
    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = parse(bytes);
    }

    #[test]
    fn one_changed_byte_is_noticed(at in proptest::prelude::any::<proptest::sample::Index>(), flip in 1..=255_u8) {
        let text = document().sign(&[&key("1", 1)]).unwrap();
        let mut bytes = text.to_vec();
        let at = at.index(bytes.len());
        // The last character of the signature's base64 has bits that do not count.
        proptest::prop_assume!(at != signature_end(&text));
        bytes[at] ^= flip;
        let taken = parse(bytes).is_ok_and(|keys| keys.check_self_signed(&server()).is_ok());
        proptest::prop_assert!(!taken);
    }
}
