//! A server of the IETF's profile beside full ones: rooms of both editions, over TLS, by HTTP and by gRPC.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod breaks;
mod editions;
mod outside;
mod setting;
