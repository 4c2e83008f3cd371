//! Servers of peers: hyper and tokio-rustls, one task for each connection, with the windows that ours have.

use std::{convert::Infallible, fmt, net::SocketAddr, sync::Arc};

use comity_net::Protocol;
use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    server::conn,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::Peer;
use crate::{
    scenario::rooms::Rooms,
    subject::{Guard, Setting, SetupError, ours::Listening},
};

pub(super) async fn serve(
    peer: Peer,
    setting: &Setting,
) -> Result<(Vec<SocketAddr>, Guard), SetupError> {
    let (chain, key) = (&setting.tls.certificate, &setting.tls.key);
    let bare = Bare::with_tls(peer.protocol(), chain, key)?;
    let mut addresses = Vec::new();
    let mut listening = Listening::default();
    // Made before anybody calls, once for all servers.
    let rooms = Rooms::all(setting.seed);
    for server in &setting.servers {
        let listener = TcpListener::bind((setting.listen, 0)).await?;
        addresses.push(listener.local_addr()?);
        let speech = peer.speech(setting, server, &rooms)?;
        let accepting = bare.clone().accept(listener, move |request| {
            let speech = speech.clone();
            async move { speech.answer(request).await }
        });
        listening.0.push(tokio::spawn(accepting).abort_handle());
    }
    Ok((addresses, Box::new(listening)))
}

/// A server with nothing around it.
#[derive(Clone)]
pub struct Bare {
    protocol: Protocol,
    acceptor: Option<TlsAcceptor>,
}

impl fmt::Debug for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bare")
            .field("protocol", &self.protocol)
            .field("tls", &self.acceptor.is_some())
            .finish()
    }
}

impl Bare {
    /// One that speaks HTTP/2, or HTTP/1.1 by any other `protocol`. Without TLS.
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            acceptor: None,
        }
    }

    /// The same with TLS, by a chain of certificates and their private key, both PEM.
    ///
    /// # Errors
    /// They are no chain and its key.
    pub fn with_tls(protocol: Protocol, chain: &str, key: &str) -> Result<Self, SetupError> {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
        let mut config = rustls::ServerConfig::builder_with_provider(comity_net::provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = match protocol {
            Protocol::Http2 => vec![b"h2".to_vec()],
            _ => vec![b"http/1.1".to_vec()],
        };
        Ok(Self {
            protocol,
            acceptor: Some(TlsAcceptor::from(Arc::new(config))),
        })
    }

    /// Accepts, and gives each request to `answer`, until the future is dropped, which cuts all connections. It ends when the listener fails: whoever calls sees that nobody answers.
    pub async fn accept<A, R, B>(self, listener: TcpListener, answer: A)
    where
        A: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
        R: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: Into<SetupError>> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        while let Ok((tcp, _)) = listener.accept().await {
            while connections.try_join_next().is_some() {}
            connections.spawn(self.clone().connection(tcp, answer.clone()));
        }
    }

    async fn connection<A, R, B>(self, tcp: TcpStream, answer: A)
    where
        A: Fn(Request<Incoming>) -> R,
        R: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: Into<SetupError>> + Send + 'static,
    {
        let Ok(()) = tcp.set_nodelay(true) else {
            return;
        };
        match self.acceptor {
            None => speak(self.protocol, tcp, answer).await,
            Some(acceptor) => {
                if let Ok(stream) = acceptor.accept(tcp).await {
                    speak(self.protocol, stream, answer).await;
                }
            }
        }
    }
}

async fn speak<A, R, B>(
    protocol: Protocol,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    answer: A,
) where
    A: Fn(Request<Incoming>) -> R,
    R: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<SetupError>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let stream = TokioIo::new(stream);
    // That a connection ends is the client's business.
    let _ = match protocol {
        Protocol::Http2 => {
            conn::http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(16 << 20)
                .max_frame_size(128 << 10)
                .serve_connection(stream, service)
                .await
        }
        _ => {
            conn::http1::Builder::new()
                .serve_connection(stream, service)
                .await
        }
    };
}
