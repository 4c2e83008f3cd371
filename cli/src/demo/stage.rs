//! Two servers on loopback, each with its own key, behind one transport; and clients of each.

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
        KeyDocument, KeyRing, KeyRingOptions, KeySource, Sign, SigningKey, Verify, XMatrixAuthenticator,
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

/// The transports that are shown, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Http,
    Grpc,
    Memory,
}

impl Wire {
    pub(crate) const ALL: [Self; 3] = [Self::Http, Self::Grpc, Self::Memory];
}

/// What stands behind the transports: every group of the API.
pub(crate) trait Homeserver:
    api::Server + api::Keys + api::Transactions + api::Events + api::Membership + api::Queries + api::Devices + api::Media
{
}

impl<H> Homeserver for H where
    H: api::Server + api::Keys + api::Transactions + api::Events + api::Membership + api::Queries + api::Devices + api::Media
{
}

/// One server, and how it calls others.
#[derive(Debug)]
pub(crate) struct Actor<H> {
    pub(crate) identity: Identity,
    pub(crate) house: Arc<H>,
    /// Signs, and obeys clocks and flow.
    pub(crate) client: Client,
    /// Signs nothing: for credentials of one's own.
    pub(crate) bare: Client,
    /// Bytes on the wire of what it calls; none in memory.
    pub(crate) counters: Option<Counters>,
    pub(crate) witness: Arc<Witness>,
}

impl<H> Actor<H> {
    pub(crate) fn name(&self) -> &ServerName {
        &self.identity.name
    }

    /// Bytes sent and received so far.
    pub(crate) fn counted(&self) -> (u64, u64) {
        let counters = self.counters.as_ref();
        counters.map_or((0, 0), |counters| (counters.sent(), counters.received()))
    }
}

/// Both servers, running, behind one transport.
#[derive(Debug)]
pub(crate) struct Stage<H> {
    /// The transport's name.
    pub(crate) wire: &'static str,
    pub(crate) joining: Actor<H>,
    pub(crate) resident: Actor<H>,
    stops: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl<H: Homeserver> Stage<H> {
    /// Starts both. `open` makes what stands behind a server, given where the keys of others come from.
    pub(crate) async fn start(
        wire: Wire,
        joining: &Identity,
        resident: &Identity,
        mut open: impl FnMut(&Identity, Arc<dyn KeySource>) -> Result<Arc<H>, Box<dyn std::error::Error>>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let authority = Authority::new()?;
        let mut listeners = Vec::new();
        let mut routes = FixedRoutes::new();
        for identity in [joining, resident] {
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
        let transport = |counters: Counters| -> Result<Arc<dyn Transport>, Box<dyn std::error::Error>> {
            Ok(match wire {
                Wire::Http => http(&authority, &routes, counters)?,
                Wire::Grpc => grpc(&authority, &routes, counters)?,
                Wire::Memory => Arc::new(neighbourhood.clone()),
            })
        };
        let mut name = "";
        let mut stops = Vec::new();
        let mut neighbours = BTreeMap::new();
        let mut actors = Vec::new();
        for (identity, listener) in [joining, resident].into_iter().zip(listeners) {
            // Keys are fetched over the same transport, and not counted with the calls.
            let fetcher = Client::layered(transport(Counters::new())?, Clocks::layer(Side::Client));
            let ring = Arc::new(KeyRing::new(fetcher, KeyRingOptions::default()));
            let counters = Counters::new();
            let own = transport(counters.clone())?;
            name = own.name();
            let actor = Actor {
                identity: identity.clone(),
                house: open(identity, ring.clone())?,
                client: signing_client(identity, own.clone()),
                bare: Client::new(own),
                counters: (wire != Wire::Memory).then_some(counters),
                witness: Arc::default(),
            };
            let service = service(&actor, ring);
            let operations = Operations::federation();
            neighbours.insert(
                identity.name.clone(),
                MemoryTransport::new(operations.clone(), service.clone(), MemoryMode::ByValue),
            );
            let grpc = GrpcServer::new(
                operations.clone(),
                Codecs::federation(),
                service.clone(),
                GrpcServerOptions::default(),
            );
            let dispatch = Dispatch::new(HttpServer::new(operations, service).boxed())
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
            actors.push(actor);
        }
        neighbourhood.settle(neighbours);
        let mut actors = actors.into_iter();
        let mut next = || actors.next().expect("there are two");
        Ok(Self {
            wire: name,
            joining: next(),
            resident: next(),
            stops,
        })
    }

    /// Closes the clients' connections, then the servers.
    pub(crate) async fn stop(self) {
        drop((self.joining, self.resident));
        for (stop, task) in self.stops {
            let _ = stop.send(());
            let _ = task.await;
        }
    }
}

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

/// What stands behind a server, with the layers before it.
fn service<H: Homeserver>(actor: &Actor<H>, ring: Arc<KeyRing>) -> CallService {
    let authenticator = XMatrixAuthenticator::new(actor.name().clone(), ring);
    let house = &actor.house;
    Router::new()
        .with(api::server(house.clone()))
        .with(api::keys(house.clone()))
        .with(api::transactions(house.clone()))
        .with(api::events(house.clone()))
        .with(api::membership(house.clone()))
        .with(api::queries(house.clone()))
        .with(api::devices(house.clone()))
        .with(api::media(house.clone()))
        .layered(
            ServiceBuilder::new()
                .layer(Permits::layer(Side::Server, 256, WAIT))
                .layer(Trace::layer(Side::Server))
                .layer(Clocks::layer(Side::Server))
                .layer(Verify::layer(Arc::new(authenticator)))
                .layer(Witness::layer(actor.witness.clone()))
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
