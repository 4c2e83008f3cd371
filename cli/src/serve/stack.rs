//! The server as others see it, and how it calls them.

use std::{collections::BTreeMap, error::Error, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use comity_core::{
    CallService, Client, Operations, Router, ServerName, api,
    auth::{
        KeyRing, KeyRingOptions, Notary, NotaryOptions, PublishedKeys, PublishedKeysOptions,
        SessionAuthenticator, SessionOptions, Sign, SigningKey, Verify, XMatrixAuthenticator,
    },
    error::TransportError,
    layers::{
        Acl, Backoff, BackoffOptions, Clocks, Fallback, Fallbacks, Flow, Idempotency, Permits,
        RunToEnd, Side, Trace,
    },
    transport::{ConnectTo, Offer, Resolve, Route, Select, SelectOptions, Transport},
};
use comity_discovery::{Discovery, DiscoveryOptions};
use comity_grpc::{
    BINDING, Codecs, GrpcServer, GrpcServerOptions, GrpcTransport, Health, is_grpc, is_reflection,
    reflection,
};
use comity_homeserver::{Homeserver, Storage};
use comity_http::{HttpServer, HttpTransport};
use comity_net::{
    AddressGuard, ClientTls, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions,
    Protocol, ServerTls,
};
use comity_store::Store;
use tokio::{sync::oneshot, task::JoinHandle};
use tower::ServiceBuilder;

use super::{Options, read};

/// How long a call waits for its turn, on either side.
const WAIT: Duration = Duration::from_secs(10);

/// How long connecting to another server may take, every address of it and TLS included: a call waits for it that cannot be repeated.
const CONNECT: Duration = Duration::from_secs(3);

/// Calls that are served at once, and as many that run to their end although their caller has gone.
const AT_ONCE: usize = 256;

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) homeserver: Homeserver,
    /// Signs as the server.
    pub(crate) client: Client,
    /// Which binding it calls each server by.
    pub(crate) select: Select,
    pub(crate) key: Arc<SigningKey>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What probes are told.
    health: Health,
    store: Store,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Stack {
    pub(crate) async fn start(options: &Options) -> Result<Self, Box<dyn Error>> {
        let name = &options.name;
        let storage = Storage::open(&options.data, name)?;
        let key = storage.signing_key();
        let tls = ServerTls::from_pem(&read(&options.certificate)?, &read(&options.key)?)?;
        let network = Network::new(options)?;
        let published =
            PublishedKeys::new(name.clone(), key.clone(), PublishedKeysOptions::default())?;
        // The port below speaks it, and who comes by it may prove itself once for a connection.
        published.offer(&[Offer {
            binding: BINDING.to_owned(),
            connect_to: None,
            priority: 0,
            session: true,
        }])?;
        // Other servers' keys, and answers for who asks again.
        let store = Store::open(options.data.join("comity.redb"))?;
        let ring = KeyRing::new(network.key_fetcher(), KeyRingOptions::default())
            .with_own(published.clone())
            .with_store(store.keys());
        let select = network.select(&ring);
        let backoff = Backoff::new(BackoffOptions {
            first: Duration::from_secs(60),
            longest: Duration::from_secs(3600),
            ..BackoffOptions::default()
        });
        let client = signing_client(name, &key, &backoff, select.clone());
        let ring = Arc::new(ring);
        let homeserver = Homeserver::new(name.clone(), key.clone(), client.clone(), ring.clone())
            .stored_in(storage)?;
        let notary = Notary::new(published, KeyRing::clone(&ring), NotaryOptions::default());
        let service = service(&homeserver, notary, ring, &backoff, &store);
        let listener = Listener::bind(options.listen, ListenerOptions::with_tls(tls)).await;
        let listener = listener.map_err(|error| format!("{}: {error}", options.listen))?;
        let address = listener.local_addr();
        let health = Health::new();
        let dispatch = dispatch(service, &health, options.reflection);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            // Dropping the sender stops it as well.
            let stopped = async { drop(stopped.await) };
            listener.serve(dispatch, stopped).await;
        });
        Ok(Self {
            homeserver,
            client,
            select,
            key,
            address,
            health,
            store,
            stop,
            serving,
        })
    }

    /// Says to probes that no more calls are wanted, lets those in flight finish, and has what changed written.
    pub(crate) async fn drain(self) {
        self.health.set_serving(false).await;
        let _ = self.stop.send(());
        // A panic of the task has been printed.
        let _ = self.serving.await;
        if let Err(error) = self.homeserver.saved().await {
            eprintln!("comity serve: {error}");
        }
        // The store here waits for its writes if it is the last, which is not for a thread that others need.
        drop((self.homeserver, self.client, self.select));
        self.store.close().await;
    }
}

/// The way to other servers, by either binding.
struct Network {
    connector: Connector,
    discovery: Discovery,
    routes: Arc<Peers>,
    /// What every server speaks.
    https: Arc<dyn Transport>,
}

impl Network {
    fn new(options: &Options) -> Result<Self, Box<dyn Error>> {
        let mut guard = AddressGuard::default();
        for range in &options.allow_address {
            guard = guard
                .allow(range)
                .map_err(|error| format!("--allow-address {range}: {error}"))?;
        }
        let connector = connector(trust(options)?, guard);
        let discovery = Discovery::new(connector.clone(), DiscoveryOptions::default())?;
        let peers = options.peer.iter();
        let routes = Arc::new(Peers {
            written_down: peers
                .map(|peer| (peer.name.clone(), peer.connect_to.clone()))
                .collect(),
            discovery: discovery.clone(),
        });
        let pool = Pool::new(connector.clone(), PoolOptions::default());
        Ok(Self {
            https: Arc::new(HttpTransport::new(routes.clone(), pool)),
            connector,
            discovery,
            routes,
        })
    }

    /// Requests for keys are signed by nobody, and go by what every server speaks.
    fn key_fetcher(&self) -> Client {
        Client::layered(self.https.clone(), Clocks::layer(Side::Client))
    }

    /// gRPC where the other server's signed key document, or else its `.well-known`, offers it.
    fn select(&self, ring: &KeyRing) -> Select {
        let options = PoolOptions::default().with_protocol(Protocol::Http2);
        let pool = Pool::new(self.connector.clone(), options);
        // The pool is this server's alone.
        let grpc =
            GrpcTransport::new(self.routes.clone(), pool).with_sessions(SessionOptions::default());
        Select::new(
            self.https.clone(),
            vec![Arc::new(grpc)],
            vec![Arc::new(ring.clone()), Arc::new(self.discovery.clone())],
            SelectOptions::default(),
        )
    }
}

fn connector(tls: ClientTls, guard: AddressGuard) -> Connector {
    Connector::new(tls)
        .with_total_timeout(CONNECT)
        .with_guard(guard)
}

/// The system's certificate authorities, and those of the operator's files.
fn trust(options: &Options) -> Result<ClientTls, Box<dyn Error>> {
    if options.ca.is_empty() {
        return Ok(ClientTls::system()?);
    }
    let mut roots = Vec::new();
    for file in &options.ca {
        roots.extend(read(file)?);
    }
    ClientTls::system_with(&roots).map_err(|error| format!("--ca: {error}").into())
}

/// Where other servers are: as the operator wrote it down, or as their names lead.
#[derive(Debug)]
struct Peers {
    written_down: BTreeMap<ServerName, ConnectTo>,
    discovery: Discovery,
}

#[async_trait]
impl Resolve for Peers {
    async fn resolve(&self, destination: &ServerName) -> Result<Route, TransportError> {
        match self.written_down.get(destination) {
            Some(to) => self.discovery.resolve_at(destination, to).await,
            None => self.discovery.resolve(destination).await,
        }
    }

    /// Where a server's own document sends its calls counts less than what the operator wrote down.
    async fn resolve_at(
        &self,
        destination: &ServerName,
        to: &ConnectTo,
    ) -> Result<Route, TransportError> {
        let to = self.written_down.get(destination).unwrap_or(to);
        self.discovery.resolve_at(destination, to).await
    }
}

fn signing_client(
    name: &ServerName,
    key: &Arc<SigningKey>,
    backoff: &Backoff,
    select: Select,
) -> Client {
    Client::layered(
        Arc::new(select),
        ServiceBuilder::new()
            .layer(Trace::layer(Side::Client))
            .layer(backoff.layer())
            .layer(Clocks::layer(Side::Client))
            .layer(Fallback::layer(Fallbacks::federation()))
            .layer(Flow::layer(WAIT))
            .layer(Sign::layer(name.clone(), key.clone())),
    )
}

/// The homeserver, and the layers before it.
fn service(
    homeserver: &Homeserver,
    notary: Notary,
    ring: Arc<KeyRing>,
    backoff: &Backoff,
    store: &Store,
) -> CallService {
    let x_matrix = XMatrixAuthenticator::new(homeserver.name().clone(), ring);
    let authenticator = SessionAuthenticator::new(x_matrix);
    let homeserver = Arc::new(homeserver.clone());
    Router::new()
        .with(api::server(homeserver.clone()))
        .with(api::keys(Arc::new(notary)))
        .with(api::transactions(homeserver.clone()))
        .with(api::events(homeserver.clone()))
        .with(api::membership(homeserver.clone()))
        .with(api::rooms(homeserver.clone()))
        .with(api::queries(homeserver.clone()))
        .with(api::devices(homeserver.clone()))
        .with(api::media(homeserver.clone()))
        .layered(
            ServiceBuilder::new()
                .layer(Permits::layer(Side::Server, AT_ONCE, WAIT))
                .layer(Trace::layer(Side::Server))
                .layer(Clocks::layer(Side::Server))
                .layer(Verify::layer(Arc::new(authenticator)))
                .layer(backoff.arrivals())
                .layer(Acl::layer(homeserver))
                .layer(RunToEnd::layer(AT_ONCE))
                .layer(Idempotency::layer(store.answers())),
        )
}

/// Both bindings, and what is asked of gRPC beside them, on one port.
fn dispatch(service: CallService, health: &Health, with_reflection: bool) -> Dispatch {
    let operations = Operations::federation();
    let grpc = GrpcServer::new(
        operations.clone(),
        Codecs::federation(),
        service.clone(),
        GrpcServerOptions::default(),
    );
    let https = Dispatch::new(HttpServer::new(operations, service).boxed());
    // Strangers reach this port: nobody watches over it.
    let mut dispatch = https.with(Health::claims_check, health.service());
    if with_reflection {
        dispatch = dispatch.with(is_reflection, reflection());
    }
    dispatch.with(is_grpc, grpc.into_service())
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, time::Instant};

    use super::*;

    #[tokio::test]
    async fn connecting_ends_although_no_address_answers() {
        // Connections come about, and nothing is said over them.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let guard = AddressGuard::default().allow("127.0.0.0/8").unwrap();
        let connector = connector(ClientTls::danger_accept_any_certificate(), guard);
        let route = Route {
            addresses: vec![silent.local_addr().unwrap(); 2],
            host: "a.example".to_owned(),
            certificate_name: "a.example".to_owned(),
        };
        let begun = Instant::now();
        let connected = connector.connect(&route, Protocol::Http1).await;
        assert!(connected.is_err());
        assert!(begun.elapsed() < CONNECT * 2, "{:?}", begun.elapsed());
    }
}
