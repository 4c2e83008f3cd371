//! What the measurements are made of. The measurements themselves are run by `cargo bench -p comity-floors`.

#![forbid(unsafe_code)]

pub mod bodies;
pub mod gateways;
pub mod joining;
pub mod memory;
pub mod setting;
