//! What is kept over a restart, how much of it, and what a damaged file does.

#![allow(clippy::unwrap_used, unreachable_pub)] // a test binary; clippy.toml exempts test functions, not what they share

mod answers;
mod damage;
mod documents;
mod restart;
mod servers;
