//! Behaviour of the comparison, over loopback with real sockets.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod failing;
mod kit;
#[cfg(feature = "peers")]
mod peers;
mod report;
mod scenarios;
mod setting;
