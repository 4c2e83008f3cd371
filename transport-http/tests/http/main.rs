//! The HTTP binding over real sockets, and its pure mapping.

#![allow(unreachable_pub, clippy::unwrap_used)] // a test binary; clippy.toml exempts test functions, not what they share

mod absolute_form;
mod answers;
mod bodies;
mod bounds;
mod cores;
mod framing;
mod headers;
mod hops;
mod hostile;
mod location;
mod mapping;
mod paths;
mod raw;
mod replies;
mod requests;
mod service;
mod setting;
mod signed;
mod signing;
mod transactions;
mod unregistered;
mod verification;
