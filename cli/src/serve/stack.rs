//! The server as others see it, and how it calls them.

use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};

use comity_core::{
    CallService, Client, Operations, Router, ServerName, api,
    auth::{
        KeyDocument, KeyRing, KeyRingOptions, ServerKeys, Sign, SigningKey, Verify,
        XMatrixAuthenticator,
    },
    layers::{Acl, Clocks, Fallback, Fallbacks, Flow, Permits, RunToEnd, Side, Trace},
    transport::{FixedRoutes, Route, Transport},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, is_grpc};
use comity_homeserver::{Homeserver, Storage};
use comity_http::{HttpServer, HttpTransport};
use comity_net::{
    AddressGuard, ClientTls, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions,
    ServerTls,
};
use tokio::{sync::oneshot, task::JoinHandle};
use tower::ServiceBuilder;

use super::{Options, read};

/// How long a call waits for its turn, on either side.
const WAIT: Duration = Duration::from_secs(10);

/// Calls that are served at once, and as many that run to their end although their caller has gone.
const AT_ONCE: usize = 256;

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) homeserver: Homeserver,
    /// Signs as the server.
    pub(crate) client: Client,
    pub(crate) key: Arc<SigningKey>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Stack {
    pub(crate) async fn start(options: &Options) -> Result<Self, Box<dyn Error>> {
        let name = &options.name;
        let storage = Storage::open(&options.data, name)?;
        let key = storage.signing_key();
        let tls = ServerTls::from_pem(&read(&options.certificate)?, &read(&options.key)?)?;
        let transport = transport(options)?;
        let ring = Arc::new(key_ring(name, &key, transport.clone())?);
        let client = signing_client(name, &key, transport);
        let homeserver = Homeserver::new(name.clone(), key.clone(), client.clone(), ring.clone())
            .stored_in(storage)?;
        let listener = Listener::bind(options.listen, ListenerOptions::with_tls(tls)).await;
        let listener = listener.map_err(|error| format!("{}: {error}", options.listen))?;
        let address = listener.local_addr();
        let dispatch = dispatch(service(&homeserver, ring));
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            // Dropping the sender stops it as well.
            let stopped = async { drop(stopped.await) };
            listener.serve(dispatch, stopped).await;
        });
        Ok(Self {
            homeserver,
            client,
            key,
            address,
            stop,
            serving,
        })
    }

    /// Lets calls in flight finish, and has what changed written.
    pub(crate) async fn drain(self) {
        let _ = self.stop.send(());
        // A panic of the task has been printed.
        let _ = self.serving.await;
        if let Err(error) = self.homeserver.saved().await {
            eprintln!("comity serve: {error}");
        }
    }
}

/// How it calls others.
fn transport(options: &Options) -> Result<Arc<dyn Transport>, Box<dyn Error>> {
    let mut roots = Vec::new();
    for file in &options.ca {
        roots.extend(read(file)?);
    }
    let mut guard = AddressGuard::default();
    for range in &options.allow_address {
        guard = guard
            .allow(range)
            .map_err(|error| format!("--allow-address {range}: {error}"))?;
    }
    let connector = Connector::new(ClientTls::from_pem(&roots)?).with_guard(guard);
    let mut routes = FixedRoutes::new();
    for peer in &options.peer {
        let address = peer.connect_to.address();
        let route = Route {
            addresses: address.into_iter().collect(),
            host: peer.name.to_string(),
            certificate_name: peer.name.host().to_owned(),
        };
        routes = routes.with(peer.name.clone(), route);
    }
    let pool = Pool::new(connector, PoolOptions::default());
    Ok(Arc::new(HttpTransport::new(Arc::new(routes), pool)))
}

/// The keys of all servers: fetched, but for its own.
fn key_ring(
    name: &ServerName,
    key: &SigningKey,
    transport: Arc<dyn Transport>,
) -> Result<KeyRing, Box<dyn Error>> {
    let fetcher = Client::layered(transport, Clocks::layer(Side::Client));
    // Shown to nobody: for itself the key is valid as long as it has it.
    let own = KeyDocument::new(name.clone(), i64::MAX >> 10).sign(&[key])?;
    Ok(KeyRing::new(fetcher, KeyRingOptions::default()).with_pinned(ServerKeys::parse(own)?))
}

fn signing_client(
    name: &ServerName,
    key: &Arc<SigningKey>,
    transport: Arc<dyn Transport>,
) -> Client {
    Client::layered(
        transport,
        ServiceBuilder::new()
            .layer(Trace::layer(Side::Client))
            .layer(Clocks::layer(Side::Client))
            .layer(Fallback::layer(Fallbacks::federation()))
            .layer(Flow::layer(WAIT))
            .layer(Sign::layer(name.clone(), key.clone())),
    )
}

/// The homeserver, and the layers before it.
fn service(homeserver: &Homeserver, ring: Arc<KeyRing>) -> CallService {
    let authenticator = XMatrixAuthenticator::new(homeserver.name().clone(), ring);
    let homeserver = Arc::new(homeserver.clone());
    Router::new()
        .with(api::server(homeserver.clone()))
        .with(api::keys(homeserver.clone()))
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
                .layer(Acl::layer(homeserver))
                .layer(RunToEnd::layer(AT_ONCE)),
        )
}

/// Both bindings, on one port.
fn dispatch(service: CallService) -> Dispatch {
    let operations = Operations::federation();
    let grpc = GrpcServer::new(
        operations.clone(),
        Codecs::federation(),
        service.clone(),
        GrpcServerOptions::default(),
    );
    Dispatch::new(HttpServer::new(operations, service).boxed()).with(is_grpc, grpc.into_service())
}
