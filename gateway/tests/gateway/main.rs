//! Two gateways between two homeservers that know nothing of them: real sockets, real TLS, gRPC in between.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod crossing;
mod egress;
mod inbound;
mod setting;
