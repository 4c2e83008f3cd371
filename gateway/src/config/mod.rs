//! The gateway's configuration: a TOML file, read whole and checked before anything is started.
//!
//! `tables` is the file as it is written, `check` makes settings of it, `error` says what is wrong with it and where; here are the settings.

mod check;
mod error;
mod tables;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use comity_core::{ServerName, transport::ConnectTo};
use comity_net::{AddressGuard, TrustedProxies};

pub use error::ConfigError;

use crate::Secret;

/// Everything that a gateway is told. The files that it names are read already.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The name of the homeserver beside it, which is what peers call it by.
    pub server_name: ServerName,
    /// The homeserver beside it.
    pub homeserver: Homeserver,
    /// Where the homeserver hands over its calls.
    pub egress: Egress,
    /// Where peers call.
    pub listen: Listen,
    /// Whom and what to connect to.
    pub trust: Trust,
    /// How names are looked up.
    pub discovery: Discovery,
    /// Where peers' keys are kept over a restart: a file that whoever starts the gateway opens. Nowhere, if there is none.
    pub key_store: Option<PathBuf>,
    /// The kill switch.
    pub bindings: Bindings,
    /// What is known of single peers.
    pub peers: BTreeMap<ServerName, Peer>,
    /// Where metrics and the status page are, if anywhere.
    pub admin: Option<Admin>,
    /// Bounds.
    pub limits: Limits,
}

/// The homeserver beside the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Homeserver {
    /// Where it listens, without TLS.
    pub address: HomeserverAddress,
    /// Which paths of it peers may reach.
    pub paths: Vec<PathPrefix>,
}

/// Where the homeserver listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HomeserverAddress {
    /// `http://host:port`. A name is looked up by the system for every connection.
    Tcp {
        /// Name or IP literal, IPv6 in brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:/path`.
    Unix(PathBuf),
}

/// A part of the homeserver's tree that peers may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathPrefix {
    /// `/_matrix/federation/`.
    Federation,
    /// `/_matrix/key/`.
    Key,
    /// `/_matrix/policy/`.
    Policy,
    /// `/_matrix/media/`: downloads and thumbnails as they were before v1.11, without authentication. Off unless listed.
    LegacyMedia,
}

impl PathPrefix {
    /// Each, as it is written.
    pub const ALL: [(&'static str, Self); 4] = [
        ("/_matrix/federation/", Self::Federation),
        ("/_matrix/key/", Self::Key),
        ("/_matrix/policy/", Self::Policy),
        ("/_matrix/media/", Self::LegacyMedia),
    ];

    /// What is open unless it is said otherwise: all that the federation of today asks for.
    pub const DEFAULT: [Self; 3] = [Self::Federation, Self::Key, Self::Policy];
}

/// Where something listens. A socket with this address that a service manager passed is taken over, else one is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where the homeserver hands over its calls.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Egress {
    /// Loopback, or a Unix socket.
    pub listen: ListenAddress,
    /// What the homeserver shows.
    pub secret: Secret,
}

/// Where peers call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listen {
    /// Where.
    pub address: ListenAddress,
    /// Certificate chain and private key, both PEM; none behind a proxy that ends TLS.
    pub tls: Option<Certificate>,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// Whether calls with a proven bad signature are passed on all the same, for the homeserver to refuse.
    pub danger_deliver_unverified: bool,
}

impl Listen {
    /// Whether nothing but the certificate differs.
    fn is_as(&self, other: &Self) -> bool {
        self.tls.is_some() == other.tls.is_some()
            && Self {
                tls: None,
                ..self.clone()
            } == Self {
                tls: None,
                ..other.clone()
            }
    }
}

/// A certificate and its key, both PEM. `Debug` leaves out the key.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// The chain, the server's own first.
    pub chain: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

/// Whom to trust, and where to connect to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trust {
    /// Certificate authorities besides the system's, PEM.
    pub ca: Vec<u8>,
    /// The guard with the ranges that the operator allows.
    pub guard: AddressGuard,
    /// Servers whose certificate may be anybody's: for tests.
    pub danger_accept_any_certificate_for: Vec<String>,
}

/// How names are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Discovery {
    /// The DNS servers to ask; the system's, if there are none.
    pub dns: Vec<SocketAddr>,
    /// The port that `.well-known` is asked for at: 443, but in tests.
    pub well_known_port: u16,
}

/// Which bindings are served and offered beside HTTPS with JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bindings {
    /// gRPC.
    pub grpc: bool,
}

/// What is known of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The binding to call it by.
    pub binding: PeerBinding,
    /// Where to connect, whatever the binding. Nothing is looked up then: `Host` and the certificate are of its name, or of `delegated`.
    pub target: Option<ConnectTo>,
    /// The server that it delegates to, where it has a target: as its `.well-known` says.
    pub delegated: Option<ServerName>,
    /// Whether to fail rather than to fall back.
    pub required: bool,
}

/// The binding that a peer is called by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerBinding {
    /// What the peer offers.
    #[default]
    Auto,
    /// HTTPS with JSON.
    Https,
    /// gRPC.
    Grpc,
}

/// Where metrics and the status page are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admin {
    /// A TCP port.
    pub listen: SocketAddr,
}

/// Bounds. The sizes of single requests and replies are those of the operations' rows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at once, of peers, and as many of the homeserver's.
    pub connections: usize,
    /// Calls in flight, in either direction.
    pub calls: usize,
    /// What peers' requests may take in memory, beyond 64 KiB of each, in bytes; and as much again whole replies that they have not read yet.
    pub request_memory: usize,
    /// Time for calls in flight to finish when the gateway is told to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            calls: 10_000,
            request_memory: 512 << 20,
            drain: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// Reads a configuration, and the files that it names: those are looked for from where `file` is.
    ///
    /// # Errors
    /// What is wrong first: syntax, an unknown setting, a value, a file that cannot be read. With the line.
    pub fn read(file: &str, text: &str) -> Result<Self, ConfigError> {
        let tables =
            tables::parse(text).map_err(|error| ConfigError::of_toml(file, text, &error))?;
        let beside = Path::new(file).parent().unwrap_or(Path::new(""));
        check::check(tables, beside).map_err(|fault| ConfigError::at(file, text, fault))
    }

    /// The settings that cannot change while a gateway runs, and that are others in `other`.
    pub(crate) fn fixed_that_differ(&self, other: &Self) -> Vec<&'static str> {
        let same = [
            ("server_name", self.server_name == other.server_name),
            ("homeserver", self.homeserver == other.homeserver),
            ("egress", self.egress == other.egress),
            ("listen", self.listen.is_as(&other.listen)),
            ("trust", self.trust == other.trust),
            ("discovery", self.discovery == other.discovery),
            ("keys", self.key_store == other.key_store),
            ("admin", self.admin == other.admin),
            ("limits", self.limits == other.limits),
        ];
        let differ = same.into_iter().filter(|(_, same)| !same);
        differ.map(|(name, _)| name).collect()
    }

    /// Reads the configuration in a file.
    ///
    /// # Errors
    /// As [`read`](Self::read), and if the file cannot be read.
    pub fn read_file(file: &Path) -> Result<Self, ConfigError> {
        let name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => Self::read(&name, &text),
            Err(error) => Err(ConfigError::unread(&name, &error)),
        }
    }
}
