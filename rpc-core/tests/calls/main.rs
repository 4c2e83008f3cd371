//! Calls over the memory transport: routing, authentication, key ring, layers.

#![allow(unreachable_pub, clippy::unwrap_used)] // a test binary; clippy.toml exempts test functions, not what they share

mod authentication;
mod counts;
mod homeserver;
mod key_ring;
mod layers;
mod requests;
mod routing;
mod shapes;
mod unregistered;
