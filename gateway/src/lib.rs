//! A sidecar that changes the wire between two homeservers that know nothing of it.

#![forbid(unsafe_code)]

pub mod admin;
