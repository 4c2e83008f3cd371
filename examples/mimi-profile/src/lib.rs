//! A server of the IETF's edition alone (draft-ralston-mimi-matrix-framework, "Federation API"): six groups of calls, which are three traits of Comity's.
//!
//! | the draft's calls | trait |
//! | --- | --- |
//! | sending events | [`Transactions`](api::Transactions) |
//! | retrieving events | [`Events`](api::Events) |
//! | invite, join, knock, leave | [`Membership`](api::Membership) |
//!
//! Beside them the edition has `GetServerKeys`, which belongs to authentication: without it nobody can check what this server signs. Of the group
//! [`Keys`](api::Keys) nothing else is taken in. Everything outside the profile is answered "unrecognized", on every binding, by the registry alone: no handler of it exists.
//!
//! What the traits do is the business of [`comity_homeserver`], whose implementation of them is taken as it is. Whether a room is of the IETF's edition or of
//! Matrix's is a matter of its version, and a server registers those that it speaks ([`versions`]).

#![forbid(unsafe_code)]

use std::sync::Arc;

use comity_core::{
    CallService, Operations, Router, api,
    auth::{Authenticator, Verify},
    call::Edition,
    layers::{Clocks, RunToEnd, Side},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, is_grpc};
use comity_homeserver::{Homeserver, Versions};
use comity_http::HttpServer;
use comity_net::Dispatch;

/// Most calls that run on after their caller has gone.
const UNFINISHED: usize = 256;

/// What is taken in: the edition's operations.
pub fn operations() -> Operations {
    Operations::federation().in_edition(Edition::Ietf)
}

/// The room versions of both editions: the API's edition says nothing about rooms.
pub fn versions() -> Versions {
    Versions::matrix().and(Versions::ietf())
}

/// The three traits and the keys, behind the layers of a server.
pub fn service(server: Homeserver, authenticator: Arc<dyn Authenticator>) -> CallService {
    let server = Arc::new(server);
    Router::new()
        .with(api::transactions(server.clone()))
        .with(api::events(server.clone()))
        .with(api::membership(server.clone()))
        .with(api::keys(server))
        .layered((
            Clocks::layer(Side::Server),
            Verify::layer(authenticator),
            RunToEnd::layer(UNFINISHED),
        ))
}

/// The service over both bindings, for one listener.
pub fn bindings(operations: Operations, service: CallService) -> Dispatch {
    let grpc = GrpcServer::new(
        operations.clone(),
        Codecs::federation(),
        service.clone(),
        GrpcServerOptions::default(),
    );
    Dispatch::new(HttpServer::new(operations, service).boxed()).with(is_grpc, grpc.into_service())
}
