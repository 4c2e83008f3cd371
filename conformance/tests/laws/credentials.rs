//! The servers that call, their keys, and credentials made by hand.

use std::sync::Arc;

use comity_core::{
    ServerName,
    auth::{SignedRequest, SigningKey, XMatrix},
    endpoint::{Content, EndpointForm},
};

/// The server that calls.
pub(crate) const ORIGIN: &str = "origin.example";
/// A server whose key document has expired.
pub(crate) const EXPIRED: &str = "expired.example";
/// A server that has no address.
pub(crate) const NOWHERE: &str = "nowhere.example";
/// The server that is called.
pub(crate) const DESTINATION: &str = "destination.example:8448";

pub(crate) fn name(name: &str) -> ServerName {
    name.parse().unwrap()
}

/// The key of the three servers that call.
pub(crate) fn key() -> Arc<SigningKey> {
    Arc::new(SigningKey::from_seed("law", &[1; 32]).unwrap())
}

/// The credential of `origin` over a form, as [`Sign`](comity_core::auth::Sign) makes it for `destination`.
pub(crate) fn credential(
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
pub(crate) fn over(
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
