//! What all processes agree on: names, keys, requests.

use comity_core::{ServerName, auth::SignedRequest};
pub(crate) use comity_floors::setting::{destination, origin, pool, route, signing_key};

/// Requests in flight.
pub(crate) const IN_FLIGHT: usize = 16;

/// Where the transaction goes.
pub(crate) const TARGET: &str = "/_matrix/federation/v1/send/m1763000000000.42";

/// The credential of a transaction with this content.
pub(crate) fn credential(content: &[u8]) -> String {
    SignedRequest {
        method: "PUT",
        uri: TARGET,
        origin: &origin(),
        destination: destination().as_str(),
        content: Some(content),
    }
    .sign(&signing_key())
    .to_header()
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
