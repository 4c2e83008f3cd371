//! A town of servers that reach one another by one binding, over TLS.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Arc, RwLock},
};

use async_trait::async_trait;
use comity_core::{
    Client, Operations, Router, ServerName, api,
    auth::{
        KeyRing, KeyRingOptions, ServerKeys, Sign, SigningKey, Verify, XMatrixAuthenticator, now_ms,
    },
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
    transport::{Resolve, Route, Transport},
};
use comity_grpc::GrpcTransport;
use comity_homeserver::{
    ActionError, Homeserver, NewRoom, Sent, Versions,
    ruma_common::{OwnedRoomId, OwnedUserId, RoomId, UserId},
};
use comity_http::HttpTransport;
use comity_net::{
    AddressGuard, ClientTls, Connector, Listener, ListenerOptions, Pool, PoolOptions, Protocol,
    ServerTls,
};
use mimi_profile::{bindings, operations, service};

/// How the servers of a town call one another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Binding {
    Http,
    Grpc,
}

pub const BINDINGS: [Binding; 2] = [Binding::Http, Binding::Grpc];

/// Which API a server has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Api {
    /// The profile's: this example.
    Profile,
    /// All of it: the example homeserver.
    Full,
}

/// The servers' addresses.
#[derive(Clone, Debug, Default)]
struct Addresses(Arc<RwLock<BTreeMap<ServerName, Route>>>);

#[async_trait]
impl Resolve for Addresses {
    async fn resolve(&self, name: &ServerName) -> Result<Route, TransportError> {
        let nobody = || {
            TransportError::new(
                TransportErrorKind::Resolve,
                Delivery::NotSent,
                "nobody lives there",
            )
        };
        self.0.read().unwrap().get(name).cloned().ok_or_else(nobody)
    }
}

pub struct Town {
    binding: Binding,
    addresses: Addresses,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    transport: Arc<dyn Transport>,
}

impl Town {
    pub fn new(binding: Binding) -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        let addresses = Addresses::default();
        let tls = ClientTls::from_pem(root.as_bytes()).unwrap();
        let guard = AddressGuard::default().allow_loopback();
        let pool = |protocol| {
            let options = PoolOptions::default().with_protocol(protocol);
            Pool::new(
                Connector::new(tls.clone()).with_guard(guard.clone()),
                options,
            )
        };
        let resolve = Arc::new(addresses.clone());
        let transport: Arc<dyn Transport> = match binding {
            Binding::Http => Arc::new(HttpTransport::new(resolve, pool(Protocol::Http1Or2))),
            Binding::Grpc => Arc::new(GrpcTransport::new(resolve, pool(Protocol::Http2))),
        };
        Self {
            binding,
            addresses,
            issuer: rcgen::Issuer::new(params, key),
            transport,
        }
    }

    /// A server that listens, with the room versions that it speaks.
    pub async fn move_in(&self, name: &str, api: Api, versions: Versions) -> House {
        let certificate_key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = certificate
            .signed_by(&certificate_key, &self.issuer)
            .unwrap();
        let tls = ServerTls::from_pem(
            certificate.pem().as_bytes(),
            certificate_key.serialize_pem().as_bytes(),
        )
        .unwrap();

        let name: ServerName = name.parse().unwrap();
        let key = Arc::new(SigningKey::generate("1").unwrap());
        let own =
            ServerKeys::sign_document(&key, &name, now_ms() + 3_600_000, &BTreeMap::new()).unwrap();
        let ring = KeyRing::new(
            Client::new(self.transport.clone()),
            KeyRingOptions::default(),
        );
        let ring = Arc::new(ring.with_pinned(ServerKeys::parse(own).unwrap()));
        let client = Client::layered(
            self.transport.clone(),
            Sign::layer(name.clone(), key.clone()),
        );
        let server =
            Homeserver::new(name.clone(), key, client.clone(), ring.clone()).speaking(versions);
        let authenticator = Arc::new(XMatrixAuthenticator::new(name.clone(), ring));
        let dispatch = match api {
            Api::Profile => bindings(operations(), service(server.clone(), authenticator)),
            Api::Full => {
                let service = Arc::new(server.clone());
                let router = Router::new()
                    .with(api::server(service.clone()))
                    .with(api::keys(service.clone()))
                    .with(api::transactions(service.clone()))
                    .with(api::events(service.clone()))
                    .with(api::membership(service.clone()))
                    .with(api::queries(service.clone()))
                    .with(api::devices(service.clone()))
                    .with(api::media(service));
                bindings(
                    Operations::federation(),
                    router.layered(Verify::layer(authenticator)),
                )
            }
        };
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0), ListenerOptions::with_tls(tls))
            .await
            .unwrap();
        let route = Route {
            addresses: vec![listener.local_addr()],
            host: name.to_string(),
            certificate_name: name.host().to_owned(),
        };
        self.addresses.0.write().unwrap().insert(name, route);
        let task = tokio::spawn(async move {
            listener.serve(dispatch, std::future::pending()).await;
        });
        House {
            server,
            client,
            task,
        }
    }

    pub fn binding(&self) -> Binding {
        self.binding
    }
}

/// A server that listens while this lives.
pub struct House {
    pub server: Homeserver,
    /// Signs as the server.
    pub client: Client,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for House {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl House {
    pub fn name(&self) -> &ServerName {
        self.server.name()
    }

    pub fn user(&self, name: &str) -> OwnedUserId {
        UserId::parse(format!("@{name}:{}", self.name())).unwrap()
    }

    pub fn room(&self, creator: &UserId, version: &str) -> OwnedRoomId {
        let room = NewRoom {
            version: version.to_owned(),
            join_rule: "public".to_owned(),
            ..NewRoom::default()
        };
        self.server.create_room(creator, &room).unwrap()
    }

    pub fn state(&self, room: &RoomId) -> Vec<String> {
        let state = self.server.with_room(room, |room| {
            let ids = room.state().events().map(|event| event.id().to_string());
            ids.collect::<Vec<_>>()
        });
        let mut state = state.unwrap();
        state.sort();
        state
    }

    pub fn has(&self, room: &RoomId, sent: &Sent) -> bool {
        let id = sent.event.id();
        self.server
            .with_room(room, |room| room.event(id).is_some())
            .unwrap()
    }
}

/// What the other server answered to a join.
#[track_caller]
pub fn answered<T: std::fmt::Debug>(result: Result<T, ActionError>) -> FederationError {
    match result {
        Err(ActionError::Call {
            source: CallError::Federation(error),
            ..
        }) => error,
        other => panic!("{other:?}"),
    }
}

/// That everyone in the room took it.
#[track_caller]
pub fn taken(sent: &Sent) {
    assert!(!sent.deliveries.is_empty());
    for delivered in &sent.deliveries {
        assert!(
            delivered.outcome.is_ok() && delivered.refused().count() == 0,
            "{delivered:?}"
        );
    }
}
