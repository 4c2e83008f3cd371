//! The Matrix Federation API as Rust traits, without a wire.

pub mod auth;
pub mod endpoint;
pub mod error;
pub mod json;
mod server_name;

pub use server_name::{PortError, ServerName, ServerNameError};
