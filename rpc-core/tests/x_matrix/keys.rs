//! Key IDs and keys.

use super::*;

#[test]
fn a_key_id_has_two_words() {
    let id: KeyId = "ed25519:a_Obwu".parse().unwrap();
    assert_eq!((id.algorithm(), id.version()), ("ed25519", "a_Obwu"));
    assert!(id.is_ed25519());
    assert!(!"curve25519:x".parse::<KeyId>().unwrap().is_ed25519());
    let long = format!("ed25519:{}", "a".repeat(250));
    for bad in ["ed25519:a b", "ed25519:é", "ED 1:a", &long] {
        assert!(bad.parse::<KeyId>().is_err(), "{bad}");
    }
    assert!(SigningKey::generate("a-b").is_err());
}

#[test]
fn a_seed_is_read_by_the_same_base64_rules() {
    let key = SigningKey::from_seed("1", &[0; 32]).unwrap();
    for seed in ["A".repeat(43), "A".repeat(43) + "=", "A".repeat(42) + "B"] {
        let read = SigningKey::from_base64_seed("1", &seed).unwrap();
        assert_eq!(read.expose_seed(), key.expose_seed());
    }
    for seed in ["", "A", &"A".repeat(42), &"A".repeat(44), &"_".repeat(43)] {
        let error = SigningKey::from_base64_seed("1", seed).unwrap_err();
        assert_eq!(error, SigningKeyError::Seed, "{seed}");
    }
}

#[test]
fn generated_keys_differ() {
    let (one, two) = (
        SigningKey::generate("1").unwrap(),
        SigningKey::generate("1").unwrap(),
    );
    assert_ne!(one.verify_key(), two.verify_key());
}

#[test]
fn debug_does_not_show_the_seed() {
    let key = SigningKey::from_seed("1", &[0xab; 32]).unwrap();
    assert_eq!(format!("{key:?}"), r#"SigningKey { id: "ed25519:1", .. }"#);
}

#[test]
fn a_weak_key_is_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(VerifyKey::from_bytes(&identity), Err(VerifyKeyError::Weak));
    assert_eq!(VerifyKey::from_bytes(&[0; 32]), Err(VerifyKeyError::Weak));
    let mut two = [0; 32];
    two[0] = 2;
    assert_eq!(VerifyKey::from_bytes(&two), Err(VerifyKeyError::NotAPoint));
}

#[test]
fn a_signature_with_an_unreduced_scalar_is_refused() {
    let key = SigningKey::from_seed("1", &[7; 32]).unwrap();
    let mut bytes = *key.sign(b"x").as_bytes();
    bytes[63] |= 0xe0;
    assert!(!key.verify_key().verify(b"x", &Signature::from_bytes(bytes)));
}
