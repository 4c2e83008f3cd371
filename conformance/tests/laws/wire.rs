//! Clients and servers of every binding, on loopback and in memory, each with the layers of a real one.
//!
//! A [`Wire`] leads to a server of its own, whose key ring fetches the callers' keys over the very binding under test.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use comity_conformance::{Failure, Outcome, ReplySample};
use comity_core::{
    CallService, Client, Operations, Router, ServerName,
    api::{GetServerKeys, GetServerKeysReply, Keys, keys},
    auth::{KeyRing, KeyRingOptions, ServerKeys, Sign, Verify, XMatrixAuthenticator, now_ms},
    call::{Call, CallContext, Reply},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
    json::Object,
    layers::{Clocks, Flow, Permits, RunToEnd, Side, Trace},
    transport::{Capabilities, FixedRoutes, MemoryMode, MemoryTransport, Route, Transport},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, GrpcTransport, is_grpc};
use comity_http::{HttpServer, HttpTransport};
use comity_net::{
    AddressGuard, ClientTls, Connector, Dispatch, HttpService, Listener, ListenerOptions, Pool,
    PoolOptions, Protocol, ServerTls,
};
use tokio::sync::Mutex;
use tower::{Layer, service_fn, util::BoxCloneSyncService};

use crate::{
    credentials::{DESTINATION, EXPIRED, ORIGIN, key, name},
    recorder::{Answer, Recorder, Seen},
};

/// Longest time that one exchange may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name that certificates are for.
const CERTIFICATE_NAME: &str = "comity.test";

/// A way to the recorder.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) name: String,
    /// Whether the server reads the request from what was sent; by value it does not.
    pub(crate) reads: bool,
    /// Whether the destination travels beside the request. On HTTP it does so in a credential only.
    pub(crate) names_destination: bool,
    /// Whether a typed message travels beside the target that was signed.
    pub(crate) typed: bool,
    /// Whether the body of an error travels only if it is small.
    pub(crate) bounds_error_bodies: bool,
    /// Whether there is a gateway on the way.
    pub(crate) relayed: bool,
    recorder: Recorder,
    signing: Client,
    bare: Client,
    turn: Mutex<()>,
}

/// What one call came to.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// What the handler saw: no call or one.
    pub(crate) seen: Option<Seen>,
    /// What the caller got.
    pub(crate) outcome: Outcome,
    /// What a streamed reply broke off with.
    pub(crate) broken: Option<Failure>,
}

impl Wire {
    /// Sends a call, signed unless it carries credentials, and reads its reply to the end.
    pub(crate) async fn exchange(&self, call: Call, answer: Answer) -> Exchange {
        self.send(&self.signing, call, answer).await
    }

    /// The same with what credentials the call has, if any.
    pub(crate) async fn exchange_as_is(&self, call: Call, answer: Answer) -> Exchange {
        self.send(&self.bare, call, answer).await
    }

    async fn send(&self, client: &Client, call: Call, answer: Answer) -> Exchange {
        let _turn = self.turn.lock().await;
        self.recorder.prepare(answer);
        let reply = async {
            match client.send(call).await {
                Ok(reply) => {
                    let (reply, broken) = ReplySample::read(reply).await;
                    (Ok(reply), broken.as_ref().map(Failure::from))
                }
                Err(error) => (Err(Failure::from(&error)), None),
            }
        };
        let (outcome, broken) = tokio::time::timeout(PATIENCE, reply)
            .await
            .unwrap_or_else(|_| panic!("no reply over {} within {PATIENCE:?}", self.name));
        let mut seen = self.recorder.seen();
        assert!(seen.len() < 2, "{} repeated a call: {seen:?}", self.name);
        Exchange {
            seen: seen.pop(),
            outcome,
            broken,
        }
    }

    /// A client that signs and takes turns with nobody: for one that is used alone.
    pub(crate) fn client(&self, answer: Answer) -> &Client {
        self.recorder.prepare(answer);
        &self.signing
    }
}

/// A wire protocol of this workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binding {
    Http1,
    Http2,
    Grpc,
    /// gRPC to a client that knows no typed message.
    GrpcInvoke,
}

/// Every way from a caller to a handler: each binding, each kind of memory, and through gateways.
pub(crate) async fn wires() -> Vec<Wire> {
    wires_of(Operations::federation()).await
}

/// The same where every server and gateway takes in these operations.
pub(crate) async fn wires_of(operations: Operations) -> Vec<Wire> {
    let authority = Authority::new(operations);
    let callers = [
        (ORIGIN, now_ms() + 24 * 3600 * 1000),
        (EXPIRED, now_ms() - 1000),
    ]
    .map(|(name, valid_until)| KeyServer::new(name, valid_until));
    let mut addresses = HashMap::new();
    for caller in &callers {
        let address = authority.serve(caller.service()).await;
        addresses.insert(caller.name.clone(), address);
    }
    let mut wires = vec![
        memory(MemoryMode::ByValue, &authority.operations, &callers),
        memory(MemoryMode::ThroughCodec, &authority.operations, &callers),
    ];
    for hops in [
        &[Binding::Http1][..],
        &[Binding::Http2],
        &[Binding::Grpc],
        &[Binding::GrpcInvoke],
        &[Binding::Http1, Binding::Grpc, Binding::Http1],
        &[Binding::Grpc, Binding::Http2, Binding::GrpcInvoke],
    ] {
        wires.push(network(hops, &authority, &addresses).await);
    }
    wires
}

/// A client of gRPC that is led to any HTTP service.
pub(crate) async fn grpc_to(service: HttpService) -> Client {
    let authority = Authority::new(Operations::federation());
    let address = authority.listen(Dispatch::new(service)).await;
    let servers = HashMap::from([(name(DESTINATION), address)]);
    Client::new(authority.transport(Binding::Grpc, servers))
}

/// A wire over sockets. Between two hops stands a gateway, which holds no key.
async fn network(
    hops: &[Binding],
    authority: &Authority,
    callers: &HashMap<ServerName, SocketAddr>,
) -> Wire {
    let destination = name(DESTINATION);
    let last = *hops.last().unwrap();
    let recorder = Recorder::default();
    let fetch = Client::new(authority.transport(last, callers.clone()));
    let mut address = authority.serve(server(&recorder, fetch)).await;
    let mut transport = None;
    for (place, hop) in hops.iter().enumerate().rev() {
        let next = authority.transport(*hop, HashMap::from([(destination.clone(), address)]));
        if place == 0 {
            transport = Some(next);
        } else {
            address = authority.serve(gateway(next, destination.clone())).await;
        }
    }
    let names: Vec<_> = hops.iter().map(|hop| format!("{hop:?}")).collect();
    let names_destination = matches!(last, Binding::Grpc | Binding::GrpcInvoke);
    Wire {
        typed: *hops == [Binding::Grpc],
        relayed: hops.len() > 1,
        bounds_error_bodies: hops
            .iter()
            .any(|hop| matches!(hop, Binding::Grpc | Binding::GrpcInvoke)),
        ..wire(
            names.join("-"),
            transport.unwrap(),
            recorder,
            true,
            names_destination,
        )
    }
}

fn memory(mode: MemoryMode, operations: &Operations, callers: &[KeyServer]) -> Wire {
    let to = |service| MemoryTransport::new(operations.clone(), service, mode);
    let callers = callers
        .iter()
        .map(|caller| (caller.name.clone(), to(caller.service())))
        .collect();
    let recorder = Recorder::default();
    let fetch = Client::new(Arc::new(Switchboard(callers)));
    let transport = Arc::new(to(server(&recorder, fetch)));
    let reads = mode == MemoryMode::ThroughCodec;
    wire(format!("{mode:?}"), transport, recorder, reads, true)
}

fn wire(
    name: String,
    transport: Arc<dyn Transport>,
    recorder: Recorder,
    reads: bool,
    names_destination: bool,
) -> Wire {
    let layers = || {
        (
            Trace::layer(Side::Client),
            Clocks::layer(Side::Client),
            Flow::layer(Duration::from_secs(10)),
        )
    };
    let sign = Sign::layer(crate::credentials::name(ORIGIN), key());
    Wire {
        name,
        reads,
        names_destination,
        typed: false,
        bounds_error_bodies: false,
        relayed: false,
        recorder,
        signing: Client::layered(transport.clone(), (layers(), sign)),
        bare: Client::layered(transport, layers()),
        turn: Mutex::new(()),
    }
}

/// The recorder behind the layers of a server.
fn server(recorder: &Recorder, fetch: Client) -> CallService {
    let ring = KeyRing::new(fetch, KeyRingOptions::default());
    let authenticator = XMatrixAuthenticator::new(name(DESTINATION), Arc::new(ring));
    let layers = (
        Permits::layer(Side::Server, 64, Duration::from_secs(10)),
        Trace::layer(Side::Server),
        Clocks::layer(Side::Server),
        Verify::layer(Arc::new(authenticator)),
        RunToEnd::layer(64),
    );
    BoxCloneSyncService::new(layers.layer(recorder.clone()))
}

/// Passes calls on as they are.
fn gateway(next: Arc<dyn Transport>, destination: ServerName) -> CallService {
    BoxCloneSyncService::new(service_fn(move |mut call: Call| {
        let next = next.clone();
        call.context_mut().destination = Some(destination.clone());
        async move { next.send(call).await }
    }))
}

/// A server that gives its keys and nothing else.
#[derive(Debug)]
struct KeyServer {
    name: ServerName,
    document: Object,
}

impl KeyServer {
    fn new(server: &str, valid_until_ts: i64) -> Self {
        let name = name(server);
        let document =
            ServerKeys::sign_document(&key(), &name, valid_until_ts, &Default::default()).unwrap();
        Self {
            name,
            document: Object::parse(document, usize::MAX).unwrap(),
        }
    }

    fn service(&self) -> CallService {
        let own = OwnKeys(self.document.clone());
        BoxCloneSyncService::new(Router::new().with(keys(Arc::new(own))))
    }
}

struct OwnKeys(Object);

#[async_trait]
impl Keys for OwnKeys {
    async fn get_server_keys(
        &self,
        _: &CallContext,
        _: GetServerKeys,
    ) -> Result<GetServerKeysReply, FederationError> {
        Ok(GetServerKeysReply {
            document: self.0.clone(),
        })
    }
}

/// Several servers in memory.
#[derive(Debug)]
struct Switchboard(HashMap<ServerName, MemoryTransport>);

#[async_trait]
impl Transport for Switchboard {
    fn name(&self) -> &'static str {
        "switchboard"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        let destination = call.context().destination.clone().unwrap();
        match self.0.get(&destination) {
            Some(server) => server.send(call).await,
            // As `FixedRoutes` says it.
            None => Err(TransportError::new(
                TransportErrorKind::Resolve,
                Delivery::NotSent,
                format!("no route to {destination} is configured"),
            )
            .into()),
        }
    }
}

/// A certificate authority, and what it lets be set up.
struct Authority {
    operations: Operations,
    root: String,
    chain: String,
    key: String,
}

impl Authority {
    fn new(operations: Operations) -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root_key = rcgen::KeyPair::generate().unwrap();
        let root = params.self_signed(&root_key).unwrap();
        let issuer = rcgen::Issuer::from_params(&params, &root_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new([CERTIFICATE_NAME.to_owned()])
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        Self {
            operations,
            root: root.pem(),
            chain: leaf.pem(),
            key: key.serialize_pem(),
        }
    }

    /// Serves every binding on one port.
    async fn serve(&self, service: CallService) -> SocketAddr {
        let operations = self.operations.clone();
        let http = HttpServer::new(operations.clone(), service.clone());
        let codecs = Codecs::federation();
        let grpc = GrpcServer::new(operations, codecs, service, GrpcServerOptions::default());
        let dispatch = Dispatch::new(http.boxed()).with(is_grpc, grpc.into_service());
        self.listen(dispatch).await
    }

    async fn listen(&self, dispatch: Dispatch) -> SocketAddr {
        let tls = ServerTls::from_pem(self.chain.as_bytes(), self.key.as_bytes()).unwrap();
        let options = ListenerOptions::with_tls(tls);
        let listener = Listener::bind(("127.0.0.1", 0), options).await.unwrap();
        let address = listener.local_addr();
        tokio::spawn(listener.serve(dispatch, std::future::pending()));
        address
    }

    fn transport(
        &self,
        binding: Binding,
        servers: HashMap<ServerName, SocketAddr>,
    ) -> Arc<dyn Transport> {
        let routes = servers
            .into_iter()
            .fold(FixedRoutes::new(), |routes, (server, address)| {
                let route = Route {
                    addresses: vec![address],
                    host: server.to_string(),
                    certificate_name: CERTIFICATE_NAME.to_owned(),
                };
                routes.with(server, route)
            });
        let routes = Arc::new(routes);
        let pool = |protocol| {
            let tls = ClientTls::from_pem(self.root.as_bytes()).unwrap();
            let guard = AddressGuard::default().allow_loopback();
            Pool::new(
                Connector::new(tls).with_guard(guard),
                PoolOptions::default().with_protocol(protocol),
            )
        };
        match binding {
            Binding::Http1 => Arc::new(HttpTransport::new(routes, pool(Protocol::Http1))),
            Binding::Http2 => Arc::new(HttpTransport::new(routes, pool(Protocol::Http2))),
            Binding::Grpc => Arc::new(GrpcTransport::new(routes, pool(Protocol::Http2))),
            Binding::GrpcInvoke => Arc::new(
                GrpcTransport::new(routes, pool(Protocol::Http2)).with_codecs(Codecs::none()),
            ),
        }
    }
}
