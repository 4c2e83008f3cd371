//! The gateway as a whole: what stands behind what, and its life.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use comity_core::{
    CallService, Client,
    auth::{KeyRing, KeyRingOptions, KeySource},
    layers::{Permits, Side},
    transport::{Transport, TransportService},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, GrpcTransport, is_grpc};
use comity_http::{HttpServer, HttpServerOptions, HttpTransport, request::PeerHeaders};
use comity_net::{
    AddressGuard, ClientTls, Connector, Dispatch, Drained, Listener, ListenerOptions, Pool,
    PoolOptions, Protocol, ServerTls,
};
use tokio::{sync::watch, task::JoinHandle};
use tower::{ServiceBuilder, util::BoxCloneSyncService};

use crate::{
    Config,
    coalesce::Coalesce,
    config::{Address, HomeserverAddress},
    counts::Counts,
    deadlines::Deadlines,
    egress::{Egress, OwnOrigin},
    head::Heads,
    homeserver::BesideUs,
    open_paths::OnlyOpen,
    operations::operations,
    own_words::OwnWords,
    verification::{Peers, Verification},
    wire::{Choice, Named},
};

/// How long connecting to a peer may take: TCP, and then TLS.
const CONNECT: Duration = Duration::from_secs(3);

/// How long a call waits for its turn when as many as may be are in flight.
const TURN: Duration = Duration::from_secs(5);

/// A gateway that runs. Dropping it stops it at once; [`Gateway::drain`] lets calls in flight finish.
#[derive(Debug)]
pub struct Gateway {
    egress: Served,
    inbound: Served,
    stop: watch::Sender<bool>,
    peers: Peers,
    counts: Arc<Counts>,
}

/// A listener's task.
#[derive(Debug)]
struct Served {
    address: Option<SocketAddr>,
    task: JoinHandle<Drained>,
}

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct StartError {
    what: String,
    #[source]
    cause: Box<dyn Error + Send + Sync>,
}

impl StartError {
    fn new(what: impl Into<String>, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            what: what.into(),
            cause: cause.into(),
        }
    }
}

impl Gateway {
    /// Starts a gateway: both its listeners are bound when it returns.
    ///
    /// # Errors
    /// A listener cannot be bound, or a certificate or trust store cannot be used.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let peers: Peers = Arc::new(RwLock::new(Arc::new(config.peers.clone())));
        let counts = Arc::new(Counts::default());
        let outbound = Outbound::new(&config, &peers)?;
        let keys: Arc<dyn KeySource> = Arc::new(KeyRing::new(
            Client::new(outbound.for_keys.clone()),
            KeyRingOptions::default(),
        ));
        let egress = egress(&config, outbound.calls, &counts);
        let inbound = inbound(&config, keys, &peers, &counts)?;

        let egress_listener = bind(&config.egress.listen, egress_options(&config)).await?;
        let inbound_listener = bind(&config.listen.address, inbound_options(&config)?).await?;
        let (stop, stopping) = watch::channel(false);
        Ok(Self {
            egress: Served::start(egress_listener, egress, stopping.clone()),
            inbound: Served::start(inbound_listener, inbound, stopping),
            stop,
            peers,
            counts,
        })
    }

    /// Where the homeserver hands over its calls; none if that is no TCP port.
    pub fn egress_addr(&self) -> Option<SocketAddr> {
        self.egress.address
    }

    /// Where peers call; none if that is no TCP port.
    pub fn inbound_addr(&self) -> Option<SocketAddr> {
        self.inbound.address
    }

    /// What was counted so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes over what may change while the gateway runs: the peers.
    pub fn reload(&self, config: &Config) {
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        *peers = Arc::new(config.peers.clone());
    }

    /// Takes no more calls, and returns when those in flight have finished, or `limits.drain_seconds` have passed.
    pub async fn drain(mut self) -> Drained {
        self.stop.send_replace(true);
        let mut cut = 0;
        for served in [&mut self.egress, &mut self.inbound] {
            cut += match (&mut served.task).await {
                Ok(drained) => drained.cut,
                Err(error) => {
                    tracing::error!(%error, "a listener failed");
                    0
                }
            };
        }
        Drained { cut }
    }
}

impl Served {
    fn start(listener: Listener, dispatch: Dispatch, mut stopping: watch::Receiver<bool>) -> Self {
        let address = Some(listener.local_addr());
        let task = tokio::spawn(listener.serve(dispatch, async move {
            // An error is the gateway's end as well.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }));
        Self { address, task }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The clients that call peers.
struct Outbound {
    calls: Arc<dyn Transport>,
    for_keys: Arc<dyn Transport>,
}

impl Outbound {
    fn new(config: &Config, peers: &Peers) -> Result<Self, StartError> {
        let tls = ClientTls::from_pem(&config.trust.ca)
            .map_err(|error| StartError::new("the trust store cannot be used", error))?;
        let connector = Connector::new(tls)
            .with_guard(config.trust.guard.clone())
            .with_connect_timeout(CONNECT)
            .with_tls_timeout(CONNECT);
        let resolve = Arc::new(Named);
        let pool = |protocol| {
            let options = PoolOptions {
                max_in_flight: config.limits.calls,
                ..PoolOptions::default().with_protocol(protocol)
            };
            Pool::new(connector.clone(), options)
        };
        let https: Arc<dyn Transport> =
            Arc::new(HttpTransport::new(resolve.clone(), pool(Protocol::Http1)));
        let grpc: Arc<dyn Transport> = Arc::new(GrpcTransport::new(resolve, pool(Protocol::Http2)));
        let for_keys = Arc::new(Choice {
            https: https.clone(),
            grpc: None,
            peers: peers.clone(),
        });
        let calls = Arc::new(Choice {
            https,
            grpc: config.bindings.grpc.then_some(grpc),
            peers: peers.clone(),
        });
        Ok(Self { calls, for_keys })
    }
}

/// What answers the homeserver's calls.
fn egress(config: &Config, calls: Arc<dyn Transport>, counts: &Arc<Counts>) -> Dispatch {
    let name = &config.server_name;
    let layers = ServiceBuilder::new()
        .layer(OwnWords::layer(name))
        .layer(OwnOrigin::layer(name.clone(), counts.clone()))
        .layer(Permits::layer(Side::Client, config.limits.calls, TURN))
        .layer(Heads::layer())
        .layer(Coalesce::layer(config.limits.calls, counts.clone()))
        .layer(Deadlines::layer());
    let service: CallService =
        BoxCloneSyncService::new(layers.service(TransportService::new(calls)));
    let options = HttpServerOptions {
        peer: PeerHeaders {
            trace: true,
            ..PeerHeaders::default()
        },
        via: Some(name.clone()),
        ..HttpServerOptions::default()
    };
    let server = HttpServer::with_options(operations(), service, options);
    let egress = Egress::new(
        name.clone(),
        config.egress.secret.clone(),
        server,
        counts.clone(),
    );
    Dispatch::new(egress.boxed())
}

/// What answers peers' calls.
fn inbound(
    config: &Config,
    keys: Arc<dyn KeySource>,
    peers: &Peers,
    counts: &Arc<Counts>,
) -> Result<Dispatch, StartError> {
    let name = &config.server_name;
    let layers = ServiceBuilder::new()
        .layer(OwnWords::layer(name))
        .layer(OnlyOpen::layer(
            config.homeserver.paths.clone(),
            counts.clone(),
        ))
        .layer(Permits::layer(Side::Server, config.limits.calls, TURN))
        .layer(Verification::layer(
            name.clone(),
            keys,
            config.listen.danger_deliver_unverified,
            peers.clone(),
            counts.clone(),
        ))
        .layer(Heads::layer())
        .layer(Coalesce::layer(config.limits.calls, counts.clone()))
        .layer(Deadlines::layer());
    let homeserver = TransportService::new(delivery(config)?);
    let service: CallService = BoxCloneSyncService::new(layers.service(homeserver));

    let http = HttpServer::with_options(
        operations(),
        service.clone(),
        HttpServerOptions {
            peer: PeerHeaders {
                trace: true,
                ..PeerHeaders::default()
            },
            via: Some(name.clone()),
            ..HttpServerOptions::default()
        },
    );
    let dispatch = Dispatch::new(http.boxed());
    if !config.bindings.grpc {
        return Ok(dispatch);
    }
    let options = GrpcServerOptions::default()
        .with_trace()
        .with_via(name.clone());
    let grpc = GrpcServer::new(operations(), Codecs::federation(), service, options);
    Ok(dispatch.with(is_grpc, grpc.into_service()))
}

/// The client that calls the homeserver.
fn delivery(config: &Config) -> Result<Arc<dyn Transport>, StartError> {
    let HomeserverAddress::Tcp { host, port } = &config.homeserver.address else {
        return Err(StartError::new(
            "a Unix socket is not supported yet",
            "homeserver.url",
        ));
    };
    let resolve = BesideUs::new(config.server_name.clone(), host.clone(), *port);
    let everywhere = AddressGuard::default()
        .allow("0.0.0.0/0")
        .and_then(|guard| guard.allow("::/0"))
        .expect("both are ranges of addresses");
    let connector = Connector::danger_without_tls()
        .with_guard(everywhere)
        .with_connect_timeout(CONNECT);
    let options = PoolOptions {
        max_in_flight: config.limits.calls,
        ..PoolOptions::default().with_protocol(Protocol::Http1)
    };
    let pool = Pool::new(connector, options);
    Ok(Arc::new(HttpTransport::new(Arc::new(resolve), pool)))
}

fn egress_options(config: &Config) -> ListenerOptions {
    ListenerOptions {
        protocol: Protocol::Http1,
        max_connections: config.limits.connections,
        drain_timeout: config.limits.drain,
        ..ListenerOptions::default()
    }
}

fn inbound_options(config: &Config) -> Result<ListenerOptions, StartError> {
    let tls = match &config.listen.tls {
        Some(certificate) => Some(
            ServerTls::from_pem(&certificate.chain, &certificate.key)
                .map_err(|error| StartError::new("the certificate cannot be used", error))?,
        ),
        None => None,
    };
    Ok(ListenerOptions {
        tls,
        max_connections: config.limits.connections,
        drain_timeout: config.limits.drain,
        ..ListenerOptions::default()
    })
}

async fn bind(address: &Address, options: ListenerOptions) -> Result<Listener, StartError> {
    let failed = |error: io::Error| StartError::new(format!("cannot listen on {address}"), error);
    match address {
        Address::Tcp(address) => Listener::bind(address, options).await.map_err(failed),
        Address::Unix(_) | Address::Inherited(_) => Err(failed(io::ErrorKind::Unsupported.into())),
    }
}
