//! What the tests share: a certificate authority, routes, listeners, peers that misbehave.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use comity_core::error::TransportError;
use comity_core::transport::Route;
use comity_net::{
    AddressGuard, Body, ClientTls, Connector, Dispatch, Drained, HttpService, Listener,
    ListenerOptions, Pool, PoolOptions, Protocol, ServerTls, body,
};
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A certificate authority with a certificate for `matrix.test`, `127.0.0.1` and `::1`.
pub(crate) struct Authority {
    root: String,
    chain: String,
    key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root_key = rcgen::KeyPair::generate().unwrap();
        let root = params.self_signed(&root_key).unwrap();
        let issuer = rcgen::Issuer::from_params(&params, &root_key);
        let names = ["matrix.test", "127.0.0.1", "::1"].map(str::to_owned);
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        Self {
            root: root.pem(),
            chain: leaf.pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn root(&self) -> &[u8] {
        self.root.as_bytes()
    }

    pub(crate) fn chain(&self) -> &[u8] {
        self.chain.as_bytes()
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.key.as_bytes()
    }

    pub(crate) fn client(&self) -> ClientTls {
        ClientTls::from_pem(self.root.as_bytes()).unwrap()
    }

    pub(crate) fn server(&self) -> ServerTls {
        ServerTls::from_pem(self.chain.as_bytes(), self.key.as_bytes()).unwrap()
    }

    /// A client that shows this authority's certificate, for `matrix.test`, to servers that ask.
    pub(crate) fn client_with_certificate(&self) -> ClientTls {
        let (root, chain) = (self.root.as_bytes(), self.chain.as_bytes());
        ClientTls::from_pem_with_certificate(root, chain, self.key.as_bytes()).unwrap()
    }

    /// A server that asks clients for a certificate of `theirs`.
    pub(crate) fn server_asking(&self, theirs: &Self) -> ServerTls {
        let (roots, chain) = (theirs.root.as_bytes(), self.chain.as_bytes());
        ServerTls::asking_clients(roots, chain, self.key.as_bytes()).unwrap()
    }

    pub(crate) fn connector(&self) -> Connector {
        Connector::new(self.client()).with_guard(AddressGuard::default().allow_loopback())
    }

    pub(crate) fn pool(&self, protocol: Protocol) -> Pool {
        Pool::new(
            self.connector(),
            PoolOptions::default().with_protocol(protocol),
        )
    }

    /// rustls settings for a peer that a test plays by hand.
    pub(crate) fn acceptor(&self, alpn: &[&[u8]]) -> TlsAcceptor {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let mut config = rustls::ServerConfig::builder_with_provider(comity_net::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.collect::<Result<_, _>>().unwrap(), key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

pub(crate) fn route(address: SocketAddr) -> Route {
    Route {
        addresses: vec![address],
        host: "matrix.test:8448".to_owned(),
        certificate_name: "matrix.test".to_owned(),
    }
}

pub(crate) fn get(target: &str) -> Request<Body> {
    Request::get(target).body(body::empty()).unwrap()
}

pub(crate) fn put(target: &str, content: impl Into<Bytes>) -> Request<Body> {
    Request::put(target).body(body::full(content)).unwrap()
}

pub(crate) async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Sends a GET and reads its reply to the end.
pub(crate) async fn ask(
    pool: &Pool,
    route: &Route,
    target: &str,
) -> Result<String, TransportError> {
    Ok(text(pool.send(route, get(target)).await?).await)
}

pub(crate) fn service<F, R>(answer: F) -> HttpService
where
    F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    HttpService::new(tower::service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    }))
}

/// Answers with the request's target.
pub(crate) fn echo() -> HttpService {
    service(|request| async move {
        let target = request.uri().path_and_query().unwrap().as_str().to_owned();
        request.into_body().collect().await.unwrap();
        Response::new(body::full(target))
    })
}

/// A listener that serves until it is stopped.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Drained>,
}

impl Serving {
    pub(crate) async fn start(options: ListenerOptions, service: HttpService) -> Self {
        Self::dispatching(options, Dispatch::new(service)).await
    }

    pub(crate) async fn dispatching(options: ListenerOptions, dispatch: Dispatch) -> Self {
        let listener = Listener::bind(("127.0.0.1", 0), options).await.unwrap();
        let address = listener.local_addr();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(listener.serve(dispatch, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            stop,
            task,
        }
    }

    pub(crate) fn route(&self) -> Route {
        route(self.address)
    }

    /// Begins to shut down.
    pub(crate) fn stop(self) -> JoinHandle<Drained> {
        self.stop.send(()).unwrap();
        self.task
    }
}

/// A peer that a test plays by hand: each accepted connection is given to `play`, with its number from 1.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Peer {
    pub(crate) async fn tcp<F, R>(play: F) -> Self
    where
        F: Fn(TcpStream, usize) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::spawn(play(tcp, number));
            }
        });
        Self { address, accepted }
    }

    pub(crate) async fn tls<F, R>(authority: &Authority, alpn: &[&[u8]], play: F) -> Self
    where
        F: Fn(TlsStream<TcpStream>, usize) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let acceptor = authority.acceptor(alpn);
        Self::tcp(move |tcp, number| {
            let (acceptor, play) = (acceptor.clone(), play.clone());
            async move {
                if let Ok(tls) = acceptor.accept(tcp).await {
                    play(tls, number).await;
                }
            }
        })
        .await
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// Reads up to the end of a request's head.
pub(crate) async fn read_head<S: AsyncReadExt + Unpin>(stream: &mut S) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

pub(crate) async fn write<S: AsyncWriteExt + Unpin>(stream: &mut S, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

/// Waits until something is so, for five seconds at most.
pub(crate) async fn eventually(what: &str, so: impl Fn() -> bool) {
    for _ in 0..500 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come true that {what}");
}
