//! What is compared, over loopback with real sockets and both sides in this process: each scenario over each of our transports, briefly.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod failing;
mod scenarios;
mod setting;
