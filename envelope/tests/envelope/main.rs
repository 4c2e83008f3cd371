//! Envelopes and frames: what goes in comes out, hostile bytes are refused by name, and every call of the table crosses.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod calls;
mod codec;
mod hostile;
mod limits;
