//! A certificate authority, the provider `b.example`, and the ways from `a.example` to it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    CallService, Client, Operations, Router, ServerName,
    auth::Verify,
    call::{Authenticated, Body, CallContext},
    error::FederationError,
    layers::{Clocks, RunToEnd, Side},
    transport::{FixedRoutes, Route, Transport},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, GrpcTransport, is_grpc};
use comity_http::{HttpServer, HttpTransport};
use comity_net::{
    AddressGuard, ClientTls, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions,
    Protocol, ServerTls,
};
use mimi::{
    Directories, Directory, DirectoryDocument, GetDirectory, GroupInfo, IdentifierQuery,
    KeyMaterial, MutualTls, Notify, ProxyDownload, ReportAbuse, RequestConsent, Rooms, SayFrom,
    SubmitMessage, Update, UpdateConsent, Users,
};

pub fn name(name: &str) -> ServerName {
    name.parse().unwrap()
}

/// Who issues certificates.
pub struct Authority {
    root: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(params, key);
        Self { root, issuer }
    }

    /// A certificate for these names and its key, both PEM.
    pub fn certificate(&self, names: &[&str]) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let params = rcgen::CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn server(&self, names: &[&str]) -> ServerTls {
        let (chain, key) = self.certificate(names);
        ServerTls::asking_clients(self.root.as_bytes(), chain.as_bytes(), key.as_bytes()).unwrap()
    }

    /// A client's TLS, with a certificate for `names` of `issuer` unless there are none.
    pub fn client(&self, issuer: &Self, names: &[&str]) -> ClientTls {
        if names.is_empty() {
            return ClientTls::from_pem(self.root.as_bytes()).unwrap();
        }
        let (chain, key) = issuer.certificate(names);
        let (root, chain) = (self.root.as_bytes(), chain.as_bytes());
        ClientTls::from_pem_with_certificate(root, chain, key.as_bytes()).unwrap()
    }
}

/// What a handler saw: the operation, the path's parameter, the body, who called, over what.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub operation: &'static str,
    pub parameter: String,
    pub body: Bytes,
    pub origin: String,
    pub binding: &'static str,
}

/// Answers each call with its own body backwards, and writes down what it saw.
#[derive(Default)]
pub struct Provider(pub Mutex<Vec<Seen>>);

impl Provider {
    fn answer(
        &self,
        cx: &Authenticated,
        operation: &'static str,
        parameter: String,
        body: Bytes,
    ) -> Body {
        let backwards: Vec<u8> = body.iter().rev().copied().collect();
        self.0.lock().unwrap().push(Seen {
            operation,
            parameter,
            body,
            origin: cx.origin().to_string(),
            binding: cx.binding,
        });
        let mut answer = Body::new(None, backwards.into());
        // The draft answers these with 201 and nothing more.
        if ["Notify", "RequestConsent", "UpdateConsent"].contains(&operation) {
            answer = Body::new(None, Bytes::new());
            answer.status = 201;
        }
        answer
    }
}

macro_rules! answers {
    ($Group:ident { $($method:ident $Request:ident $parameter:ident),* } $($more:tt)*) => {
        #[async_trait]
        impl $Group for Provider {
            $(async fn $method(&self, cx: &Authenticated, request: $Request) -> Result<Body, FederationError> {
                Ok(self.answer(cx, stringify!($Request), request.$parameter, request.body))
            })*
            $($more)*
        }
    };
}

answers!(Rooms {
    key_material KeyMaterial target_user,
    update Update room_id,
    submit_message SubmitMessage room_id,
    notify Notify room_id,
    group_info GroupInfo room_id,
    report_abuse ReportAbuse room_id
}
async fn proxy_download(&self, cx: &Authenticated, request: ProxyDownload) -> Result<Body, FederationError> {
    let file = Bytes::from(request.download_url.clone());
    Ok(self.answer(cx, "ProxyDownload", request.download_url, file))
});
answers!(Users {
    request_consent RequestConsent target_user,
    update_consent UpdateConsent requester_user,
    identifier_query IdentifierQuery domain
});

#[async_trait]
impl Directories for Provider {
    async fn get_directory(
        &self,
        _: &CallContext,
        _: GetDirectory,
    ) -> Result<DirectoryDocument, FederationError> {
        Ok(Directory::own("mimi.b.example"))
    }
}

/// `b.example`, which listens while this lives.
pub struct Serving {
    pub authority: Authority,
    pub provider: Arc<Provider>,
    pub address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Serving {
    pub async fn start() -> Self {
        let provider = Arc::new(Provider::default());
        let router = Router::new()
            .with(mimi::directories(provider.clone()))
            .with(mimi::rooms(provider.clone()))
            .with(mimi::users(provider.clone()));
        let service = router.layered((
            Clocks::layer(Side::Server),
            Verify::layer(Arc::new(MutualTls::new(name("b.example")))),
            RunToEnd::layer(64),
        ));
        let operations = Operations::none().with(mimi::operations()).unwrap();
        Self::of(provider, operations, service).await
    }

    /// A provider that answers by a service of the test's own.
    pub async fn of(provider: Arc<Provider>, operations: Operations, service: CallService) -> Self {
        let authority = Authority::new();
        let grpc = GrpcServer::new(
            operations.clone(),
            Codecs::federation(),
            service.clone(),
            GrpcServerOptions::default(),
        );
        let http = HttpServer::new(operations, service);
        let dispatch = Dispatch::new(http.boxed()).with(is_grpc, grpc.into_service());
        let options = ListenerOptions::with_tls(authority.server(&["b.example", "house.example"]));
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0), options)
            .await
            .unwrap();
        let address = listener.local_addr();
        let server = tokio::spawn(async move {
            listener.serve(dispatch, std::future::pending()).await;
        });
        Self {
            authority,
            provider,
            address,
            server,
        }
    }

    /// The ways to it, for a client with this TLS.
    pub fn transports(&self, tls: &ClientTls) -> Vec<Arc<dyn Transport>> {
        self.transports_as("b.example", tls)
    }

    /// The same, asking for the certificate of this name.
    pub fn transports_as(&self, certificate: &str, tls: &ClientTls) -> Vec<Arc<dyn Transport>> {
        let route = Route {
            addresses: vec![self.address],
            host: "mimi.b.example".to_owned(),
            certificate_name: certificate.to_owned(),
        };
        let routes = Arc::new(FixedRoutes::new().with(name("b.example"), route));
        let pool = |protocol| {
            let guard = AddressGuard::default().allow_loopback();
            let connector = Connector::new(tls.clone()).with_guard(guard);
            Pool::new(connector, PoolOptions::default().with_protocol(protocol))
        };
        vec![
            Arc::new(HttpTransport::new(routes.clone(), pool(Protocol::Http1))),
            Arc::new(HttpTransport::new(routes.clone(), pool(Protocol::Http2))),
            Arc::new(GrpcTransport::new(routes, pool(Protocol::Http2))),
        ]
    }

    /// Clients of `a.example`, over each binding.
    pub fn clients(&self) -> Vec<Client> {
        let tls = self.authority.client(&self.authority, &["a.example"]);
        let layered = |transport| Client::layered(transport, SayFrom::layer(&name("a.example")));
        self.transports(&tls).into_iter().map(layered).collect()
    }
}
