//! A sidecar that changes the wire between two Matrix homeservers that know nothing of it.

#![forbid(unsafe_code)]

pub mod admin;
mod coalesce;
mod config;
mod deadlines;
mod egress;
mod gateway;
mod head;
mod homeserver;
mod open_paths;
mod operations;
mod outbound;
mod places;
mod secret;
mod services;
mod status;
mod traces;
mod verification;

pub use config::{
    Admin, Bindings, Certificate, Config, ConfigError, Discovery, Egress, Homeserver,
    HomeserverAddress, Limits, Listen, ListenAddress, PathPrefix, Peer, PeerBinding, Trust,
};
pub use gateway::{Gateway, StartError};
pub use secret::Secret;
