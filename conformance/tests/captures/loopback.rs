//! A gRPC client and server on loopback. The server verifies as a homeserver does, and keeps what it was called with.

use std::sync::{Arc, Mutex};

use comity_conformance::ReplySample;
use comity_core::{
    Operations, ServerName,
    auth::{Verify, XMatrixAuthenticator},
    call::{Call, Reply},
    endpoint::EndpointForm,
    error::{CallError, FederationError},
    transport::{FixedRoutes, Route, Transport},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, GrpcTransport};
use comity_net::{
    AddressGuard, Body, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions, Protocol,
};
use http::Request;
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::recording::Keys;

/// What the server answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Reply(ReplySample),
    Error(FederationError),
}

/// What the server saw of a call, behind the verify layer.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The gRPC method.
    pub(crate) rpc: String,
    pub(crate) form: EndpointForm,
    pub(crate) credentials: Vec<String>,
    pub(crate) origin: Option<ServerName>,
}

/// Both ends, for calls to one server.
pub(crate) struct Loopback {
    transport: GrpcTransport,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rpc: String,
    seen: Option<Seen>,
    answer: Option<Answer>,
}

impl Loopback {
    /// A server of this name that knows these operations, and its typed messages.
    pub(crate) async fn start(name: &ServerName, operations: Operations) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let keeper = state.clone();
        let service = service_fn(move |call: Call| {
            let answer = answer(&mut keeper.lock().unwrap(), &call);
            async move { answer }
        });
        let authenticator = XMatrixAuthenticator::new(name.clone(), Arc::new(Keys::load()));
        let verify = Verify::layer(Arc::new(authenticator));
        let grpc = GrpcServer::new(
            operations,
            Codecs::federation(),
            BoxCloneSyncService::new(verify.layer(service)),
            GrpcServerOptions::default(),
        );
        let (inner, keeper) = (grpc.into_service(), state.clone());
        let watched = BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
            keeper.lock().unwrap().rpc = request.uri().path().to_owned();
            inner.clone().oneshot(request)
        }));
        let listener = Listener::bind("127.0.0.1:0", ListenerOptions::default());
        let listener = listener.await.unwrap();
        let route = Route {
            addresses: vec![listener.local_addr()],
            host: name.to_string(),
            certificate_name: name.to_string(),
        };
        tokio::spawn(listener.serve(Dispatch::new(watched), std::future::pending()));
        let guard = AddressGuard::default().allow_loopback();
        let pool = Pool::new(
            Connector::danger_without_tls().with_guard(guard),
            PoolOptions::default().with_protocol(Protocol::Http2),
        );
        let routes = FixedRoutes::new().with(name.clone(), route);
        Self {
            transport: GrpcTransport::new(Arc::new(routes), pool),
            state,
        }
    }

    /// Sends a call as it is: what the server saw, if it came past verification, and what came back.
    pub(crate) async fn send(
        &self,
        call: Call,
        answer: Answer,
    ) -> (Option<Seen>, Result<Reply, CallError>) {
        *self.state.lock().unwrap() = State {
            answer: Some(answer),
            ..State::default()
        };
        let reply = self.transport.send(call).await;
        (self.state.lock().unwrap().seen.take(), reply)
    }
}

fn answer(state: &mut State, call: &Call) -> Result<Reply, CallError> {
    state.seen = Some(Seen {
        rpc: state.rpc.clone(),
        form: call.form().unwrap().clone(),
        credentials: call
            .context()
            .credentials
            .iter()
            .map(str::to_owned)
            .collect(),
        origin: call.context().origin().cloned(),
    });
    match state.answer.as_ref().unwrap() {
        Answer::Reply(reply) => Ok(reply.to_reply(None)),
        Answer::Error(error) => Err(error.clone().into()),
    }
}
