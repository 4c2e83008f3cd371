//! Examples for users of Comity, one file each beside this folder: `cargo run -p comity-examples --example <name>`.
//!
//! - `serve_and_call`: one implementation behind HTTP and gRPC on one TLS listener, called by name over each;
//! - `own_transport`: a transport of one's own, whole, under a signed call.

/// The samples of README.md are compiled with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
