//! Two gateways between two homeservers that know nothing of them: real sockets, real TLS, gRPC in between.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod breaking;
mod coalescing;
mod config;
mod crossing;
mod crowd;
mod discovering;
mod egress;
mod falling_back;
mod homeserver;
mod hostile;
mod inbound;
mod lifecycle;
mod memory;
mod seen;
mod sessions;
mod setting;
mod sockets;
mod stranger;
mod streams;
