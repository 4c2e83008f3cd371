//! What the processes agree on, and what one of them makes for itself: certificates, headers.

use comity_core::ServerName;
pub(crate) use comity_floors::setting::{
    SEED, TARGET, connector, destination, origin, pool, route, runtime, signing_key,
};
use http::HeaderValue;

/// The credential of a `PUT` with this content, as a header.
pub(crate) fn credential(target: &str, content: &[u8]) -> HeaderValue {
    let credential = comity_floors::setting::credential(target, content);
    HeaderValue::from_str(&credential).expect("it is a header")
}

/// A certificate for the server and its key, both PEM.
pub(crate) fn certificate() -> (String, String) {
    certificate_of(&destination())
}

/// A certificate for a server and its key, both PEM.
pub(crate) fn certificate_of(name: &ServerName) -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("there is randomness");
    let names = vec![name.as_str().to_owned()];
    let certificate = rcgen::CertificateParams::new(names)
        .and_then(|params| params.self_signed(&key))
        .expect("it is a DNS name");
    (certificate.pem(), key.serialize_pem())
}
