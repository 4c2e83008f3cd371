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
    endpoint::federation_error,
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
    budget::{Budget, Room, unread_replies},
    circles::Circles,
    coalesce::Coalesce,
    deadlines::Deadlines,
    egress::{Egress, OwnOrigin},
    head::Heads,
    open_paths::OnlyOpen,
    operations::operations,
    traces::{OwnTraces, Peers},
    verification::{Screen, Verification},
};

/// The setting of how many calls may be in flight.
const CALLS: &str = "limits.calls";

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
        .layer(Permits::named(
            Side::Client,
            config.limits.calls,
            TURN,
            CALLS,
        ))
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
        .layer(Permits::named(
            Side::Server,
            config.limits.calls,
            TURN,
            CALLS,
        ))
        .layer(Verification::layer(
            name.clone(),
            keys.clone(),
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
    let mut http = HttpServer::with_options(operations(), service.clone(), http_options(config))
        .with_admission(open.clone());
    let told = metrics.clone();
    let options = GrpcServerOptions::default()
        .with_trace()
        .with_via(name.clone())
        .with_on_invoke(OnInvoke::new(move |spec| {
            told.invoked(Direction::Inbound, spec.name);
        }));
    let mut grpc =
        GrpcServer::new(operations(), Codecs::federation(), service, options).with_admission(open);
    // Where bad proofs are delivered all the same, none is refused for its looks.
    if !config.listen.danger_deliver_unverified {
        let screen = Arc::new(Screen::new(name.clone(), keys, metrics.clone()));
        http = http.with_screen(screen.clone());
        grpc = grpc.with_screen(screen);
    }
    let switch = shared.grpc.clone();
    let room = Room::new(config.limits.request_memory);
    let own_name = name.clone();
    let refusal = move || federation_error(unread_replies().spoken_by(own_name.as_str()));
    let http = Budget::new(http.boxed(), room.clone(), {
        let refusal = refusal.clone();
        move || comity_http::reply::error_response(&refusal())
    });
    let grpc = Budget::new(grpc.into_service(), room, move || {
        comity_grpc::error_response(&refusal())
    });
    let (http, grpc) = (HttpService::new(http), HttpService::new(grpc));
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
