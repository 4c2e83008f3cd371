//! A loopback of one's own, so that its bytes are counted exactly.

use std::net::{IpAddr, Ipv4Addr};

use super::{Namespace, NetworkError, emulated::forget_connections};
use crate::model::Wire;

/// A private namespace with only `lo`: client and server both stand in it. Its TCP is that of [`Emulated`](super::Emulated). Dropping it ends it.
#[derive(Debug)]
pub struct Loopback {
    namespace: Namespace,
}

impl Loopback {
    /// Opens one.
    ///
    /// # Errors
    /// What is missing: root, or a program.
    pub fn open() -> Result<Self, NetworkError> {
        let namespace = Namespace::new()?;
        namespace.configure(
            "link set lo up\n\
             route replace local 127.0.0.0/8 dev lo table local scope host src 127.0.0.1 congctl cubic\n\
             route replace local 127.0.0.1 dev lo table local scope host src 127.0.0.1 congctl cubic\n",
        )?;
        forget_connections(&namespace)?;
        Ok(Self { namespace })
    }

    /// Where the client runs.
    pub fn client(&self) -> &Namespace {
        &self.namespace
    }

    /// Where the server runs: the same.
    pub fn server(&self) -> &Namespace {
        &self.namespace
    }

    /// The address that the server listens on.
    pub fn server_address(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    /// What has passed so far, as the kernel counts it on `lo`: IP bytes below TCP. Both directions pass the same device, so all of it stands as
    /// sent and nothing as received. A packet on `lo` is up to 64 KiB long, so there are fewer packets and fewer headers than on a network.
    /// None: the process that keeps the namespace was ended by somebody, so that nothing can be read.
    pub fn counters(&self) -> Option<Wire> {
        let counted = self.namespace.device("lo")?;
        Some(Wire {
            sent: counted.bytes,
            received: 0,
            packets_sent: Some(counted.packets),
            packets_received: Some(0),
        })
    }
}
