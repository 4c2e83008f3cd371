//! The gRPC binding over real connections: HTTP/2 and TLS on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bounds;
mod calls;
mod codecs;
mod elements;
mod errors;
mod in_order;
mod interop;
mod limits;
mod literal_paths;
mod older;
mod operating;
mod screen;
mod sessions;
mod setting;
mod streams;
mod third_party;
mod wire;
