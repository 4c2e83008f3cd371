//! `comity resolve`, `keys`, `call` and `completions` as a user runs them, against servers on loopback with real TLS.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod call;
mod completions;
mod dns;
mod keys;
mod resolve;
mod sessions;
mod setting;
