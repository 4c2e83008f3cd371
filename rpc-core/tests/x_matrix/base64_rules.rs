//! Base64 as it is emitted and as it is accepted.

use super::*;

#[test]
fn padding_is_accepted_and_never_emitted() {
    let signature = Signature::from_base64(&format!("{SIG}==")).unwrap();
    assert_eq!(signature, Signature::from_base64(SIG).unwrap());
    assert_eq!(signature.to_base64(), SIG);
    let key = &Vector::named("get_no_query").verify_key_unpadded_b64;
    let padded = VerifyKey::from_base64(&format!("{key}=")).unwrap();
    assert_eq!(&padded.to_base64(), key);
}

#[test]
fn trailing_bits_are_ignored() {
    // 64 bytes leave four bits over in the last character: `g` and `h` differ in those only.
    let odd = SIG.strip_suffix('g').unwrap().to_owned() + "h";
    let signature = Signature::from_base64(&odd).unwrap();
    assert_eq!(signature.to_base64(), SIG);
    let key = &Vector::named("get_no_query").verify_key_unpadded_b64;
    let odd = key.strip_suffix('I').unwrap().to_owned() + "J";
    assert_eq!(&VerifyKey::from_base64(&odd).unwrap().to_base64(), key);
}

#[test]
fn the_url_safe_alphabet_is_refused() {
    let url_safe = SIG.replace('+', "-").replace('/', "_");
    assert_eq!(
        Signature::from_base64(&url_safe),
        Err(SignatureError::Base64)
    );
}

#[test]
fn junk_and_other_lengths_are_refused() {
    for junk in [format!(" {}", &SIG[1..]), format!("{}\n", &SIG[1..])] {
        assert_eq!(Signature::from_base64(&junk), Err(SignatureError::Base64));
    }
    for short in ["", "AAAA", &SIG[..84]] {
        assert_eq!(Signature::from_base64(short), Err(SignatureError::Length));
    }
    assert_eq!(
        Signature::from_base64(&"A".repeat(1000)),
        Err(SignatureError::Length)
    );
    assert_eq!(VerifyKey::from_base64(SIG), Err(VerifyKeyError::Length));
}
