//! The HTTP binding of the Matrix Federation API: the server-server specification as it is spoken today.
//!
//! The endpoint form of a call is its wire form here, so nothing is written per operation: method and target go out byte for byte,
//! the content as canonical JSON, replies as JSON or `multipart/mixed`, streamed both ways where they may be large.
//! [`request`] and [`reply`] are pure and need no socket. [`HttpTransport`] is the client, [`HttpServer`] the server; [`ServiceTransport`] is
//! a client whose server is a service in the same process, such as an application that is to be reached over another binding.
//!
//! Limits: a target 8 KiB, headers 64 KiB, request content and replies as the operation's row says
//! ([`SizeLimits`](comity_core::call::SizeLimits)), a pause in a request's body [`HttpServerOptions::body_idle`]. Redirects are never followed.

mod client;
mod exchange;
pub mod reply;
pub mod request;
mod server;
mod service;

pub use client::HttpTransport;
pub use exchange::HttpTransportOptions;
pub use server::{HttpServer, HttpServerOptions};
pub use service::ServiceTransport;

/// Name and version of this binding.
pub const BINDING: &str = "http/1";
