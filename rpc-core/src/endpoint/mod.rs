//! How the Matrix specification writes a call: path, query and body of each operation, apart from
//! any HTTP library. Pure: no input, no output, no time.
//!
//! - [`target`]: paths, queries and their percent-encoding;
//! - [`multipart`]: the `multipart/mixed` body of media.

pub mod multipart;
pub mod target;
