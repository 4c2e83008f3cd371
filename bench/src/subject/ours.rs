//! The bindings of this workspace: each with TLS 1.3 on sockets of its own.

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use comity_conformance::Declared;
use comity_core::{
    CallService, Operations, ServerName,
    auth::{Authenticator, SessionAuthenticator, SessionOptions, SessionUse, XMatrixAuthenticator},
    transport::{FixedRoutes, Route, Transport},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, GrpcTransport};
use comity_http::{HttpServer, HttpTransport};
use comity_net::{
    AddressGuard, ClientTls, Connector, Counters, Dispatch, HttpService, Listener, ListenerOptions,
    Pool, PoolOptions, Protocol, ServerTls,
};
use tokio::task::AbortHandle;

use super::{Client, Guard, Proof, Setting, SetupError, Subject, Wire, together::Memory};

/// The transports of this workspace: `HTTPS/1.1`, `HTTP/2`, `gRPC`, `gRPC, session` and `memory`.
pub fn ours() -> Vec<Subject> {
    let bindings = [
        Binding::Http1,
        Binding::Http2,
        Binding::Grpc,
        Binding::GrpcSession,
    ];
    let apart = bindings.map(|binding| Subject::Apart(Arc::new(binding)));
    let together = Subject::Together(Arc::new(Memory));
    apart.into_iter().chain([together]).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binding {
    /// `http/1` over HTTP/1.1.
    Http1,
    /// `http/1` over HTTP/2.
    Http2,
    /// `grpc/1`, each call signed.
    Grpc,
    /// `grpc/1` with one signature for a connection.
    GrpcSession,
}

impl Binding {
    fn protocol(self) -> Protocol {
        match self {
            Self::Http1 => Protocol::Http1,
            Self::Http2 | Self::Grpc | Self::GrpcSession => Protocol::Http2,
        }
    }

    /// How the client uses sessions: always or not at all, so that nothing is measured that is called otherwise. The kit also sends calls with credentials of its own, which a client that
    /// requires sessions does not send; that those of a signer have a session it sees by itself ([`Declared::own_proof`]).
    fn sessions(self, proof: Proof) -> SessionUse {
        match (self, proof) {
            (Self::GrpcSession, Proof::Seeded) => SessionUse::Required,
            (Self::GrpcSession, Proof::Brought) => SessionUse::On,
            (Self::Http1 | Self::Http2 | Self::Grpc, _) => SessionUse::Off,
        }
    }

    fn server(
        self,
        operations: Operations,
        service: CallService,
        screen: Option<Arc<dyn Authenticator>>,
    ) -> HttpService {
        match self {
            Self::Http1 | Self::Http2 => {
                let mut server = HttpServer::new(operations, service);
                if let Some(authenticator) = screen {
                    server = server.with_screen(authenticator);
                }
                server.boxed()
            }
            Self::Grpc | Self::GrpcSession => {
                let options = GrpcServerOptions::default();
                let codecs = Codecs::federation();
                let mut server = GrpcServer::new(operations, codecs, service, options);
                if let Some(authenticator) = screen {
                    server = server.with_screen(authenticator);
                }
                server.into_service()
            }
        }
    }
}

#[async_trait]
impl Wire for Binding {
    fn name(&self) -> String {
        let name = match self {
            Self::Http1 => "HTTPS/1.1",
            Self::Http2 => "HTTP/2",
            Self::Grpc => "gRPC",
            Self::GrpcSession => "gRPC, session",
        };
        name.to_owned()
    }

    async fn serve(
        &self,
        setting: &Setting,
        operations: Operations,
        service: CallService,
    ) -> Result<(Vec<SocketAddr>, Guard), SetupError> {
        let tls = &setting.tls;
        let options = ListenerOptions {
            protocol: self.protocol(),
            ..ListenerOptions::with_tls(ServerTls::from_pem(
                tls.certificate.as_bytes(),
                tls.key.as_bytes(),
            )?)
        };
        let mut addresses = Vec::new();
        let mut listening = Listening::default();
        for server in &setting.servers {
            let x_matrix = setting.x_matrix(server)?;
            let authenticator = x_matrix.map(|x_matrix| self.authenticator(x_matrix));
            let guarded = setting.guarded(authenticator.clone(), service.clone());
            let service = self.server(operations.clone(), guarded, authenticator);
            let listener = Listener::bind((setting.listen, 0), options.clone()).await?;
            addresses.push(listener.local_addr());
            let serving = listener.serve(Dispatch::new(service), std::future::pending());
            listening.0.push(tokio::spawn(serving).abort_handle());
        }
        Ok((addresses, Box::new(listening)))
    }

    async fn connect(
        &self,
        setting: &Setting,
        addresses: &[SocketAddr],
    ) -> Result<Client, SetupError> {
        let (routes, pool, counters) = setting.pool(addresses, self.protocol())?;
        let transport: Arc<dyn Transport> = match self {
            Self::Http1 | Self::Http2 => Arc::new(HttpTransport::new(routes, pool)),
            Self::Grpc | Self::GrpcSession => {
                let sessions = SessionOptions::default().with_usually(self.sessions(setting.proof));
                Arc::new(GrpcTransport::new(routes, pool).with_sessions(sessions))
            }
        };
        Ok(Client {
            transport: setting.signing(transport),
            counters,
        })
    }

    fn authenticator(&self, x_matrix: XMatrixAuthenticator) -> Arc<dyn Authenticator> {
        match self {
            Self::GrpcSession => Arc::new(SessionAuthenticator::new(x_matrix)),
            Self::Http1 | Self::Http2 | Self::Grpc => Arc::new(x_matrix),
        }
    }

    fn scheme(&self) -> &'static str {
        match self {
            Self::GrpcSession => "session",
            Self::Http1 | Self::Http2 | Self::Grpc => "X-Matrix",
        }
    }

    fn declared(&self) -> Declared {
        // Details of a status stand in a header list, which has a limit.
        let grpc = Declared::default()
            .naming_destination()
            .typed()
            .bounding_error_bodies(2_500);
        match self {
            Self::Http1 | Self::Http2 => Declared::default(),
            Self::Grpc => grpc,
            Self::GrpcSession => grpc.proving_by_itself(),
        }
    }
}

impl Setting {
    /// The way to the servers at these addresses, connections to them by one protocol, and what counts their bytes.
    ///
    /// # Errors
    /// As [`routes`](Self::routes).
    pub fn pool(
        &self,
        addresses: &[SocketAddr],
        protocol: Protocol,
    ) -> Result<(Arc<FixedRoutes>, Pool, Counters), SetupError> {
        let counters = Counters::new();
        let (routes, connector) = self.routes(addresses, counters.clone())?;
        let options = PoolOptions::default().with_protocol(protocol);
        Ok((routes, Pool::new(connector, options), counters))
    }

    /// The way to the servers at these addresses, and what dials them with TLS and counts their bytes.
    ///
    /// # Errors
    /// There are not as many addresses as servers; the certificate authority is none.
    pub fn routes(
        &self,
        addresses: &[SocketAddr],
        counters: Counters,
    ) -> Result<(Arc<FixedRoutes>, Connector), SetupError> {
        if addresses.len() != self.servers.len() {
            let (addresses, servers) = (addresses.len(), self.servers.len());
            return Err(format!("{addresses} addresses of {servers} servers").into());
        }
        let mut guard = AddressGuard::default();
        let mut routes = FixedRoutes::new();
        for (server, address) in self.servers.iter().zip(addresses) {
            guard = guard.allow(&address.ip().to_string())?;
            routes = routes.with(server.clone(), route(server, *address));
        }
        let tls = ClientTls::from_pem(self.tls.authority.as_bytes())?;
        let connector = Connector::new(tls)
            .with_guard(guard)
            .with_counters(counters);
        Ok((Arc::new(routes), connector))
    }
}

fn route(server: &ServerName, address: SocketAddr) -> Route {
    Route {
        addresses: vec![address],
        host: server.as_str().to_owned(),
        certificate_name: server.host().to_owned(),
    }
}

/// Listeners that serve. Dropping it closes their ports and cuts all connections.
#[derive(Debug, Default)]
pub(crate) struct Listening(pub(crate) Vec<AbortHandle>);

impl Drop for Listening {
    fn drop(&mut self) {
        for serving in &self.0 {
            serving.abort();
        }
    }
}
