//! The bindings of this workspace, set up on loopback and in memory.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared by several test programs, of which none uses all"
)]

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use comity_conformance::{Declared, Harness, HarnessError, Served, async_trait};
use comity_core::{
    CallService, Operations, ServerName,
    call::Call,
    transport::{FixedRoutes, MemoryMode, MemoryTransport, Route, Transport},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, GrpcTransport, is_grpc};
use comity_http::{HttpServer, HttpTransport};
use comity_net::{
    AddressGuard, ClientTls, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions,
    Protocol, ServerTls,
};
use tokio::task::AbortHandle;
use tower::{service_fn, util::BoxCloneSyncService};

/// The name that certificates are for.
pub(crate) const CERTIFICATE_NAME: &str = "comity.test";

/// The transport that is a function call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory(pub(crate) MemoryMode);

#[async_trait]
impl Harness for Memory {
    fn name(&self) -> String {
        match self.0 {
            MemoryMode::ByValue => "memory".to_owned(),
            MemoryMode::ThroughCodec => "memory through codec".to_owned(),
        }
    }

    async fn serve(
        &self,
        _: &ServerName,
        operations: Operations,
        service: CallService,
    ) -> Result<Served, HarnessError> {
        let transport = MemoryTransport::new(operations, service, self.0);
        Ok(Served::new(Arc::new(transport)))
    }

    fn declared(&self) -> Declared {
        let declared = Declared::default().naming_destination();
        match self.0 {
            MemoryMode::ByValue => declared.by_value(),
            MemoryMode::ThroughCodec => declared,
        }
    }
}

/// A wire protocol of this workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    Http1,
    Http2,
    Grpc,
    /// gRPC to a client that knows no typed message.
    GrpcInvoke,
}

impl Binding {
    fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http/1",
            Self::Http2 => "http/1 over HTTP/2",
            Self::Grpc => "grpc/1",
            Self::GrpcInvoke => "grpc/1 by Invoke",
        }
    }

    fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::GrpcInvoke)
    }
}

/// Over sockets, with TLS. Between two hops stands a gateway, which holds no key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network(pub(crate) &'static [Binding]);

#[async_trait]
impl Harness for Network {
    fn name(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|hop| hop.name()).collect();
        names.join(", ")
    }

    async fn serve(
        &self,
        server: &ServerName,
        operations: Operations,
        service: CallService,
    ) -> Result<Served, HarnessError> {
        let authority = Authority::shared();
        let (mut address, last) = authority.serve(operations.clone(), service).await?;
        let mut servers = vec![last];
        let mut hops = self.0.iter().rev();
        let mut transport = authority.transport(*hops.next().unwrap(), server, address)?;
        for hop in hops {
            let gateway = gateway(transport, server.clone());
            let served = authority.serve(operations.clone(), gateway).await?;
            address = served.0;
            servers.push(served.1);
            transport = authority.transport(*hop, server, address)?;
        }
        let last = servers[0].0.clone();
        Ok(Served::new(transport)
            .until_dropped(servers)
            .with_cut(move || last.abort()))
    }

    fn declared(&self) -> Declared {
        let mut declared = Declared::default();
        if self.0.last().is_some_and(|hop| hop.is_grpc()) {
            declared = declared.naming_destination();
        }
        if self.0 == [Binding::Grpc] {
            declared = declared.typed();
        }
        if self.0.iter().any(|hop| hop.is_grpc()) {
            declared = declared.bounding_error_bodies(2_500);
        }
        if self.0.len() > 1 {
            declared = declared.relaying();
        }
        declared
    }
}

/// Passes calls on as they are.
fn gateway(next: Arc<dyn Transport>, destination: ServerName) -> CallService {
    BoxCloneSyncService::new(service_fn(move |mut call: Call| {
        let next = next.clone();
        call.context_mut().destination = Some(destination.clone());
        async move { next.send(call).await }
    }))
}

/// A listener that serves. Dropping it closes the port and cuts all connections.
pub(crate) struct Listening(AbortHandle);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A certificate authority, and what it lets be set up.
pub(crate) struct Authority {
    root: String,
    chain: String,
    key: String,
}

impl Authority {
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Authority> = OnceLock::new();
        SHARED.get_or_init(Self::new)
    }

    fn new() -> Self {
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
            root: root.pem(),
            chain: leaf.pem(),
            key: key.serialize_pem(),
        }
    }

    /// Serves every binding on one port.
    pub(crate) async fn serve(
        &self,
        operations: Operations,
        service: CallService,
    ) -> Result<(SocketAddr, Listening), HarnessError> {
        let http = HttpServer::new(operations.clone(), service.clone());
        let codecs = Codecs::federation();
        let grpc = GrpcServer::new(operations, codecs, service, GrpcServerOptions::default());
        let dispatch = Dispatch::new(http.boxed()).with(is_grpc, grpc.into_service());
        let (address, serving) = self.listen(dispatch).await?;
        Ok((address, Listening(serving)))
    }

    pub(crate) async fn listen(
        &self,
        dispatch: Dispatch,
    ) -> Result<(SocketAddr, AbortHandle), HarnessError> {
        let tls = ServerTls::from_pem(self.chain.as_bytes(), self.key.as_bytes())?;
        let options = ListenerOptions::with_tls(tls);
        let listener = Listener::bind(("127.0.0.1", 0), options).await?;
        let address = listener.local_addr();
        let serving = tokio::spawn(listener.serve(dispatch, std::future::pending()));
        Ok((address, serving.abort_handle()))
    }

    pub(crate) fn transport(
        &self,
        binding: Binding,
        server: &ServerName,
        address: SocketAddr,
    ) -> Result<Arc<dyn Transport>, HarnessError> {
        let route = Route {
            addresses: vec![address],
            host: server.to_string(),
            certificate_name: CERTIFICATE_NAME.to_owned(),
        };
        let routes = Arc::new(FixedRoutes::new().with(server.clone(), route));
        let tls = ClientTls::from_pem(self.root.as_bytes())?;
        let guard = AddressGuard::default().allow_loopback();
        let pool = |protocol| {
            Pool::new(
                Connector::new(tls).with_guard(guard),
                PoolOptions::default().with_protocol(protocol),
            )
        };
        Ok(match binding {
            Binding::Http1 => Arc::new(HttpTransport::new(routes, pool(Protocol::Http1))),
            Binding::Http2 => Arc::new(HttpTransport::new(routes, pool(Protocol::Http2))),
            Binding::Grpc => Arc::new(GrpcTransport::new(routes, pool(Protocol::Http2))),
            Binding::GrpcInvoke => Arc::new(
                GrpcTransport::new(routes, pool(Protocol::Http2)).with_codecs(Codecs::none()),
            ),
        })
    }
}
