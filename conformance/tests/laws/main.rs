//! The laws that hold for every operation of the table over every binding of this workspace.
//!
//! | File | Law |
//! | --- | --- |
//! | `identity` | canonical content crosses every binding and comes out the same, byte for byte, both ways |
//! | `signatures` | a signature survives a change of transport, whatever way its target was escaped |
//! | `equality` | the same call reaches the handler equal over every binding, and the same reply comes back |
//! | `errors` | so does every error |
//! | `refusals` | what does not prove its origin is refused everywhere, with the same error |
//! | `malformed` | a malformed event spoils no other |
//! | `room_versions` | a room version of any kind crosses unchanged |
//! | `bad_input` | a request that is wrong is answered with what is wrong, and its connection serves the next |
//! | `unregistered` | a call that no row knows crosses as it was signed, where it is taken in |
//! | `bad_replies` | of a reply that is wrong the caller learns what is wrong, and its connection serves the next |
//!
//! `wire` sets up clients and servers on loopback, `recorder` is what stands behind them, `credentials` what they are shown, and `run`
//! draws random cases. To see other cases than the fixed ones: `COMITY_LAWS_SEED=7`; more of them: `COMITY_LAWS_CASES=1000`.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml exempts test functions, not what they call"
)]

mod bad_input;
mod bad_replies;
mod credentials;
mod equality;
mod errors;
mod identity;
mod malformed;
mod recorder;
mod refusals;
mod room_versions;
mod run;
mod signatures;
mod unregistered;
mod wire;
