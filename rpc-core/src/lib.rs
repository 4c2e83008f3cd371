//! The Matrix Federation API as Rust traits, without a wire.
//!
//! A server implements the group traits of [`api`] and registers them with a [`Router`]; a client calls the same operations through
//! [`Client`] over any [`transport`]. What a call means is here. How it is framed and delivered is a binding's business:
//! `comity-http` speaks the server-server specification, `comity-grpc` an alternative, and
//! [`MemoryTransport`](transport::MemoryTransport) is a function call.
//!
//! Limits, each named by the error that it causes: requests and messages 16 MiB, one element of a streamed reply 1 MiB, a
//! streamed reply 1 GiB, a list in a message 100,000 elements ([`SizeLimits`](call::SizeLimits)); an event 65,536 bytes and 1,000 levels ([`event`]); a target 8 KiB. A key document 256 KiB and
//! 1,024 keys ([`auth`]); what a key ring and a notary do at most is in [`KeyRingOptions`](auth::KeyRingOptions) and [`NotaryOptions`](auth::NotaryOptions).
//!
//! What is remembered of others is bounded too: 10,000 destinations and 64 look-ups at once ([`SelectOptions`](transport::SelectOptions)), 10,000 destinations that fail
//! ([`BackoffOptions`](layers::BackoffOptions)), 100,000 answers of 64 MiB together ([`MemoryAnswersOptions`](layers::MemoryAnswersOptions)).

pub mod acl;
pub mod api;
pub mod auth;
pub mod call;
mod client;
pub mod endpoint;
pub mod error;
pub mod event;
mod jitter;
pub mod json;
pub mod layers;
mod server_name;
mod service;
pub mod shown;
#[doc(hidden)]
pub mod table_support;
pub mod transport;

pub use client::Client;
pub use server_name::{PortError, ServerName, ServerNameError};
pub use service::{Boxed, CallService, DuplicateOperation, Operations, Route, Router};
