//! Examples for users of Comity, one file each beside this folder: `cargo run -p comity-examples --example <name>`.
//!
//! - `http_loopback`: a server that implements one group and answers over HTTPS, and another that calls it by its name;
//! - `own_transport`: a transport of one's own, whole, under a signed call.

/// The samples of README.md are compiled with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
