//! Two providers over real mutual TLS, by HTTP and by gRPC.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod authentication;
mod calls;
mod directory;
mod setting;
