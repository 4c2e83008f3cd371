//! The gRPC binding over real connections: HTTP/2 and TLS on loopback.

mod calls;
mod codecs;
mod errors;
mod interop;
mod limits;
mod setting;
mod streams;
mod third_party;
mod wire;
