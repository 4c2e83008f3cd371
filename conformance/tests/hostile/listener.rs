//! What the inputs are thrown at: both bindings on one port, TLS, HTTP/1.1 and HTTP/2, before a service that looks at everything it is given.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use comity_core::{
    CallService, Client, Operations, ServerName,
    api::{Calls, GetVersion},
    auth::{KeyFault, KeyId, KeySource, SigningKey, Verify, VerifyKey, XMatrixAuthenticator},
    call::{Blob, BlobSource, Body, Call, EventStream, Message, Part, Reply, ReplyShape},
    error::CallError,
    json::Object,
    layers::{Clocks, Permits, RunToEnd, Side, Trace},
    transport::{FixedRoutes, Route, Transport},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, GrpcTransport, is_grpc};
use comity_http::{HttpServer, HttpServerOptions, HttpTransport};
use comity_net::{
    AddressGuard, ClientTls, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions,
    Protocol, ServerTls,
};
use futures_util::{StreamExt, stream};
use tokio::runtime::Builder;
use tower::{Layer, service_fn, util::BoxCloneSyncService};

pub(crate) const NAME: &str = "matrix.test";

/// Longer than anything may take here: every clock of the listener is below, also where the machine has other work.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a peer may take for a head, for a body, and to say nothing.
const SHORT: Duration = Duration::from_millis(800);

/// What a peer may take for its handshake. The good ones make many at once.
const HANDSHAKE: Duration = Duration::from_secs(4);

/// Panics in whatever task of either side. A test's own, when it fails, is not among them.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Name of the threads that run tasks.
const WORKER: &str = "hostile-worker";

/// Runs a test, and fails if anything panicked meanwhile, also where nobody would have noticed.
pub(crate) fn run(test: impl AsyncFnOnce(&Serving)) {
    static HOOKED: OnceLock<()> = OnceLock::new();
    HOOKED.get_or_init(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some(WORKER) {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            report(info);
        }));
    });
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(WORKER)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let serving = Serving::start().await;
        test(&serving).await;
        serving.assert_serves().await;
    });
    assert_eq!(
        PANICS.load(Ordering::SeqCst),
        0,
        "a task panicked: see above"
    );
}

/// Both bindings on one port.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    root: String,
}

impl Serving {
    async fn start() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![NAME.to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let (root, key) = (certificate.pem(), key.serialize_pem());
        let options = ListenerOptions {
            header_timeout: SHORT,
            handshake_timeout: HANDSHAKE,
            idle_timeout: SHORT,
            write_timeout: SHORT,
            ..ListenerOptions::with_tls(
                ServerTls::from_pem(root.as_bytes(), key.as_bytes()).unwrap(),
            )
        };
        let listener = Listener::bind(("127.0.0.1", 0), options).await.unwrap();
        let address = listener.local_addr();
        tokio::spawn(listener.serve(dispatch(), std::future::pending()));
        Self { address, root }
    }

    pub(crate) fn connector(&self) -> Connector {
        let tls = ClientTls::from_pem(self.root.as_bytes()).unwrap();
        Connector::new(tls).with_guard(AddressGuard::default().allow_loopback())
    }

    pub(crate) fn route(&self) -> Route {
        Route {
            addresses: vec![self.address],
            host: NAME.to_owned(),
            certificate_name: NAME.to_owned(),
        }
    }

    /// The next good call is served, over either binding and each version of HTTP.
    pub(crate) async fn assert_serves(&self) {
        let destination: ServerName = NAME.parse().unwrap();
        let routes = || Arc::new(FixedRoutes::new().with(destination.clone(), self.route()));
        let pool = |protocol| {
            Pool::new(
                self.connector(),
                PoolOptions::default().with_protocol(protocol),
            )
        };
        let transports: [Arc<dyn Transport>; 3] = [
            Arc::new(HttpTransport::new(routes(), pool(Protocol::Http1))),
            Arc::new(HttpTransport::new(routes(), pool(Protocol::Http2))),
            Arc::new(GrpcTransport::new(routes(), pool(Protocol::Http2))),
        ];
        for transport in transports {
            let client = Client::new(transport.clone());
            let call = client.get_version(&destination, GetVersion::default());
            let reply = tokio::time::timeout(PATIENCE, call).await;
            reply
                .expect("in time")
                .unwrap_or_else(|why| panic!("{transport:?}: {why}"));
        }
    }
}

/// HTTP's path and gRPC's before the same handlers. What begins with `/verified` has to prove its origin as well; who throws nonsense proves nothing, so that
/// the others stand open and the inputs reach the handler.
fn dispatch() -> Dispatch {
    let http = |service| {
        let options = HttpServerOptions {
            body_idle: SHORT,
            body_total: 2 * SHORT,
            ..HttpServerOptions::default()
        };
        HttpServer::with_options(operations(), service, options)
    };
    let options = GrpcServerOptions::default().with_read_timeout(SHORT);
    let grpc = GrpcServer::new(operations(), Codecs::federation(), open(), options.clone());
    let proven = GrpcServer::new(operations(), Codecs::federation(), verified(), options)
        .with_screen(authenticator());
    let wants_proof = |head: &http::request::Parts| head.headers.contains_key(VERIFIED);
    Dispatch::new(http(open()).boxed())
        .with(
            move |head| is_grpc(head) && wants_proof(head),
            proven.into_service(),
        )
        .with(is_grpc, grpc.into_service())
        .with(
            wants_proof,
            http(verified()).with_screen(authenticator()).boxed(),
        )
}

/// A header that asks for the service that verifies.
pub(crate) const VERIFIED: &str = "x-test-verified";

fn operations() -> Operations {
    Operations::federation().with_unregistered()
}

fn open() -> CallService {
    let layers = (
        Permits::layer(Side::Server, 256, Duration::from_secs(5)),
        Trace::layer(Side::Server),
        Clocks::layer(Side::Server),
        RunToEnd::layer(256),
    );
    BoxCloneSyncService::new(layers.layer(service_fn(answer)))
}

fn verified() -> CallService {
    BoxCloneSyncService::new(Verify::layer(authenticator()).layer(open()))
}

fn authenticator() -> Arc<XMatrixAuthenticator> {
    let name = NAME.parse().unwrap();
    Arc::new(XMatrixAuthenticator::new(name, Arc::new(OneKey)))
}

/// Every server has the same key.
#[derive(Debug)]
struct OneKey;

#[async_trait]
impl KeySource for OneKey {
    async fn request_key(&self, _: &ServerName, _: &KeyId) -> Result<VerifyKey, KeyFault> {
        Ok(SigningKey::from_seed("1", &[1; 32]).unwrap().verify_key())
    }
}

/// Writes the request anew and prints it, as a gateway and a log would, and gives it back in the operation's shape.
async fn answer(call: Call) -> Result<Reply, CallError> {
    let again = call.request().write()?;
    let _ = format!("{call:?} {again:?} {:?}", call.duplicate());
    let content = again.content().object();
    let content = content.map_or_else(Object::empty, |object| object.into_owned());
    Ok(match call.spec().reply {
        ReplyShape::Message => Reply::Message(Message::from_content(content)),
        ReplyShape::Events { arrays } => {
            let member = content
                .members()
                .find(|(name, _)| !arrays.contains(&&**name));
            let member = member.map(|(name, value)| Part::Member {
                name: name.into_owned(),
                value,
            });
            let parts = arrays.iter().map(|array| Part::Array(array)).chain(member);
            Reply::Events(EventStream {
                parts: stream::iter(parts.map(Ok).collect::<Vec<_>>()).boxed(),
            })
        }
        ReplyShape::Blob => Reply::Blob(Blob {
            metadata: content,
            source: BlobSource::Here {
                content_type: None,
                content_disposition: None,
            },
            bytes: stream::empty().boxed(),
        }),
        ReplyShape::Body => Reply::Body(Body::new(None, content.text().clone())),
    })
}
