//! From the file's tables to settings.

use std::{
    fmt::Display,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use comity_core::ServerName;
use comity_net::{AddressGuard, ClientTls, ServerTls, TrustedProxies};
use toml::Spanned;

use super::{
    Admin, Bindings, Certificate, Config, Discovery, Egress, Homeserver, HomeserverAddress, Limits,
    Listen, ListenAddress, PathPrefix, Peer, PeerBinding, Trust,
    error::{Fault, nearest},
    tables,
};
use crate::Secret;

type Checked<T> = Result<T, Fault>;

pub(super) fn check(file: tables::File, beside: &Path) -> Checked<Config> {
    let server_name: ServerName = parsed(&file.server_name, "no server name")?;
    let mut peers = std::collections::BTreeMap::new();
    for (name, settings) in file.peers {
        let peer: ServerName = parsed(&name, "no server name")?;
        if peer == server_name {
            return Err(fault(&name, "this is the server's own name, not a peer's"));
        }
        peers.insert(peer, check_peer(settings)?);
    }
    let admin = match file.admin {
        Some(tables::Admin { listen }) => Some(Admin {
            listen: parsed(&listen, "no IP address and port")?,
        }),
        None => None,
    };
    Ok(Config {
        server_name,
        homeserver: homeserver(&file.homeserver)?,
        egress: egress(&file.egress, beside)?,
        listen: check_listen(file.listen, beside)?,
        trust: trust(&file.trust, beside)?,
        discovery: discovery(&file.discovery)?,
        key_store: file.keys.store.map(|store| beside.join(store.get_ref())),
        bindings: Bindings {
            grpc: file.bindings.grpc.unwrap_or(true),
        },
        peers,
        admin,
        limits: limits(&file.limits)?,
    })
}

fn homeserver(table: &tables::Homeserver) -> Checked<Homeserver> {
    let paths = match &table.paths {
        None => PathPrefix::DEFAULT.to_vec(),
        Some(paths) => paths.iter().map(prefix).collect::<Checked<_>>()?,
    };
    Ok(Homeserver {
        address: homeserver_address(&table.url)?,
        paths,
    })
}

fn prefix(text: &Spanned<String>) -> Checked<PathPrefix> {
    let known = PathPrefix::ALL
        .iter()
        .find(|(name, _)| name == text.get_ref());
    known.map(|(_, prefix)| *prefix).ok_or_else(|| {
        let near = nearest(text.get_ref(), PathPrefix::ALL.map(|(name, _)| name));
        let near = near.unwrap_or_default();
        let reason = format!(
            "{:?} is no part that can be opened; did you mean {near:?}?",
            text.get_ref()
        );
        fault(text, reason)
    })
}

fn homeserver_address(url: &Spanned<String>) -> Checked<HomeserverAddress> {
    let text = url.get_ref();
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(HomeserverAddress::Unix(socket_path(url, path)?));
    }
    let wrong = |what: &str| {
        let reason = format!("{what}; write \"http://127.0.0.1:8008\" or \"unix:/run/hs.sock\"");
        fault(url, reason)
    };
    let Some(rest) = text.strip_prefix("http://") else {
        return Err(wrong(match text.starts_with("https://") {
            true => "the homeserver stands beside the gateway and is called without TLS",
            false => "no URL of the homeserver",
        }));
    };
    // A homeserver signs and checks paths from the root, so there is nothing to put before them.
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let name: ServerName = authority
        .parse()
        .map_err(|_| wrong("no host and port, and nothing else, behind \"http://\""))?;
    let port = name
        .connect_port()
        .map_err(|_| wrong("the port is none from 1 to 65535"))?;
    Ok(HomeserverAddress::Tcp {
        host: name.host().to_owned(),
        port: port.unwrap_or(80),
    })
}

fn egress(table: &tables::Egress, beside: &Path) -> Checked<Egress> {
    let listen = address(&table.listen)?;
    if let ListenAddress::Tcp(address) = &listen
        && !address.ip().is_loopback()
    {
        // Whoever reaches it with the secret speaks as the homeserver, and the secret crosses the wire in the clear.
        let reason = format!(
            "{address} can be reached from other machines; the homeserver's calls are taken on loopback or a Unix socket only"
        );
        return Err(fault(&table.listen, reason));
    }
    let secret = file(&table.secret_file, beside)?;
    let secret = Secret::from_file(&secret).map_err(|why| fault(&table.secret_file, why))?;
    Ok(Egress { listen, secret })
}

fn check_listen(table: Spanned<tables::Listen>, beside: &Path) -> Checked<Listen> {
    let at = table.span();
    let here = |reason: &str| Fault {
        at: at.clone(),
        reason: reason.to_owned(),
    };
    let table = table.get_ref();
    let tls = match (table.tls.unwrap_or(true), &table.certificate, &table.key) {
        (true, Some(chain), Some(key)) => Some(certificate(chain, key, beside)?),
        (true, _, _) => {
            return Err(here(
                "`certificate` and `key` are missing; behind a proxy that ends TLS, set `tls = false`",
            ));
        }
        (false, None, None) => None,
        (false, Some(extra), _) | (false, _, Some(extra)) => {
            return Err(fault(
                extra,
                "of no use with `tls = false`: the proxy shows the certificate",
            ));
        }
    };
    let mut trusted_proxies = TrustedProxies::default();
    for proxy in table.trusted_proxies.as_deref().unwrap_or_default() {
        trusted_proxies = match proxy.get_ref().as_str() {
            "unix" => trusted_proxies.trust_unix(),
            range => trusted_proxies
                .trust(range)
                .map_err(|error| fault(proxy, error.to_string()))?,
        };
    }
    Ok(Listen {
        address: address(&table.address)?,
        tls,
        trusted_proxies,
        danger_deliver_unverified: table.danger_deliver_unverified,
    })
}

fn certificate(
    chain: &Spanned<String>,
    key: &Spanned<String>,
    beside: &Path,
) -> Checked<Certificate> {
    let pair = Certificate {
        chain: file(chain, beside)?,
        key: file(key, beside)?,
    };
    ServerTls::from_pem(&pair.chain, &pair.key).map_err(|error| fault(chain, chained(&error)))?;
    Ok(pair)
}

fn trust(table: &tables::Trust, beside: &Path) -> Checked<Trust> {
    let mut ca = Vec::new();
    for name in &table.ca {
        let pem = file(name, beside)?;
        ClientTls::from_pem(&pem).map_err(|error| fault(name, chained(&error)))?;
        ca.extend_from_slice(&pem);
        ca.push(b'\n');
    }
    let mut guard = AddressGuard::default();
    for range in &table.allow_addresses {
        guard = guard
            .allow(range.get_ref())
            .map_err(|error| fault(range, error.to_string()))?;
    }
    let names = table.danger_accept_any_certificate_for.iter();
    Ok(Trust {
        ca,
        guard,
        danger_accept_any_certificate_for: names.map(|name| name.get_ref().clone()).collect(),
    })
}

fn discovery(table: &tables::Discovery) -> Checked<Discovery> {
    let servers = table.dns.iter();
    let well_known_port = match &table.well_known_port {
        Some(port) if *port.get_ref() == 0 => return Err(fault(port, "0 is no port")),
        Some(port) => *port.get_ref(),
        None => 443,
    };
    Ok(Discovery {
        dns: servers
            .map(|server| parsed(server, "no IP address and port"))
            .collect::<Checked<_>>()?,
        well_known_port,
    })
}

fn check_peer(table: Spanned<tables::Peer>) -> Checked<Peer> {
    let at = table.span();
    let table = table.into_inner();
    let binding = match &table.binding {
        None => PeerBinding::Auto,
        Some(text) => match text.get_ref().as_str() {
            "auto" => PeerBinding::Auto,
            "https" => PeerBinding::Https,
            "grpc" => PeerBinding::Grpc,
            other => {
                let near = nearest(other, ["auto", "https", "grpc"]).unwrap_or_default();
                let reason = format!("there is no binding {other:?}; did you mean {near:?}?");
                return Err(fault(text, reason));
            }
        },
    };
    if table.required && binding == PeerBinding::Auto {
        let reason = "`required = true` says which binding must be used: set `binding` as well";
        return Err(Fault {
            at,
            reason: reason.to_owned(),
        });
    }
    let target = match &table.target {
        Some(target) => Some(parsed(target, "nowhere to connect to")?),
        None => None,
    };
    let delegated = match (&table.delegated, &target) {
        (Some(name), Some(_)) => Some(parsed(name, "no server name")?),
        (Some(name), None) => {
            return Err(fault(name, "it is looked up where there is no `target`"));
        }
        (None, _) => None,
    };
    Ok(Peer {
        binding,
        target,
        delegated,
        required: table.required,
    })
}

fn limits(table: &tables::Limits) -> Checked<Limits> {
    let default = Limits::default();
    let count = |value: &Option<Spanned<u64>>, default: usize| match value {
        None => Ok(default),
        Some(value) => match usize::try_from(*value.get_ref()) {
            Ok(count @ 1..=1_000_000) => Ok(count),
            _ => Err(fault(value, "a limit is from 1 to 1000000")),
        },
    };
    let drain = match &table.drain_seconds {
        None => default.drain,
        Some(value) if *value.get_ref() > 3600 => {
            return Err(fault(
                value,
                "draining takes an hour at most: 0 to 3600 seconds",
            ));
        }
        Some(value) => Duration::from_secs(*value.get_ref()),
    };
    let request_memory = match &table.request_mib {
        None => default.request_memory,
        // One request of the largest operations has to fit.
        Some(value) => match usize::try_from(*value.get_ref()) {
            Ok(mib @ 16..=1_048_576) => mib << 20,
            _ => {
                return Err(fault(
                    value,
                    "the memory for requests is from 16 to 1048576 MiB",
                ));
            }
        },
    };
    Ok(Limits {
        request_memory,
        connections: count(&table.connections, default.connections)?,
        calls: count(&table.calls, default.calls)?,
        drain,
    })
}

/// Where to listen: `127.0.0.1:18101`, `unix:/run/gateway.sock`.
fn address(text: &Spanned<String>) -> Checked<ListenAddress> {
    if let Some(path) = text.get_ref().strip_prefix("unix:") {
        return Ok(ListenAddress::Unix(socket_path(text, path)?));
    }
    let wrong = "nowhere to listen: write an IP address and port, or \"unix:/path\"";
    let address: SocketAddr = text.get_ref().parse().map_err(|_| fault(text, wrong))?;
    Ok(ListenAddress::Tcp(address))
}

fn socket_path(text: &Spanned<String>, path: &str) -> Checked<PathBuf> {
    match Path::new(path).is_absolute() {
        true => Ok(path.into()),
        false => Err(fault(text, "the path of a Unix socket begins with a slash")),
    }
}

/// A file's content. A name that does not begin with a slash is looked for beside the configuration.
fn file(name: &Spanned<String>, beside: &Path) -> Checked<Vec<u8>> {
    let path = beside.join(name.get_ref());
    fs::read(&path)
        .map_err(|error| fault(name, format!("{} cannot be read: {error}", path.display())))
}

fn parsed<T>(text: &Spanned<String>, what: &str) -> Checked<T>
where
    T: FromStr,
    T::Err: Display,
{
    let parsed = text.get_ref().parse();
    parsed.map_err(|error: T::Err| fault(text, format!("{:?} is {what}: {error}", text.get_ref())))
}

fn fault<T>(at: &Spanned<T>, reason: impl Into<String>) -> Fault {
    Fault {
        at: at.span(),
        reason: reason.into(),
    }
}

/// An error with its causes, in one line.
fn chained(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
