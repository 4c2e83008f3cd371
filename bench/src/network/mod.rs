//! Networks between the two sides: emulated in user space between two network namespaces, a loopback of one's own, and where neither can be
//! had a delay within the client.

mod delayed;
mod echo;
mod emulated;
mod flood;
mod link;
mod loopback;
mod namespace;
mod pump;
mod self_test;

use std::io;

pub use delayed::delayed;
pub use emulated::{Drops, Emulated};
pub use loopback::Loopback;
pub use namespace::Namespace;
pub use self_test::self_test;

/// Why a network cannot be emulated here. A caller falls back to [`delayed`], and says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A program that is needed is not installed.
    #[error("the program `{program}` is missing: {}", if *program == "ip" { "it comes with iproute2" } else { "it comes with util-linux" })]
    Missing {
        /// Which.
        program: &'static str,
        /// What starting it said.
        source: io::Error,
    },
    /// No network namespace could be made.
    #[error("no network namespace could be made, which takes root (CAP_SYS_ADMIN): {words}")]
    Namespace {
        /// What was said.
        words: String,
    },
    /// No TUN device could be opened.
    #[error("no TUN device could be opened, which takes /dev/net/tun and root (CAP_NET_ADMIN)")]
    Tun {
        /// What opening it said.
        source: io::Error,
    },
    /// A device was refused its address or the like, or `ip` of iproute2 is missing.
    #[error("a device could not be set up by `ip` of iproute2: {words}")]
    Configure {
        /// What `ip`, or what was to start it, said.
        words: String,
    },
    /// A setting of the kernel could not be read or made.
    #[error("{name} could not be read or set in a network namespace")]
    Setting {
        /// Which.
        name: &'static str,
        /// What was said.
        source: io::Error,
    },
    /// The system refused something else.
    #[error("{what}")]
    System {
        /// What.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
}

impl NetworkError {
    /// `program` could not be started.
    fn missing(program: &'static str, source: io::Error) -> Self {
        Self::Missing { program, source }
    }

    /// Something with a socket of the self-test failed.
    fn socket(source: io::Error) -> Self {
        Self::System {
            what: "a socket in a network namespace failed",
            source,
        }
    }
}
