//! The laws that hold for every operation of the table over every binding of this workspace, beside those of the kit: what only
//! somebody who knows a binding's wire can try, or only who knows what an event is.
//!
//! | File | Law |
//! | --- | --- |
//! | `identity` | a typed message of gRPC stands for exactly what the content said |
//! | `room_versions` | a room version of any kind crosses unchanged |
//! | `bad_input` | a request that is wrong is answered with what is wrong, and its connection serves the next |
//! | `bad_replies` | of a reply that is wrong the caller learns what is wrong, and its connection serves the next |
//!
//! `wire` sets up a bench of the kit for each binding. To see other cases than the fixed ones: `COMITY_LAWS_SEED=7`; more of them:
//! `COMITY_LAWS_CASES=1000`.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml exempts test functions, not what they call"
)]

mod bad_input;
mod bad_replies;
#[path = "../harnesses/mod.rs"]
mod harnesses;
mod identity;
mod room_versions;
mod wire;
