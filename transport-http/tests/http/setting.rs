//! A server and a client on loopback, with TLS or in the clear.

use std::{net::SocketAddr, sync::Arc};

use comity_core::{
    CallService, Client, Operations, ServerName,
    call::{Call, Reply},
    error::CallError,
    transport::{FixedRoutes, Route},
};
use comity_http::{HttpServer, HttpServerOptions, HttpTransport};
use comity_net::{
    AddressGuard, ClientTls, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions,
    Protocol, ServerTls,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{service_fn, util::BoxCloneSyncService};

pub struct Serving {
    pub address: SocketAddr,
    root: Option<String>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn destination() -> ServerName {
    "matrix.test".parse().unwrap()
}

/// A service that is one function.
pub fn handler<F, R>(handle: F) -> CallService
where
    F: Fn(Call) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Reply, CallError>> + Send + 'static,
{
    BoxCloneSyncService::new(service_fn(handle))
}

impl Serving {
    pub async fn tls(service: CallService) -> Self {
        Self::tls_with(service, HttpServerOptions::default()).await
    }

    pub async fn tls_with(service: CallService, options: HttpServerOptions) -> Self {
        Self::tls_for(service, Operations::federation(), options).await
    }

    pub async fn tls_for(
        service: CallService,
        operations: Operations,
        options: HttpServerOptions,
    ) -> Self {
        Self::tls_server(HttpServer::with_options(operations, service, options)).await
    }

    pub async fn tls_server(server: HttpServer) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["matrix.test".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let tls = ServerTls::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())
            .unwrap();
        let options = ListenerOptions::with_tls(tls);
        Self::start(server, options, Some(certificate.pem())).await
    }

    pub async fn plain(service: CallService, options: HttpServerOptions) -> Self {
        let server = HttpServer::with_options(Operations::federation(), service, options);
        Self::plain_server(server).await
    }

    pub async fn plain_server(server: HttpServer) -> Self {
        Self::start(server, ListenerOptions::default(), None).await
    }

    pub async fn start(
        server: HttpServer,
        listening: ListenerOptions,
        root: Option<String>,
    ) -> Self {
        let listener = Listener::bind("127.0.0.1:0", listening).await.unwrap();
        let address = listener.local_addr();
        let task = tokio::spawn(async move {
            listener
                .serve(Dispatch::new(server.boxed()), std::future::pending())
                .await;
        });
        Self {
            address,
            root,
            task,
        }
    }

    /// The certificate to trust, if there is TLS.
    pub fn root(&self) -> Option<&str> {
        self.root.as_deref()
    }

    pub fn client(&self, protocol: Protocol) -> Client {
        let connector = match &self.root {
            Some(root) => Connector::new(ClientTls::from_pem(root.as_bytes()).unwrap()),
            None => Connector::danger_without_tls(),
        };
        client_to(self.address, connector, protocol)
    }

    /// Sends bytes as they are and reads until the server closes, or for two seconds.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        // The server may close before it has read everything.
        let _ = socket.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(
            std::time::Duration::from_secs(2),
            socket.read_to_end(&mut answer),
        )
        .await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

pub fn client_to(address: SocketAddr, connector: Connector, protocol: Protocol) -> Client {
    let pool = Pool::new(
        connector.with_guard(AddressGuard::default().allow_loopback()),
        PoolOptions::default().with_protocol(protocol),
    );
    let route = Route {
        addresses: vec![address],
        host: "matrix.test".to_owned(),
        certificate_name: "matrix.test".to_owned(),
    };
    let routes = FixedRoutes::new().with(destination(), route);
    Client::new(Arc::new(HttpTransport::new(Arc::new(routes), pool)))
}

/// A peer that answers every connection with the same bytes, whatever it is asked, and closes.
pub async fn peer_that_says(answer: impl Into<Vec<u8>>) -> Client {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = socket.read(&mut head).await;
            let _ = socket.write_all(&answer).await;
            let _ = socket.shutdown().await;
        }
    });
    client_to(address, Connector::danger_without_tls(), Protocol::Http1)
}

pub fn response(status: &str, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
