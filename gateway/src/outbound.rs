//! How peers are called: where they are found, by which binding, with which certificate authorities.

use std::{sync::Arc, time::Duration};

use comity_core::{
    Client, ServerName,
    auth::{KeyRing, KeyRingOptions, KeyStore},
    transport::{
        ConnectTo, Offers, Policies, Policy, Preference, Resolve, Select, SelectOptions, Transport,
    },
};
use comity_discovery::{DiscoveryOptions, Dns};
use comity_grpc::{GrpcTransport, OnInvoke};
use comity_http::{HttpTransport, HttpTransportOptions, request::PeerHeaders};
use comity_net::{ClientTls, Connector, Counters, Pool, PoolOptions, Protocol};

use crate::{
    Config, StartError,
    admin::{Direction, Metrics},
    config::{Discovery, Peer, PeerBinding},
};

/// How long connecting to a peer may take, TLS included; finding it stands before that: see [`DNS`]. A homeserver's own deadlines leave time for another binding then.
const CONNECT: Duration = Duration::from_secs(3);

/// How long one question to DNS, and one `.well-known` document, may take. A name takes no more than one document and one answer about its services before connecting begins, or fails: less
/// than the 20 s in which a homeserver gives up a join.
const DNS: Duration = Duration::from_secs(2);
const WELL_KNOWN: Duration = Duration::from_secs(4);

/// How long it is believed that nobody answers a question. For that long a destination cannot be called.
const DNS_FAILURE: Duration = Duration::from_secs(10);

/// After how much silence a peer's connection is pinged, and how long the answer may take: what finds a dead one, as an answer may rightly take minutes.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// The clients that call peers.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// Every binding.
    pub(crate) select: Select,
    /// Peers' keys.
    pub(crate) keys: KeyRing,
    for_keys: Select,
}

impl Outbound {
    pub(crate) fn new(
        config: &Config,
        metrics: &Metrics,
        counters: Counters,
        key_store: Option<Arc<dyn KeyStore>>,
    ) -> Result<Self, StartError> {
        let connector = Connector::new(trusted(config)?)
            .with_guard(config.trust.guard.clone())
            .with_total_timeout(CONNECT)
            .with_counters(counters);
        let discovery =
            comity_discovery::Discovery::new(connector.clone(), discovery_options(config))
                .map_err(|error| StartError::new("names cannot be looked up", error))?;
        let resolve: Arc<dyn Resolve> = Arc::new(discovery.clone());
        let pool = |protocol| {
            let options = PoolOptions {
                max_in_flight: config.limits.calls,
                ..PoolOptions::default().with_protocol(protocol)
            };
            Pool::new(connector.clone(), options.with_ping(PING.0, PING.1))
        };
        let http = HttpTransportOptions {
            peer: PeerHeaders {
                trace: true,
                ..PeerHeaders::default()
            },
            ..HttpTransportOptions::default()
        };
        // HTTP/1.1 alone, as homeservers speak it: so the baseline shares no more with gRPC than it must.
        let https: Arc<dyn Transport> = Arc::new(HttpTransport::with_options(
            resolve.clone(),
            pool(Protocol::Http1),
            http,
        ));
        let told = metrics.clone();
        let on_invoke = OnInvoke::new(move |spec| told.invoked(Direction::Outbound, spec.name));
        let grpc: Arc<dyn Transport> =
            Arc::new(GrpcTransport::new(resolve, pool(Protocol::Http2)).with_on_invoke(on_invoke));

        // Keys are asked for by the baseline alone, unsigned: what they say decides about the other bindings.
        let for_keys = Select::new(https.clone(), vec![], vec![], SelectOptions::default());
        let mut keys = KeyRing::new(
            Client::new(Arc::new(for_keys.clone())),
            KeyRingOptions::default(),
        );
        if let Some(store) = key_store {
            keys = keys.with_store(store);
        }
        let sources: Vec<Arc<dyn Offers>> = vec![Arc::new(keys.clone()), Arc::new(discovery)];
        let options = SelectOptions {
            // A slow answer says nothing of a connection: see `PING`.
            reserve: Duration::ZERO,
            observer: Some(Arc::new(metrics.clone())),
            ..SelectOptions::default()
        };
        let select = Select::new(https, vec![grpc], sources, options);
        let outbound = Self {
            select,
            keys,
            for_keys,
        };
        outbound.set_peers(config);
        Ok(outbound)
    }

    /// Takes over what is configured of peers and bindings. Calls that begin from now on go by it.
    pub(crate) fn set_peers(&self, config: &Config) {
        self.for_keys.set_policies(key_policies(config));
        self.select.set_policies(policies(config));
    }
}

fn policies(config: &Config) -> Policies {
    let of_peer = |name: &ServerName, peer: &Peer| Policy {
        binding: match peer.binding {
            PeerBinding::Auto => Preference::Auto,
            PeerBinding::Https => Preference::Only(comity_http::BINDING.to_owned()),
            PeerBinding::Grpc => Preference::Only(comity_grpc::BINDING.to_owned()),
        },
        connect_to: connect_to(name, peer),
        required: peer.required,
        sessions: None,
    };
    let peers = config.peers.iter();
    let off = (!config.bindings.grpc).then(|| comity_grpc::BINDING.to_owned());
    Policies {
        default: Policy::default(),
        peers: peers
            .map(|(name, peer)| (name.clone(), of_peer(name, peer)))
            .collect(),
        disabled: off.into_iter().collect(),
    }
}

/// Where peers are, and nothing of how else to call them.
fn key_policies(config: &Config) -> Policies {
    let of_peer = |name: &ServerName, peer: &Peer| Policy {
        connect_to: connect_to(name, peer),
        ..Policy::default()
    };
    let peers = config.peers.iter();
    Policies {
        peers: peers
            .map(|(name, peer)| (name.clone(), of_peer(name, peer)))
            .collect(),
        ..Policies::default()
    }
}

/// Where the operator says that a peer is, and who is there. Nobody is asked about it.
fn connect_to(name: &ServerName, peer: &Peer) -> Option<ConnectTo> {
    let target = peer.target.clone()?;
    let server = peer.delegated.as_ref().unwrap_or(name);
    Some(target.as_server(server.clone()))
}

/// The system's certificate authorities, and those that were added.
fn trusted(config: &Config) -> Result<ClientTls, StartError> {
    let trust = &config.trust;
    let tls = match trust.ca.is_empty() {
        true => ClientTls::system(),
        false => ClientTls::system_with(&trust.ca),
    };
    let tls =
        tls.map_err(|error| StartError::new("no certificate authority can be trusted", error))?;
    Ok(match trust.danger_accept_any_certificate_for.is_empty() {
        true => tls,
        false => tls.danger_accept_any_certificate_for(&trust.danger_accept_any_certificate_for),
    })
}

fn discovery_options(config: &Config) -> DiscoveryOptions {
    let Discovery {
        dns,
        well_known_port,
        ..
    } = &config.discovery;
    DiscoveryOptions {
        dns: match dns.is_empty() {
            true => Dns::System,
            false => Dns::Servers(dns.clone()),
        },
        dns_timeout: DNS,
        dns_max_error_age: DNS_FAILURE,
        well_known_timeout: WELL_KNOWN,
        well_known_port: *well_known_port,
        ..DiscoveryOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_at_a_target_is_said_with_it() {
        let name: ServerName = "hs2.example".parse().unwrap();
        let mut peer = Peer::default();
        assert_eq!(connect_to(&name, &peer), None);
        peer.target = Some("192.0.2.1:8448".parse().unwrap());
        let to = connect_to(&name, &peer).unwrap();
        assert_eq!(to.server(), Some(&name));
        let delegated: ServerName = "fed.example:443".parse().unwrap();
        peer.delegated = Some(delegated.clone());
        let to = connect_to(&name, &peer).unwrap();
        assert_eq!(to.server(), Some(&delegated));
    }
}
