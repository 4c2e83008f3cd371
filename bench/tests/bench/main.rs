//! Behaviour of the comparison, seen from outside.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod report;
