//! Homeservers of this crate among themselves, over the transport in memory, with real keys and every check.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod forks;
mod joining;
mod leaving;
mod liars;
mod missing;
mod publishing;
mod pulling;
mod refusals;
mod rejection;
mod setting;
mod size;
mod storage;
mod strangers;
mod users;
