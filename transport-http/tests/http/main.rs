//! The HTTP binding over real sockets, and its pure mapping.

#![allow(unreachable_pub, clippy::unwrap_used)] // a test binary; clippy.toml exempts test functions, not what they share

mod hostile;
mod mapping;
mod replies;
mod requests;
mod service;
mod setting;
mod unregistered;
