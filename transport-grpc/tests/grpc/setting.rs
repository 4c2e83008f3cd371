//! A server and a client with certificates of their own.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use comity_core::{
    CallService, Client, Operations, ServerName,
    call::{Call, Reply},
    error::{CallError, FederationError},
    event::Pdu,
    json::{Object, Value},
    transport::{FixedRoutes, Route},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, GrpcTransport, is_grpc};
use comity_net::{
    AddressGuard, ClientTls, Connector, Dispatch, HttpService, Listener, ListenerOptions, Pool,
    PoolOptions, Protocol, ServerTls,
};
use tower::{service_fn, util::BoxCloneSyncService};

pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    pub(crate) root: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn destination() -> ServerName {
    "matrix.test".parse().unwrap()
}

/// A service that is one function.
pub(crate) fn handler<F, R>(handle: F) -> CallService
where
    F: Fn(Call) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Reply, CallError>> + Send + 'static,
{
    BoxCloneSyncService::new(service_fn(handle))
}

/// What nobody may reach.
pub(crate) fn nobody() -> CallService {
    handler(|call| async move { panic!("{call:?} arrived") })
}

pub(crate) fn fails(error: FederationError) -> CallService {
    handler(move |_| {
        let error = error.clone();
        async move { Err(error.into()) }
    })
}

impl Serving {
    pub(crate) async fn start(service: CallService) -> Self {
        Self::with(service, Operations::federation(), Codecs::federation()).await
    }

    /// A peer that lacks every typed method.
    pub(crate) async fn invoke_only(service: CallService) -> Self {
        Self::with(service, Operations::federation(), Codecs::none()).await
    }

    pub(crate) async fn with(service: CallService, operations: Operations, codecs: Codecs) -> Self {
        let grpc = GrpcServer::new(operations, codecs, service, GrpcServerOptions::default());
        Self::http(grpc.into_service()).await
    }

    /// Any HTTP service behind gRPC's predicate.
    pub(crate) async fn http(service: HttpService) -> Self {
        let other = BoxCloneSyncService::new(service_fn(|_| async {
            Ok(http::Response::new(comity_net::body::empty()))
        }));
        Self::dispatching(Dispatch::new(other).with(is_grpc, service)).await
    }

    pub(crate) async fn dispatching(dispatch: Dispatch) -> Self {
        let tls =
            |chain: &str, key: &str| ServerTls::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        Self::with_tls(dispatch, tls).await
    }

    /// With TLS made of a certificate chain and its key, both PEM.
    pub(crate) async fn with_tls(
        dispatch: Dispatch,
        tls: impl FnOnce(&str, &str) -> ServerTls,
    ) -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root_key = rcgen::KeyPair::generate().unwrap();
        let root = params.self_signed(&root_key).unwrap();
        let issuer = rcgen::Issuer::from_params(&params, &root_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec!["matrix.test".to_owned()])
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        let tls = tls(&leaf.pem(), &key.serialize_pem());
        let listener = Listener::bind("127.0.0.1:0", ListenerOptions::with_tls(tls))
            .await
            .unwrap();
        let address = listener.local_addr();
        let task = tokio::spawn(async move {
            listener.serve(dispatch, std::future::pending()).await;
        });
        Self {
            address,
            root: root.pem(),
            task,
        }
    }

    pub(crate) fn route(&self) -> Route {
        Route {
            addresses: vec![self.address],
            host: format!("matrix.test:{}", self.address.port()),
            certificate_name: "matrix.test".to_owned(),
        }
    }

    pub(crate) fn connector(&self) -> Connector {
        let tls = ClientTls::from_pem(self.root.as_bytes()).unwrap();
        Connector::new(tls).with_guard(AddressGuard::default().allow_loopback())
    }

    pub(crate) fn routes(&self) -> Arc<FixedRoutes> {
        Arc::new(FixedRoutes::new().with(destination(), self.route()))
    }

    pub(crate) fn pool(&self) -> Pool {
        Pool::new(
            self.connector(),
            PoolOptions::default().with_protocol(Protocol::Http2),
        )
    }

    pub(crate) fn transport(&self) -> GrpcTransport {
        GrpcTransport::new(self.routes(), self.pool())
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(Arc::new(self.transport()))
    }

    /// A client that has no typed method.
    pub(crate) fn invoking_client(&self) -> Client {
        Client::new(Arc::new(self.transport().with_codecs(Codecs::none())))
    }
}

pub(crate) fn object(json: impl Into<String>) -> Object {
    Object::parse(Bytes::from(json.into()), 1 << 30).unwrap()
}

pub(crate) fn value(json: impl Into<String>) -> Value {
    Value::parse(Bytes::from(json.into()), 1 << 30).unwrap()
}

pub(crate) fn pdu(number: usize) -> Pdu {
    Pdu::judge(value(format!(
        r#"{{"content":{{"n":{number}}},"type":"m.test"}}"#
    )))
    .unwrap()
}
