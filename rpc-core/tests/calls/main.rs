//! Calls over the memory transport: routing, authentication, key ring, layers.

#![allow(unreachable_pub, clippy::unwrap_used)] // a test binary; clippy.toml exempts test functions, not what they share

mod acl;
mod acl_content;
mod authentication;
mod backoff;
mod counts;
mod fallback;
mod fallback_spellings;
mod fallback_table;
mod homeserver;
mod idempotency;
mod key_bindings;
mod key_documents;
mod key_fetching;
mod key_laws;
mod key_ring;
mod key_setting;
mod layers;
mod lookups;
mod member_checks;
mod membership;
mod network;
mod notary;
mod observe;
mod own_sessions;
mod published_keys;
mod requests;
mod routing;
mod select;
mod sessions;
mod shapes;
mod unregistered;
