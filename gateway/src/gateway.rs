//! The gateway's life: start, reload, drain.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use comity_core::{auth::KeyStore, transport::Select};
use comity_net::{
    Address, Counters, Dispatch, Drained, InheritedSocket, Listener, ListenerOptions, PoolOptions,
    Protocol, ServerTls,
};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    Config,
    admin::{Admin, Metrics},
    config::{Certificate, ListenAddress},
    homeserver::delivery,
    operations::operations,
    outbound::Outbound,
    services::{self, Shared},
    status::OwnStatus,
};

/// A gateway that runs. Dropping it stops it at once; [`Gateway::drain`] lets calls in flight finish.
#[derive(Debug)]
pub struct Gateway {
    egress: Served,
    inbound: Served,
    /// The operator's pages: up until the last call has ended.
    admin: Option<Served>,
    stop: watch::Sender<bool>,
    stop_admin: watch::Sender<bool>,
    draining: Arc<AtomicBool>,
    outbound: Outbound,
    tls: Option<ServerTls>,
    shared: Shared,
    config: Config,
}

/// A listener's task.
#[derive(Debug)]
struct Served {
    address: Address,
    task: JoinHandle<Drained>,
}

/// Why a gateway cannot start, or cannot take over a configuration.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct StartError {
    what: String,
    #[source]
    cause: Box<dyn Error + Send + Sync>,
}

impl StartError {
    pub(crate) fn new(
        what: impl Into<String>,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            what: what.into(),
            cause: cause.into(),
        }
    }
}

impl Gateway {
    /// Starts a gateway: both its listeners are bound when it returns. `inherited` are the sockets that a service manager passed
    /// ([`comity_net::inherited`]): each is taken over by the listener whose address it has. `key_store` is what [`Config::key_store`] names, opened: peers' keys are looked for there
    /// first, so that a restart asks nobody for them. Within a runtime of tokio.
    ///
    /// # Errors
    /// A listener cannot be bound, an inherited socket is none of the configuration's, there is nobody to ask for names, or a certificate or
    /// trust store cannot be used; or the configuration names a store for keys, and none is given.
    pub async fn start(
        config: Config,
        mut inherited: Vec<InheritedSocket>,
        key_store: Option<Arc<dyn KeyStore>>,
    ) -> Result<Self, StartError> {
        if let (Some(path), None) = (&config.key_store, &key_store) {
            return Err(StartError::new(
                "peers' keys are to be kept over a restart, and nobody has opened the store",
                format!("`keys.store` is {}", path.display()),
            ));
        }
        let ports = ["egress", "inbound", "peers", "homeserver"];
        let [of_egress, of_inbound, of_outbound, of_delivery] = ports.map(|_| Counters::default());
        let counters = [&of_egress, &of_inbound, &of_outbound, &of_delivery];
        let counters = ports.into_iter().zip(counters.map(Clone::clone));
        let bindings = [comity_http::BINDING, comity_grpc::BINDING];
        let metrics = Metrics::new(&operations(), bindings, counters.collect());
        let shared = Shared {
            peers: Arc::new(RwLock::new(Arc::new(config.peers.clone()))),
            metrics: metrics.clone(),
            grpc: Arc::new(AtomicBool::new(config.bindings.grpc)),
        };
        let outbound = Outbound::new(&config, &metrics, of_outbound, key_store)?;
        let egress = services::egress(&config, Arc::new(outbound.select.clone()), &shared);
        let keys = Arc::new(outbound.keys.clone());
        let delivery = delivery(&config, of_delivery);
        let inbound = services::inbound(&config, delivery.clone(), keys, &shared);

        let tls = config.listen.tls.as_ref().map(server_tls).transpose()?;
        let of_homeserver = bind(
            &config.egress.listen,
            &mut inherited,
            egress_options(&config, of_egress),
        );
        let of_homeserver = of_homeserver.await?;
        let options = inbound_options(&config, tls.clone(), of_inbound);
        let of_peers = bind(&config.listen.address, &mut inherited, options).await?;
        if let Some(other) = inherited.first() {
            let other = other.address().map(|address| address.to_string());
            let other = other.unwrap_or_else(|error| format!("with an unknown address ({error})"));
            let cause = format!("it listens on {other}");
            return Err(StartError::new(
                "a socket was passed to the gateway that its configuration does not name",
                cause,
            ));
        }
        let draining = Arc::new(AtomicBool::new(false));
        let (stop, stopping) = watch::channel(false);
        let (stop_admin, _) = watch::channel(false);
        let admin = match &config.admin {
            None => None,
            Some(admin) => {
                let status = OwnStatus {
                    server_name: config.server_name.clone(),
                    started: Instant::now(),
                    draining: draining.clone(),
                    select: outbound.select.clone(),
                    delivery,
                };
                let admin = Admin::bind(admin.listen, Arc::new(status), metrics).await;
                let admin = admin.map_err(|error| {
                    StartError::new("cannot listen where `admin.listen` says", error)
                })?;
                Some(Served {
                    address: admin.local_addr().into(),
                    task: tokio::spawn(admin.serve(told(stop_admin.subscribe()))),
                })
            }
        };
        Ok(Self {
            admin,
            stop_admin,
            draining,
            egress: Served::start(of_homeserver, egress, stopping.clone()),
            inbound: Served::start(of_peers, inbound, stopping),
            stop,
            outbound,
            tls,
            shared,
            config,
        })
    }

    /// Where the homeserver hands over its calls.
    pub fn egress_address(&self) -> &Address {
        &self.egress.address
    }

    /// Where peers call.
    pub fn inbound_address(&self) -> &Address {
        &self.inbound.address
    }

    /// Where the homeserver hands over its calls; none if that is a Unix socket.
    pub fn egress_addr(&self) -> Option<SocketAddr> {
        self.egress.address.socket_addr()
    }

    /// Where peers call; none if that is a Unix socket.
    pub fn inbound_addr(&self) -> Option<SocketAddr> {
        self.inbound.address.socket_addr()
    }

    /// The choice of bindings: which destinations it knows, and how each fares.
    pub fn select(&self) -> &Select {
        &self.outbound.select
    }

    /// Where the operator's pages are; none if they are not served.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.address.socket_addr()
    }

    /// What was counted so far.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Takes over what may change while the gateway runs: the peers, the kill switch, and the certificate. Calls and connections that there are go on as they began.
    /// Gives the names of other settings that differ from those that the gateway runs with: they wait for a restart.
    ///
    /// # Errors
    /// The certificate cannot be used: nothing has changed then.
    pub fn reload(&self, config: Config) -> Result<Vec<&'static str>, StartError> {
        if let (Some(tls), Some(certificate)) = (&self.tls, &config.listen.tls) {
            tls.reload(&certificate.chain, &certificate.key)
                .map_err(|error| StartError::new("the certificate cannot be used", error))?;
        }
        self.outbound.set_peers(&config);
        self.shared
            .grpc
            .store(config.bindings.grpc, Ordering::Relaxed);
        let mut peers = self
            .shared
            .peers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *peers = Arc::new(config.peers.clone());
        Ok(self.config.fixed_that_differ(&config))
    }

    /// Takes no more calls, and returns when those in flight have finished, or `limits.drain_seconds` have passed.
    pub async fn drain(mut self) -> Drained {
        self.draining.store(true, Ordering::Relaxed);
        self.stop.send_replace(true);
        let (egress, inbound) = tokio::join!(&mut self.egress.task, &mut self.inbound.task);
        let mut cut = 0;
        for ended in [egress, inbound] {
            match ended {
                Ok(drained) => cut += drained.cut,
                Err(error) => tracing::error!(%error, "a listener failed"),
            }
        }
        self.stop_admin.send_replace(true);
        if let Some(admin) = &mut self.admin {
            let _ = (&mut admin.task).await;
        }
        Drained { cut }
    }
}

impl Served {
    fn start(listener: Listener, dispatch: Dispatch, stopping: watch::Receiver<bool>) -> Self {
        let address = listener.address().clone();
        let task = tokio::spawn(listener.serve(dispatch, told(stopping)));
        Self { address, task }
    }
}

/// Completes when a listener is to stop; the gateway's end is as good.
async fn told(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn egress_options(config: &Config, counters: Counters) -> ListenerOptions {
    ListenerOptions {
        protocol: Protocol::Http1,
        max_connections: config.limits.connections,
        drain_timeout: config.limits.drain,
        // The homeserver often runs as another user of the same group.
        unix_mode: Some(0o660),
        counters: Some(counters),
        ..ListenerOptions::default()
    }
}

fn inbound_options(config: &Config, tls: Option<ServerTls>, counters: Counters) -> ListenerOptions {
    ListenerOptions {
        tls,
        max_connections: config.limits.connections,
        max_concurrent_streams: streams(config.limits.calls),
        drain_timeout: config.limits.drain,
        trusted_proxies: config.listen.trusted_proxies.clone(),
        unix_mode: Some(0o660),
        counters: Some(counters),
        ..ListenerOptions::default()
    }
}

/// HTTP/2 streams of one connection: a peer's gateway has several connections, and all that may be in flight is to fit on them. What the calls of one peer
/// take is bounded with those of the others.
fn streams(calls: usize) -> u32 {
    let each = calls.div_ceil(PoolOptions::default().max_http2);
    u32::try_from(each).unwrap_or(u32::MAX).max(200)
}

fn server_tls(certificate: &Certificate) -> Result<ServerTls, StartError> {
    ServerTls::from_pem(&certificate.chain, &certificate.key)
        .map_err(|error| StartError::new("the certificate cannot be used", error))
}

async fn bind(
    address: &ListenAddress,
    inherited: &mut Vec<InheritedSocket>,
    options: ListenerOptions,
) -> Result<Listener, StartError> {
    let failed = |error: io::Error| StartError::new(format!("cannot listen on {address}"), error);
    let own = |socket: &InheritedSocket| match (socket.address(), address) {
        (Ok(Address::Ip(has)), ListenAddress::Tcp(wanted)) => has == *wanted,
        (Ok(Address::Unix(Some(has))), ListenAddress::Unix(wanted)) => *has == **wanted,
        _ => false,
    };
    if let Some(at) = inherited.iter().position(own) {
        return Listener::from_inherited(inherited.remove(at), options).map_err(failed);
    }
    match address {
        ListenAddress::Tcp(address) => Listener::bind(address, options).await.map_err(failed),
        ListenAddress::Unix(path) => Listener::bind_unix(path, options).map_err(failed),
    }
}
