//! The HTTP binding of the Matrix Federation API: the server-server specification as it is spoken today.
//!
//! The endpoint form of a call is its wire form here, so nothing is written per operation: method and target go out byte for byte,
//! the content as canonical JSON, replies as JSON or `multipart/mixed`, streamed both ways where they may be large.
//! [`request`] and [`reply`] are pure and need no socket. [`HttpTransport`] is the client, [`HttpServer`] the server; [`ServiceTransport`] is
//! a client whose server is a service in the same process, such as an application that is to be reached over another binding. [`Locations`] fetches
//! the files that a media reply only points at. `docs/http-binding.md` is the binding's normative document.
//!
//! # Limits
//!
//! | what | limit | setting |
//! | --- | --- | --- |
//! | a target | 8 KiB | – |
//! | header list; headers of one HTTP/1.1 message | 64 KiB; 100 | – |
//! | request content and replies | as the operation's row says | [`SizeLimits`](comity_core::call::SizeLimits) |
//! | a pause in a request's body; the whole body | 30 s; 300 s | [`HttpServerOptions::body_idle`]; [`HttpServerOptions::body_total`] |
//! | a file behind a `Location`; until it begins; a pause in it | 1 GiB; 60 s; 60 s | [`LocationOptions`] |
//!
//! Redirects of federation requests are never followed, and one of a `Location`. Nothing is compressed, either way: an encoded request is refused, and so is an encoded reply.

mod addressed;
mod client;
mod exchange;
mod location;
pub mod reply;
pub mod request;
mod server;
mod service;

pub use addressed::{Addressed, FEDERATION_SCHEME};
pub use client::HttpTransport;
pub use exchange::{HttpTransportOptions, WriteHeaders};
pub use location::{LocationOptions, Locations};
pub use server::{HttpServer, HttpServerOptions};
pub use service::ServiceTransport;

/// Name and version of this binding.
pub const BINDING: &str = "http/1";
