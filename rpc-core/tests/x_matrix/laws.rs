//! What holds for every input.

use super::*;

fn credential() -> impl Strategy<Value = XMatrix> {
    (
        "([a-zA-Z0-9.-]{1,60}|\\[[0-9a-f:.]{2,45}\\])(:[0-9]{1,5})?",
        prop::option::of("([^\\x00-\\x08\\x0a-\\x1f\\x7f]|[\"\\\\,=])*"),
        "[a-zA-Z0-9_]{1,20}:[a-zA-Z0-9_]{1,20}",
        prop::array::uniform32(any::<u8>()),
        prop::array::uniform32(any::<u8>()),
    )
        .prop_map(|(origin, destination, key, r, s)| XMatrix {
            origin: origin.parse().unwrap(),
            destination,
            key: key.parse().unwrap(),
            signature: Signature::from_bytes([r, s].concat().try_into().unwrap()),
        })
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same(credential in credential()) {
        prop_assert_eq!(parse(&credential.to_header()), Ok(credential));
    }

    #[test]
    fn what_parses_prints_and_parses_to_the_same(
        header in "x-matrix ([ ,]|origin ?= ?(a\\.b|\"a\\\\.b\")|key=(ed25519:1|\"ed25519:1\")|destination=(|\"[a\"\\\\,]*\"))*"
    ) {
        let header = format!("{header},sig={SIG}");
        if let Ok(credential) = parse(&header) {
            prop_assert_eq!(parse(&credential.to_header()), Ok(credential));
        }
    }

    #[test]
    fn parsing_text_never_panics(text in "\\PC*", list in "([a-z]+|[ \\t,=\"\\\\é:])*") {
        let _ = XMatrix::parse(&text);
        let _ = XMatrix::parse(&format!("X-Matrix {list}"));
        let _ = text.parse::<KeyId>();
        let _ = Signature::from_base64(&text);
        let _ = VerifyKey::from_base64(&text);
    }

    #[test]
    fn parsing_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = XMatrixCredentials::from_headers([bytes.as_slice()]);
        let ours = [b"X-Matrix ", bytes.as_slice()].concat();
        let _ = XMatrixCredentials::from_headers([ours.as_slice()]);
    }

    #[test]
    fn slicing_does_not_change_what_is_signed(
        message in prop::collection::vec(any::<u8>(), 0..300),
        cut in any::<prop::sample::Index>(),
    ) {
        let key = SigningKey::from_seed("1", &[7; 32]).unwrap();
        let (head, tail) = message.split_at(cut.index(message.len() + 1));
        let signature = key.sign(&message);
        prop_assert_eq!(key.sign_slices(&[head, b"", tail]), signature);
        prop_assert!(key.verify_key().verify_slices(&[head, tail], &signature));
    }

    #[test]
    fn one_changed_byte_anywhere_breaks_the_signature(
        vector in prop::sample::select(vec!["gmsl_get", "gmsl_put", "post_empty_object", "put_unicode_and_escapes"]),
        field in 0..6_usize,
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
        letter in "[a-z]",
    ) {
        let vector = Vector::named(vector);
        let key = vector.verify_key();
        let signature = vector.signature();
        let content = vector.content();
        let mut request = vector.request(content.as_deref());
        prop_assert!(request.verify(&key, &signature));

        let change = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = letter.as_bytes()[0];
            String::from_utf8(bytes).unwrap()
        };
        let (text, origin, bytes): (String, ServerName, Vec<u8>);
        match field {
            0 => { text = change(request.method); request.method = &text; }
            1 => { text = change(request.uri); request.uri = &text; }
            2 => { text = change(request.destination); request.destination = &text; }
            3 => {
                let changed = change(request.origin.as_str()).parse();
                prop_assume!(changed.is_ok());
                origin = changed.unwrap();
                request.origin = &origin;
            }
            4 => {
                prop_assume!(content.is_some());
                let mut changed = request.content.unwrap().to_vec();
                let at = at.index(changed.len());
                changed[at] ^= flip;
                bytes = changed;
                request.content = Some(&bytes);
            }
            _ => {
                let mut changed = *signature.as_bytes();
                changed[at.index(64)] ^= flip;
                prop_assert!(!request.verify(&key, &Signature::from_bytes(changed)));
                return Ok(());
            }
        }
        prop_assume!(request.to_vec() != vector.signed_bytes_utf8.as_bytes());
        prop_assert!(!request.verify(&key, &signature));
    }
}

#[test]
fn another_key_does_not_verify() {
    let vector = Vector::named("gmsl_get");
    let other = SigningKey::generate("1").unwrap().verify_key();
    assert!(!vector.request(None).verify(&other, &vector.signature()));
}
