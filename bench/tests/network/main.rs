//! Networks, as they come about here: real namespaces and devices where root allows.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod measured;
