//! Two servers on loopback, each with its own key, behind each transport; and a client of the first for each.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    CallService, Client, Operations, Router, ServerName, api,
    auth::{
        KeyDocument, KeyRing, KeyRingOptions, Sign, SigningKey, Verify, XMatrixAuthenticator,
        now_ms,
    },
    call::{Call, Reply},
    endpoint::Content,
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    json::Object,
    layers::{Around, AroundLayer, Clocks, Flow, Inner, Permits, RunToEnd, Side, Trace, around},
    transport::{Capabilities, FixedRoutes, MemoryMode, MemoryTransport, Route, Transport},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, GrpcTransport, is_grpc};
use comity_http::{HttpServer, HttpTransport};
use comity_net::{
    AddressGuard, ClientTls, Connector, Counters, Dispatch, Listener, ListenerOptions, Pool,
    PoolOptions, Protocol, ServerTls,
};
use tokio::{sync::oneshot, task::JoinHandle};
use tower::ServiceBuilder;

use super::house::House;

/// How long a call waits for its turn, on either side.
const WAIT: Duration = Duration::from_secs(10);

/// Who a server is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) name: ServerName,
    pub(crate) key: Arc<SigningKey>,
}

impl Identity {
    pub(crate) fn new(name: &str) -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self {
            name: name.parse()?,
            key: Arc::new(SigningKey::generate("demo")?),
        })
    }

    /// The document that other servers fetch the verify key from; valid for a day.
    pub(crate) fn key_document(&self) -> Result<Object, Box<dyn std::error::Error>> {
        let document = KeyDocument::new(self.name.clone(), now_ms() + 24 * 3600 * 1000);
        let text = document.sign(&[&self.key])?;
        let limit = text.len();
        Ok(Object::parse(text, limit)?)
    }
}

/// One transport, as the joining server uses it.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) name: &'static str,
    /// Signs, and obeys clocks and flow.
    pub(crate) client: Client,
    /// Signs nothing: for credentials of one's own.
    pub(crate) bare: Client,
    /// Bytes on the wire; none in memory.
    pub(crate) counters: Option<Counters>,
}

/// Both servers, running.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) joining: Identity,
    pub(crate) resident: Identity,
    pub(crate) house: Arc<House>,
    pub(crate) witness: Arc<Witness>,
    pub(crate) wires: Vec<Wire>,
    stops: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Stage {
    /// Starts `joining` and `resident`, whose implementations are `guest` and `house`.
    pub(crate) async fn start(
        joining: Identity,
        resident: Identity,
        guest: House,
        house: House,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let authority = Authority::new()?;
        let witness = Arc::new(Witness::default());
        let house = Arc::new(house);
        let sides = [
            (
                joining.clone(),
                Arc::new(guest),
                Arc::new(Witness::default()),
            ),
            (resident.clone(), house.clone(), witness.clone()),
        ];
        let mut listeners = Vec::new();
        let mut routes = FixedRoutes::new();
        for (identity, ..) in &sides {
            let options = ListenerOptions {
                drain_timeout: Duration::from_secs(2),
                ..ListenerOptions::with_tls(authority.certificate(&identity.name)?)
            };
            let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0), options).await?;
            routes = routes.with(
                identity.name.clone(),
                route(&identity.name, listener.local_addr()),
            );
            listeners.push(listener);
        }
        let neighbourhood = Neighbourhood::default();
        let transports: [MakeTransport<'_>; 3] = [
            &|counters| http(&authority, &routes, counters),
            &|counters| grpc(&authority, &routes, counters),
            &|_| Ok(Arc::new(neighbourhood.clone())),
        ];
        let mut wires = Vec::new();
        for make in transports {
            let counters = Counters::new();
            let transport = make(counters.clone())?;
            wires.push(Wire {
                name: transport.name(),
                client: signing_client(&joining, transport.clone()),
                counters: (transport.name() != neighbourhood.name()).then_some(counters),
                bare: Client::new(transport),
            });
        }

        let mut stops = Vec::new();
        let mut neighbours = BTreeMap::new();
        for ((identity, house, witness), listener) in sides.into_iter().zip(listeners) {
            let behind = |transport: Arc<dyn Transport>| {
                service(&identity.name, house.clone(), witness.clone(), transport)
            };
            let http = behind(http(&authority, &routes, Counters::new())?);
            let grpc = behind(grpc(&authority, &routes, Counters::new())?);
            let memory = behind(Arc::new(neighbourhood.clone()));
            let operations = Operations::federation();
            neighbours.insert(
                identity.name.clone(),
                MemoryTransport::new(operations.clone(), memory, MemoryMode::ByValue),
            );
            let grpc = GrpcServer::new(
                operations.clone(),
                Codecs::federation(),
                grpc,
                GrpcServerOptions::default(),
            );
            let dispatch = Dispatch::new(HttpServer::new(operations, http).boxed())
                .with(is_grpc, grpc.into_service());
            let (stop, stopped) = oneshot::channel::<()>();
            let task = tokio::spawn(async move {
                listener
                    .serve(dispatch, async {
                        // Dropping the sender stops it as well.
                        let _ = stopped.await;
                    })
                    .await;
            });
            stops.push((stop, task));
        }
        neighbourhood.settle(neighbours);
        Ok(Self {
            joining,
            resident,
            house,
            witness,
            wires,
            stops,
        })
    }

    /// Closes the clients' connections, then the servers.
    pub(crate) async fn stop(self) {
        drop(self.wires);
        for (stop, task) in self.stops {
            let _ = stop.send(());
            let _ = task.await;
        }
    }
}

/// Makes a transport whose bytes are counted.
type MakeTransport<'a> =
    &'a dyn Fn(Counters) -> Result<Arc<dyn Transport>, Box<dyn std::error::Error>>;

fn http(
    authority: &Authority,
    routes: &FixedRoutes,
    counters: Counters,
) -> Result<Arc<dyn Transport>, Box<dyn std::error::Error>> {
    let pool = authority.pool(Protocol::Http1, counters)?;
    Ok(Arc::new(HttpTransport::new(Arc::new(routes.clone()), pool)))
}

fn grpc(
    authority: &Authority,
    routes: &FixedRoutes,
    counters: Counters,
) -> Result<Arc<dyn Transport>, Box<dyn std::error::Error>> {
    let pool = authority.pool(Protocol::Http2, counters)?;
    Ok(Arc::new(GrpcTransport::new(Arc::new(routes.clone()), pool)))
}

fn route(name: &ServerName, address: SocketAddr) -> Route {
    Route {
        addresses: vec![address],
        host: name.to_string(),
        certificate_name: name.host().to_owned(),
    }
}

fn signing_client(identity: &Identity, transport: Arc<dyn Transport>) -> Client {
    Client::layered(
        transport,
        ServiceBuilder::new()
            .layer(Trace::layer(Side::Client))
            .layer(Clocks::layer(Side::Client))
            .layer(Flow::layer(WAIT))
            .layer(Sign::layer(identity.name.clone(), identity.key.clone())),
    )
}

/// The house behind the layers of a server. Other servers' keys are fetched over the same transport as the calls come.
fn service(
    name: &ServerName,
    house: Arc<House>,
    witness: Arc<Witness>,
    transport: Arc<dyn Transport>,
) -> CallService {
    let fetcher = Client::layered(transport, Clocks::layer(Side::Client));
    let ring = Arc::new(KeyRing::new(fetcher, KeyRingOptions::default()));
    let verify = Verify::layer(Arc::new(XMatrixAuthenticator::new(name.clone(), ring)));
    Router::new()
        .with(api::server(house.clone()))
        .with(api::keys(house.clone()))
        .with(api::transactions(house.clone()))
        .with(api::events(house.clone()))
        .with(api::membership(house.clone()))
        .with(api::media(house))
        .layered(
            ServiceBuilder::new()
                .layer(Permits::layer(Side::Server, 256, WAIT))
                .layer(Trace::layer(Side::Server))
                .layer(Clocks::layer(Side::Server))
                .layer(verify)
                .layer(Witness::layer(witness))
                .layer(RunToEnd::layer(256)),
        )
}

/// A certificate authority of the demo's own making.
struct Authority {
    root: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Result<Self, rcgen::Error> {
        let mut params = rcgen::CertificateParams::new(Vec::new())?;
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate()?;
        let root = params.self_signed(&key)?.pem();
        Ok(Self {
            root,
            issuer: rcgen::Issuer::new(params, key),
        })
    }

    fn certificate(&self, name: &ServerName) -> Result<ServerTls, Box<dyn std::error::Error>> {
        let key = rcgen::KeyPair::generate()?;
        let params = rcgen::CertificateParams::new(vec![name.host().to_owned()])?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(ServerTls::from_pem(
            certificate.pem().as_bytes(),
            key.serialize_pem().as_bytes(),
        )?)
    }

    fn pool(
        &self,
        protocol: Protocol,
        counters: Counters,
    ) -> Result<Pool, Box<dyn std::error::Error>> {
        let connector = Connector::new(ClientTls::from_pem(self.root.as_bytes())?)
            .with_guard(AddressGuard::default().allow_loopback())
            .with_counters(counters);
        Ok(Pool::new(
            connector,
            PoolOptions::default().with_protocol(protocol),
        ))
    }
}

/// Memory transports by server name. Filled when all servers stand, as each needs one to fetch the others' keys.
#[derive(Clone, Debug, Default)]
struct Neighbourhood(Arc<OnceLock<BTreeMap<ServerName, MemoryTransport>>>);

impl Neighbourhood {
    fn settle(&self, neighbours: BTreeMap<ServerName, MemoryTransport>) {
        self.0.get_or_init(|| neighbours);
    }
}

#[async_trait]
impl Transport for Neighbourhood {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE.streaming().multiplexed().cancellation()
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        let destination = call.context().destination.as_ref();
        let neighbour = destination.and_then(|name| self.0.get()?.get(name));
        match neighbour {
            Some(neighbour) => neighbour.send(call).await,
            None => Err(TransportError::new(
                TransportErrorKind::Resolve,
                Delivery::NotSent,
                "no such server in this process",
            )
            .into()),
        }
    }
}

/// Notes what a call looked like behind verification: what was signed, by whom, over what.
#[derive(Debug, Default)]
pub(crate) struct Witness(Mutex<Option<Seen>>);

/// A call as a receiver saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) operation: &'static str,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) content: Option<Bytes>,
    pub(crate) credentials: Vec<String>,
    pub(crate) origin: Option<ServerName>,
    pub(crate) destination: Option<ServerName>,
}

impl Witness {
    fn layer(witness: Arc<Self>) -> AroundLayer<Noting> {
        around(Noting(witness))
    }

    /// The last call, taken out.
    pub(crate) fn take(&self) -> Option<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// See [`Witness`].
#[derive(Debug)]
struct Noting(Arc<Witness>);

impl Around for Noting {
    async fn around<S: Inner>(
        self: Arc<Self>,
        call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let seen = seen(&call);
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        inner.call(call).await
    }
}

/// What a receiver should see of a call, or sees.
pub(crate) fn seen(call: &Call) -> Seen {
    let form = call.form();
    let context = call.context();
    Seen {
        operation: call.spec().name,
        method: form.map_or_else(String::new, |form| form.method().to_owned()),
        target: form.map_or_else(String::new, |form| form.target().to_owned()),
        content: form.and_then(|form| match form.content() {
            Content::Absent => None,
            Content::Json(object) => Some(object.text().clone()),
            Content::Opaque { bytes, .. } => Some(bytes.clone()),
        }),
        credentials: context.credentials.iter().map(str::to_owned).collect(),
        origin: context.origin().cloned(),
        destination: context.destination.clone(),
    }
}
