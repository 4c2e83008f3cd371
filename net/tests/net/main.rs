//! Behaviour of dialling and accepting, on real sockets of the loopback interface.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml exempts test functions, not what they call"
)]

mod aborts;
mod addresses;
mod bounds;
mod delivery;
mod early_data;
mod gathering;
mod listener;
mod ping;
mod pool;
mod reading;
mod reload;
mod setting;
mod silence;
mod streams;
mod tls;
mod unix;
mod wire;
