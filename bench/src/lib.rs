//! The comparison of transports: `comity bench`, and the same for a third party's transport.

#![forbid(unsafe_code)]

mod child;
mod machine;
pub mod model;
pub mod network;
mod options;
#[cfg(feature = "peers")]
pub mod peers;
mod place;
mod plan;
mod process;
mod progress;
pub mod report;
mod run;
pub mod scenario;
pub mod subject;

pub use child::child;
pub use options::Options;
pub use run::main;
