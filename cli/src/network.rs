//! How the commands reach other servers: the options that they share, and what is made of them.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use comity_core::{
    Client, ServerName,
    auth::{KeyRing, KeyRingOptions},
    layers::{Clocks, Side},
    transport::{ConnectTo, Resolve},
};
use comity_discovery::{Discovery, DiscoveryOptions, Dns};
use comity_grpc::GrpcTransport;
use comity_http::HttpTransport;
use comity_net::{AddressGuard, ClientTls, Connector, Counters, Pool, PoolOptions, Protocol};

use crate::failure::Failure;

/// What every command that goes to the network can be told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct Network {
    /// Trusts these certificate authorities too, beside the system's (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Vec<PathBuf>,
    /// Lets connections go to these addresses, which are refused otherwise if they are private: 10.0.0.0/8
    #[arg(long, value_name = "RANGE")]
    pub(crate) allow_address: Vec<String>,
    /// Asks these DNS servers instead of the system's: 192.0.2.53 or 192.0.2.53:5353
    #[arg(long, value_name = "ADDRESS", value_parser = dns_server)]
    pub(crate) dns: Vec<SocketAddr>,
    /// Gives up after this time
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Believes whoever answers for this server name or host, whatever its certificate. What it says proves nothing
    #[arg(long, value_name = "NAME")]
    pub(crate) danger_accept_any_certificate_for: Vec<String>,
    /// The port of `.well-known` documents, for tests
    #[arg(long, value_name = "PORT", default_value_t = 443, hide = true)]
    pub(crate) well_known_port: u16,
    /// Prints JSON on standard output: the result, or an object with the member `error`
    #[arg(long)]
    pub(crate) json: bool,
}

/// What it takes to reach other servers.
pub(crate) struct Reach {
    pub(crate) discovery: Discovery,
    pub(crate) connector: Connector,
    pub(crate) guard: AddressGuard,
    pub(crate) tls: ClientTls,
    /// Bytes of the calls over [`Reach::http`] and [`Reach::grpc`]; what is looked up beside them does not count.
    pub(crate) counters: Counters,
}

impl Network {
    /// Makes it of the options.
    pub(crate) fn reach(&self) -> Result<Reach, Failure> {
        let tls = self.tls()?;
        let mut guard = AddressGuard::default();
        for range in &self.allow_address {
            guard = guard.allow(range).map_err(|error| {
                Failure::usage(format!("--allow-address {range}: {error}"))
                    .next("a range is 127.0.0.0/8, fd00::/8 or one address")
            })?;
        }
        let counters = Counters::new();
        let connector = Connector::new(tls.clone()).with_guard(guard.clone());
        let dns = match &self.dns[..] {
            [] => Dns::System,
            servers => Dns::Servers(servers.to_vec()),
        };
        let options = DiscoveryOptions {
            dns,
            well_known_port: self.well_known_port,
            ..DiscoveryOptions::default()
        };
        let discovery = Discovery::new(connector.clone(), options).map_err(|error| {
            Failure::usage(format!("there is no DNS server to ask: {error}"))
                .next("--dns ADDRESS names one")
        })?;
        Ok(Reach {
            discovery,
            connector,
            guard,
            tls,
            counters,
        })
    }

    fn tls(&self) -> Result<ClientTls, Failure> {
        let tls = if self.ca.is_empty() {
            ClientTls::system().map_err(|error| {
                Failure::usage(format!("no server could be trusted: {error}")).next(
                    "install the system's certificate authorities (Debian: ca-certificates), or name some by --ca FILE",
                )
            })?
        } else {
            let mut roots = Vec::new();
            for path in &self.ca {
                let shown = path.display();
                let text = fs::read(path).map_err(|error| {
                    Failure::usage(format!("--ca {shown} cannot be read: {error}"))
                })?;
                roots.extend(text);
                roots.push(b'\n');
            }
            ClientTls::system_with(&roots)
                .map_err(|error| Failure::usage(format!("--ca is no good: {error}")))?
        };
        let exceptions = &self.danger_accept_any_certificate_for;
        if exceptions.is_empty() {
            return Ok(tls);
        }
        // A certificate is for the host alone.
        let hosts = exceptions.iter().map(|name| {
            let parsed = name.parse::<ServerName>();
            let host = parsed.as_ref().map_or(&name[..], ServerName::host);
            host.trim_matches(['[', ']']).to_owned()
        });
        Ok(tls.danger_accept_any_certificate_for(hosts))
    }
}

impl Reach {
    pub(crate) fn resolver(&self) -> Arc<dyn Resolve> {
        Arc::new(self.discovery.clone())
    }

    /// HTTPS with JSON.
    pub(crate) fn http(&self) -> HttpTransport {
        let connector = self.connector.clone().with_counters(self.counters.clone());
        let pool = Pool::new(connector, PoolOptions::default());
        HttpTransport::new(self.resolver(), pool)
    }

    /// gRPC.
    pub(crate) fn grpc(&self) -> GrpcTransport {
        let connector = self.connector.clone().with_counters(self.counters.clone());
        let options = PoolOptions::default().with_protocol(Protocol::Http2);
        GrpcTransport::new(self.resolver(), Pool::new(connector, options))
    }

    /// Typed calls over HTTPS, unsigned, each within `limit`.
    pub(crate) fn client(&self, limit: Duration) -> Client {
        let pool = Pool::new(self.connector.clone(), PoolOptions::default());
        let http = HttpTransport::new(self.resolver(), pool);
        Client::layered(Arc::new(http), Clocks::layer(Side::Client)).with_deadline(limit)
    }

    /// Other servers' keys.
    pub(crate) fn keys(&self, limit: Duration) -> KeyRing {
        KeyRing::new(self.client(limit), KeyRingOptions::default())
    }
}

/// A server name of the command line.
pub(crate) fn server_name(text: &str) -> Result<ServerName, String> {
    text.parse().map_err(|error| {
        format!("{error}; a server name is `example.org`, `example.org:8448` or `[2001:db8::1]`")
    })
}

/// Where to connect, of the command line.
pub(crate) fn connect_to(text: &str) -> Result<ConnectTo, String> {
    text.parse()
        .map_err(|error: comity_core::transport::BadConnectTo| error.to_string())
}

fn dns_server(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse::<SocketAddr>();
    let alone = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    with_port
        .or_else(|_| alone())
        .map_err(|_| "is no address".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=86_400.0).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err("is no number of seconds up to 86400".to_owned()),
    }
}
