//! Examples for users of Comity, a file or folder each beside this one: `cargo run -p comity-examples --example <name>`.
//!
//! - `serve_and_call`: one implementation behind HTTP and gRPC on one TLS listener, called by name over each;
//! - `axum-behind-grpc`: an axum application that knows nothing of Comity, served over gRPC as well.
//!
//! In crates of their own:
//!
//! - `unix-socket-transport`: a transport of one's own, whole, under a signed call: `cargo run -p unix-socket-transport --example unix_socket`;
//! - `mimi`: a second family of calls, with bodies that are no JSON, a directory of URLs and mutual TLS; its tests serve and call it over both bindings;
//! - `mimi-profile`: a server of the IETF's edition alone, with three traits; its tests have it federate with a full one, in rooms of both editions;
//! - `homeserver`: the federation half of a small homeserver, which the demo plays.
//!
//! `msc4370` is a crate outside the workspace, an operation of one's own: `cargo run --example both_bindings` in its folder.

/// The samples of README.md are compiled with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
