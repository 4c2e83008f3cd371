//! Our server, with every layer that stands between a wire and a handler, and a key ring that fetched its keys.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use comity_core::{
    CallService, Client, Operations, Router,
    api::{
        GetServerKeys, GetServerKeysReply, Keys, Membership, SendJoin, SendJoinMembers,
        SendJoinReply, SendTransaction, SendTransactionReply, Transactions, keys, membership,
        transactions,
    },
    auth::{
        Authenticator, KeyDocument, KeyRing, KeyRingOptions, PreparedKeys, SessionAuthenticator,
        Verify, XMatrixAuthenticator,
    },
    call::{Authenticated, CallContext},
    error::FederationError,
    event::Pdu,
    json::Object,
    layers::{Clocks, Permits, RunToEnd, Side, Trace},
    transport::{MemoryMode, MemoryTransport},
};
use comity_floors::bodies::state_event;
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions};
use comity_http::HttpServer;
use comity_net::{Dispatch, HttpService, Listener, ListenerOptions, Protocol, ServerTls};
use tower::{ServiceBuilder, util::BoxCloneSyncService};

use crate::{
    process::report_cpu,
    setting::{certificate, destination, origin, signing_key},
};

#[derive(Debug)]
struct Handlers;

#[async_trait]
impl Transactions for Handlers {
    async fn send_transaction(
        &self,
        _: &Authenticated,
        _: SendTransaction,
    ) -> Result<SendTransactionReply, FederationError> {
        Ok(SendTransactionReply::new(&Default::default()))
    }
}

#[async_trait]
impl Membership for Handlers {
    /// The room ID says how many state events there are: `!20000`.
    async fn send_join(
        &self,
        _: &Authenticated,
        request: SendJoin,
    ) -> Result<SendJoinReply, FederationError> {
        let state: u64 = request.room_id[1..]
            .parse()
            .map_err(|_| FederationError::not_found("the room is a number of events"))?;
        // Making and judging each event is a part of what writing the reply costs here, as the row of it says.
        let events = |count| {
            (0..count).map(|number| Pdu::judge(state_event(number)).expect("it is an event"))
        };
        Ok(SendJoinReply::new(
            vec![("auth_chain", events(state / 10)), ("state", events(state))],
            SendJoinMembers::default(),
        ))
    }
}

/// The sender's own server, as far as its keys are concerned.
#[derive(Debug)]
struct Sender;

#[async_trait]
impl Keys for Sender {
    async fn get_server_keys(
        &self,
        _: &CallContext,
        _: GetServerKeys,
    ) -> Result<GetServerKeysReply, FederationError> {
        let document = KeyDocument::new(origin(), i64::MAX >> 11)
            .sign(&[&signing_key()])
            .expect("one key signs");
        let document = Object::parse(document, usize::MAX).expect("a document is JSON");
        Ok(GetServerKeysReply { document })
    }
}

fn key_ring() -> KeyRing {
    let sender = Router::new().with(keys(Arc::new(Sender)));
    let transport = MemoryTransport::new(
        Operations::federation(),
        BoxCloneSyncService::new(sender),
        MemoryMode::ByValue,
    );
    KeyRing::new(Client::new(Arc::new(transport)), KeyRingOptions::default())
}

/// What stands behind a wire: every layer, and the handlers.
fn service(authenticator: Arc<dyn Authenticator>) -> CallService {
    Router::new()
        .with(transactions(Arc::new(Handlers)))
        .with(membership(Arc::new(Handlers)))
        .with(keys(Arc::new(Sender)))
        .layered(
            ServiceBuilder::new()
                .layer(Permits::layer(Side::Server, 1024, Duration::from_secs(1)))
                .layer(Trace::layer(Side::Server))
                .layer(Clocks::layer(Side::Server))
                .layer(Verify::layer(authenticator))
                .layer(RunToEnd::layer(1024)),
        )
}

fn x_matrix(prepared: PreparedKeys) -> XMatrixAuthenticator {
    let (keys, prepared) = (Arc::new(key_ring()), Arc::new(prepared));
    XMatrixAuthenticator::with_prepared_keys(destination(), keys, prepared)
}

/// Judges sessions by the keys of [`key_ring`].
pub(crate) fn sessions() -> SessionAuthenticator {
    SessionAuthenticator::new(x_matrix(PreparedKeys::default()))
}

/// Serves transactions and joins until the parent is gone, with tables of keys as these prepare them.
pub(crate) async fn serve(tls: bool, prepared: PreparedKeys) {
    let service = service(Arc::new(x_matrix(prepared)));
    let http = HttpServer::new(Operations::federation(), service).boxed();
    listen(http, tls, Protocol::Http1).await;
}

/// The same over gRPC with TLS, accepting sessions.
pub(crate) async fn serve_sessions() {
    let grpc = GrpcServer::new(
        Operations::federation(),
        Codecs::federation(),
        service(Arc::new(sessions())),
        GrpcServerOptions::default(),
    );
    listen(grpc.into_service(), true, Protocol::Http2).await;
}

/// Serves this until the parent is gone.
pub(crate) async fn listen(service: HttpService, tls: bool, protocol: Protocol) {
    let options = ListenerOptions {
        tls: tls.then(|| {
            let (chain, key) = certificate();
            ServerTls::from_pem(chain.as_bytes(), key.as_bytes()).expect("made as PEM")
        }),
        protocol,
        ..ListenerOptions::default()
    };
    let listener = Listener::bind(("127.0.0.1", 0), options)
        .await
        .expect("a port is free");
    report_cpu(listener.local_addr().port());
    listener
        .serve(Dispatch::new(service), std::future::pending())
        .await;
}
