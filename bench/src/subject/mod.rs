//! A transport under comparison: how its server and its client are set up, in two processes.
//!
//! `ours` are the wires of this workspace, `together` is for what has no wire, `proof` signs and verifies, `tls` makes certificates, `kit` hands a wire to the
//! conformance kit.

mod kit;
pub(crate) mod ours;
mod proof;
mod tls;
mod together;

use std::{
    error::Error,
    fmt::Debug,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use comity_conformance::{Declared, Harness};
use comity_core::{
    CallService, Operations, ServerName,
    auth::{Authenticator, XMatrixAuthenticator},
    transport::Transport,
};

pub use kit::{Proven, harness};
pub use ours::ours;
pub use together::together;

use crate::model::Scenario;

/// Why something could not be set up.
pub type SetupError = Box<dyn Error + Send + Sync>;

/// Who takes part.
#[derive(Debug)]
pub enum Subject {
    /// Server and client stand in processes of their own, with any network between them.
    Apart(Arc<dyn Wire>),
    /// Server and client are one process: the memory transport, and a third party's harness. Networks other than loopback are a delay within the client.
    Together(Arc<dyn Together>),
}

impl Subject {
    /// How it is called in the report and on the command line.
    pub fn name(&self) -> String {
        match self {
            Self::Apart(wire) => wire.name(),
            Self::Together(harness) => harness.name(),
        }
    }

    /// Whether it can do this at all: [`Wire::takes`].
    pub fn takes(&self, scenario: Scenario) -> bool {
        match self {
            Self::Apart(wire) => wire.takes(scenario),
            Self::Together(_) => true,
        }
    }

    /// How its calls have to prove their origin when the kit judges it: [`Wire::scheme`]. None: the kit's own way, as nothing here stands between.
    pub fn scheme(&self) -> Option<&'static str> {
        match self {
            Self::Apart(wire) => Some(wire.scheme()),
            Self::Together(_) => None,
        }
    }

    /// Why the conformance kit is not asked: [`Wire::exempt`].
    pub fn exempt(&self) -> Option<&'static str> {
        match self {
            Self::Apart(wire) => wire.exempt(),
            Self::Together(_) => None,
        }
    }
}

/// A harness of the conformance kit that can be printed.
pub trait Together: Harness + Debug {}

impl<T: Harness + Debug> Together for T {}

/// What both processes know.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The calling server.
    pub client: ServerName,
    /// The called servers, as many as [`scenario::servers`](crate::scenario::servers) says: one, 20 for a burst, 101 for a cold start.
    pub servers: Vec<ServerName>,
    /// The address that the server listens on, with a port of its own for each name.
    pub listen: IpAddr,
    /// What keys and content are drawn from.
    pub seed: u64,
    /// The certificate authority of this run, PEM; certificate and key for every server's name are drawn from it by the parent.
    pub tls: Tls,
    /// Who proves where calls come from.
    pub proof: Proof,
}

/// Who signs calls, and who verifies them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// The wire: its client signs for [`Setting::client`] by a key that is drawn from the seed, and its server verifies. So it is measured.
    #[default]
    Seeded,
    /// Whoever calls says who signs, and the service verifies, by [`Wire::authenticator`]. So the conformance kit does it, which tries wrong proofs as well: the wire adds no layer then. How a
    /// call with a signer is proven, by a signature or a session, is the wire's in either case.
    Brought,
}

/// Certificates of one run, made by the parent, in PEM.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Tls {
    /// Whom the client trusts.
    pub authority: String,
    /// The servers' certificate, which is valid for all their names.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// A transport with a wire.
#[async_trait]
pub trait Wire: Send + Sync + Debug + 'static {
    /// How it is called in the report: `gRPC, session`.
    fn name(&self) -> String;

    /// Serves every server of the setting: `service` is handed the operations of `operations`, with the origin proven as this transport proves it. Gives the
    /// address of each, in the setting's order. It runs until the guard is dropped.
    ///
    /// # Errors
    /// Whatever prevents it.
    async fn serve(
        &self,
        setting: &Setting,
        operations: Operations,
        service: CallService,
    ) -> Result<(Vec<SocketAddr>, Guard), SetupError>;

    /// A client of all of them, with no connection yet: calls it is given are signed, or proven by the session, for [`Setting::client`].
    ///
    /// # Errors
    /// Whatever prevents it.
    async fn connect(
        &self,
        setting: &Setting,
        addresses: &[SocketAddr],
    ) -> Result<Client, SetupError>;

    /// Whether it can do this at all. A peer in the comparison does what it was built for and no more.
    fn takes(&self, scenario: Scenario) -> bool {
        let _ = scenario;
        true
    }

    /// What the conformance kit has to know of it beside its transport's capabilities.
    fn declared(&self) -> Declared {
        Declared::default()
    }

    /// Who verifies calls, given what verifies X-Matrix: that one alone, unless the wire has another way to prove an origin. The conformance kit asks it too, so that what is judged is what is
    /// measured.
    fn authenticator(&self, x_matrix: XMatrixAuthenticator) -> Arc<dyn Authenticator> {
        Arc::new(x_matrix)
    }

    /// How the calls of its client prove their origin: what [`Origin::scheme`](comity_core::auth::Origin::scheme) says of them. A wire is refused if the kit saw no call that was proven so.
    fn scheme(&self) -> &'static str {
        "X-Matrix"
    }

    /// Why the conformance kit is not asked: a peer is no binding of ours.
    fn exempt(&self) -> Option<&'static str> {
        None
    }
}

/// What stands until it is dropped.
pub type Guard = Box<dyn std::any::Any + Send + Sync>;

/// A client, and the bytes that went through it.
#[derive(Clone, Debug)]
pub struct Client {
    /// Takes a call with its destination; signs it by itself where the transport wants that.
    pub transport: Arc<dyn Transport>,
    /// Counts bytes on its sockets, TLS included.
    pub counters: comity_net::Counters,
}
