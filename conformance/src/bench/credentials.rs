//! The servers that call, their keys, and credentials made by hand.

use std::sync::Arc;

use comity_core::{
    ServerName,
    auth::{SignedRequest, SigningKey, XMatrix},
    endpoint::{Content, EndpointForm},
};

/// The server that calls.
pub const ORIGIN: &str = "origin.example";
/// A server whose key document has expired.
pub const EXPIRED: &str = "expired.example";
/// A server that has no address.
pub const NOWHERE: &str = "nowhere.example";
/// The server that is called.
pub const DESTINATION: &str = "destination.example:8448";

/// A server's name.
///
/// # Panics
/// If it is none: for names of a test's own.
pub fn name(name: &str) -> ServerName {
    name.parse().expect("the kit's own names are server names")
}

/// The key of the three servers that call.
pub fn key() -> Arc<SigningKey> {
    Arc::new(signing_key("law", 1))
}

/// A key made of one number.
pub(crate) fn signing_key(id: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(id, &[seed; 32]).expect("the kit's own key IDs are in order")
}

/// The credential of `origin` over a form, as [`Sign`](comity_core::auth::Sign) makes it for `destination`.
pub fn credential(
    form: &EndpointForm,
    origin: &str,
    destination: &str,
    key: &SigningKey,
) -> XMatrix {
    over(
        form.method(),
        form.target(),
        form.content(),
        origin,
        destination,
        key,
    )
}

/// The same over the pieces of a form.
pub fn over(
    method: &str,
    target: &str,
    content: &Content,
    origin: &str,
    destination: &str,
    key: &SigningKey,
) -> XMatrix {
    SignedRequest {
        method,
        uri: target,
        origin: &name(origin),
        destination,
        content: match content {
            Content::Json(object) => Some(object.text()),
            _ => None,
        },
    }
    .sign(key)
}
