//! The comparison of transports: `comity bench`, and the same for a third party's transport.

#![forbid(unsafe_code)]

pub mod model;
pub mod network;
#[cfg(feature = "peers")]
pub mod peers;
pub mod report;
pub mod scenario;
pub mod subject;
