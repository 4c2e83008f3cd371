//! What stands behind the two listeners, layer by layer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use comity_core::{
    CallService,
    auth::KeySource,
    layers::{Flow, Hops, Observe, Observer, Permits, RunToEnd, Side},
    transport::{Transport, TransportService},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, OnInvoke, is_grpc};
use comity_http::{HttpServer, HttpServerOptions, request::PeerHeaders};
use comity_net::{Dispatch, HttpService};
use tower::{ServiceBuilder, util::BoxCloneSyncService};

use crate::{
    Config,
    admin::{Direction, Metrics},
    budget::Budget,
    circles::Circles,
    coalesce::Coalesce,
    deadlines::Deadlines,
    egress::{Egress, OwnOrigin},
    head::Heads,
    open_paths::OnlyOpen,
    operations::operations,
    traces::{OwnTraces, Peers},
    verification::Verification,
};

/// How long a call waits for its turn when as many as may be are in flight.
const TURN: Duration = Duration::from_secs(5);

/// How long a transaction waits for the one before it to the same destination: as long as Synapse waits for its end.
const LANE: Duration = Duration::from_secs(60);

/// What both sides have in common.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) peers: Peers,
    pub(crate) metrics: Metrics,
    /// The kill switch.
    pub(crate) grpc: Arc<AtomicBool>,
}

/// What answers the homeserver's calls: peers, by way of `calls`.
pub(crate) fn egress(config: &Config, calls: Arc<dyn Transport>, shared: &Shared) -> Dispatch {
    let name = &config.server_name;
    let metrics = &shared.metrics;
    let observer: Arc<dyn Observer> = Arc::new(metrics.clone());
    let layers = ServiceBuilder::new()
        .layer(Observe::layer(Side::Client, observer.clone()))
        .layer(OwnOrigin::layer(name.clone(), metrics.clone()))
        .layer(Circles::layer(
            name.clone(),
            Direction::Outbound,
            metrics.clone(),
        ))
        .layer(Hops::layer(name.clone()))
        .layer(OwnTraces::outbound(shared.peers.clone()))
        .layer(Permits::layer(Side::Client, config.limits.calls, TURN))
        .layer(Heads::layer())
        .layer(RunToEnd::layer(config.limits.calls))
        .layer(Coalesce::layer(Direction::Outbound, metrics.clone()))
        .layer(Deadlines::layer())
        .layer(Flow::layer(LANE));
    let service: CallService =
        BoxCloneSyncService::new(layers.service(TransportService::new(calls)));
    let server = HttpServer::with_options(operations(), service, http_options(config));
    let egress = Egress::new(
        name.clone(),
        config.egress.secret.clone(),
        server,
        metrics.clone(),
    );
    Dispatch::new(egress.boxed())
}

/// What answers peers' calls: the homeserver, by way of `delivery`.
pub(crate) fn inbound(
    config: &Config,
    delivery: Arc<dyn Transport>,
    keys: Arc<dyn KeySource>,
    shared: &Shared,
) -> Dispatch {
    let name = &config.server_name;
    let metrics = &shared.metrics;
    let observer: Arc<dyn Observer> = Arc::new(metrics.clone());
    let open = OnlyOpen::new(config.homeserver.paths.clone(), metrics.clone());
    let layers = ServiceBuilder::new()
        .layer(Observe::layer(Side::Server, observer))
        .layer(open.clone().layer())
        .layer(Circles::layer(
            name.clone(),
            Direction::Inbound,
            metrics.clone(),
        ))
        .layer(Hops::layer(name.clone()))
        .layer(Permits::layer(Side::Server, config.limits.calls, TURN))
        .layer(Verification::layer(
            name.clone(),
            keys,
            config.listen.danger_deliver_unverified,
            config.limits.calls,
            metrics.clone(),
        ))
        .layer(OwnTraces::inbound(shared.peers.clone()))
        .layer(Heads::layer())
        .layer(RunToEnd::layer(config.limits.calls))
        .layer(Coalesce::layer(Direction::Inbound, metrics.clone()))
        .layer(Deadlines::layer());
    let homeserver = TransportService::new(delivery);
    let service: CallService = BoxCloneSyncService::new(layers.service(homeserver));

    let open = Arc::new(open);
    let http = HttpServer::with_options(operations(), service.clone(), http_options(config))
        .with_admission(open.clone());
    let told = metrics.clone();
    let options = GrpcServerOptions::default()
        .with_trace()
        .with_via(name.clone())
        .with_on_invoke(OnInvoke::new(move |spec| {
            told.invoked(Direction::Inbound, spec.name);
        }));
    let grpc =
        GrpcServer::new(operations(), Codecs::federation(), service, options).with_admission(open);
    let switch = shared.grpc.clone();
    let room = Budget::room(config.limits.request_memory);
    let http = HttpService::new(Budget::new(http.boxed(), room.clone()));
    let grpc = HttpService::new(Budget::new(grpc.into_service(), room));
    Dispatch::new(http).with(
        move |head| switch.load(Ordering::Relaxed) && is_grpc(head),
        grpc,
    )
}

fn http_options(config: &Config) -> HttpServerOptions {
    HttpServerOptions {
        peer: PeerHeaders {
            trace: true,
            ..PeerHeaders::default()
        },
        via: Some(config.server_name.clone()),
        ..HttpServerOptions::default()
    }
}
