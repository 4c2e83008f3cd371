//! The vendored vectors, to the byte.

use super::*;

#[test]
fn the_signed_bytes_are_exact() {
    for vector in Vector::all() {
        let content = vector.content();
        let signed = vector.request(content.as_deref()).to_vec();
        assert_eq!(
            String::from_utf8(signed).unwrap(),
            vector.signed_bytes_utf8,
            "{}",
            vector.name
        );
    }
}

#[test]
fn signing_gives_the_known_signature_and_header() {
    for vector in Vector::all() {
        let content = vector.content();
        let credential = vector
            .request(content.as_deref())
            .sign(&vector.signing_key());
        assert_eq!(credential.signature.to_base64(), vector.sig);
        assert_eq!(credential.to_header(), vector.header_synapse_order);
    }
}

#[test]
fn both_orders_in_the_wild_parse_and_verify() {
    for vector in Vector::all() {
        let content = vector.content();
        let request = vector.request(content.as_deref());
        for header in [&vector.header_spec_order, &vector.header_synapse_order] {
            let credential = parse(header).unwrap();
            assert_eq!(credential.origin, vector.origin);
            assert_eq!(credential.destination.as_ref(), Some(&vector.destination));
            assert_eq!(credential.key.as_str(), vector.key_id);
            assert!(request.verify(&vector.verify_key(), &credential.signature));
        }
    }
}

#[test]
fn the_seed_gives_the_public_key() {
    for vector in Vector::all() {
        let key = vector.signing_key().verify_key();
        assert_eq!(key.to_base64(), vector.verify_key_unpadded_b64);
        assert_eq!(key, vector.verify_key());
    }
}
