//! A gRPC client and server in this process, on loopback, without TLS.

use std::sync::{Arc, Mutex};

use comity_conformance::ReplySample;
use comity_core::{
    Operations, ServerName,
    call::{AnyRequest, Call, CallContext, Reply},
    endpoint::EndpointForm,
    error::{CallError, FederationError},
    transport::{FixedRoutes, Route, Transport},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, GrpcTransport};
use comity_net::{
    AddressGuard, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions, Protocol,
};
use tower::{service_fn, util::BoxCloneSyncService};

/// Both ends. The server keeps the form of what it is called with, and answers what it is told to.
pub(crate) struct Loopback {
    transport: GrpcTransport,
    destination: ServerName,
    server: Arc<Mutex<Server>>,
}

#[derive(Default)]
struct Server {
    seen: Option<EndpointForm>,
    answer: Option<ReplySample>,
}

impl Loopback {
    /// Starts the server on the current runtime.
    ///
    /// # Errors
    /// There is no port.
    pub(crate) async fn start() -> Result<Self, String> {
        let server = Arc::new(Mutex::new(Server::default()));
        let state = server.clone();
        let service = BoxCloneSyncService::new(service_fn(move |call: Call| {
            let answer = answer(&state, &call);
            async move { answer }
        }));
        let grpc = GrpcServer::new(
            Operations::federation(),
            Codecs::federation(),
            service,
            GrpcServerOptions::default(),
        );
        let listener = Listener::bind("127.0.0.1:0", ListenerOptions::default())
            .await
            .map_err(|error| format!("no port on loopback: {error}"))?;
        let address = listener.local_addr();
        let dispatch = Dispatch::new(grpc.into_service());
        tokio::spawn(listener.serve(dispatch, std::future::pending()));
        let destination: ServerName = "specification.example".parse().expect("a server name");
        let route = Route {
            addresses: vec![address],
            host: address.to_string(),
            certificate_name: destination.to_string(),
        };
        let guard = AddressGuard::default().allow_loopback();
        let pool = Pool::new(
            Connector::danger_without_tls().with_guard(guard),
            PoolOptions::default().with_protocol(Protocol::Http2),
        );
        let routes = FixedRoutes::new().with(destination.clone(), route);
        Ok(Self {
            transport: GrpcTransport::new(Arc::new(routes), pool),
            destination,
            server,
        })
    }

    /// The form in which a request arrives.
    ///
    /// # Errors
    /// It does not.
    pub(crate) async fn request(
        &self,
        request: Box<dyn AnyRequest>,
        form: EndpointForm,
    ) -> Result<EndpointForm, String> {
        // What it is answered is of no interest.
        let answer = self.send(request, form, None).await;
        let seen = self
            .server
            .lock()
            .map_err(|error| error.to_string())?
            .seen
            .take();
        seen.ok_or_else(|| format!("did not arrive: {answer:?}"))
    }

    /// The reply that arrives when the server gives `answer`.
    ///
    /// # Errors
    /// None does.
    pub(crate) async fn reply(
        &self,
        request: Box<dyn AnyRequest>,
        answer: ReplySample,
    ) -> Result<Reply, String> {
        let form = request.write().map_err(|error| error.to_string())?;
        let reply = self.send(request, form, Some(answer)).await;
        reply.map_err(|error| error.to_string())
    }

    async fn send(
        &self,
        request: Box<dyn AnyRequest>,
        form: EndpointForm,
        answer: Option<ReplySample>,
    ) -> Result<Reply, CallError> {
        *self.server.lock().expect("nobody panics with the lock") = Server { seen: None, answer };
        let context = CallContext::to(self.destination.clone());
        self.transport
            .send(Call::received(request, form, context))
            .await
    }
}

fn answer(server: &Mutex<Server>, call: &Call) -> Result<Reply, CallError> {
    let mut server = server.lock().expect("nobody panics with the lock");
    server.seen = call.form().cloned();
    match &server.answer {
        Some(answer) => Ok(answer.to_reply(None)),
        None => Err(FederationError::unrecognized().into()),
    }
}
