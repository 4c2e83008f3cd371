//! The fuzzers' corpus thrown at the listeners of both bindings, which share one port with TLS: as bodies of every operation, as targets, as headers, as bytes on the
//! connection, as messages and frames of gRPC. Whatever comes is answered or cut off in bounded time, nothing panics in any task, and the next good call is served.
//!
//! `corpus` reads the inputs, `listener` is what they are thrown at, `peer` throws and takes what comes back; the others say how, a file each.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml exempts test functions, not what they call"
)]

mod bodies;
mod bytes_on_the_wire;
mod corpus;
mod grpc;
mod headers;
mod listener;
mod peer;
mod targets;
