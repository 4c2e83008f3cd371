//! What the gateway counts besides the calls themselves.

use std::sync::atomic::{AtomicU64, Ordering};

/// One count, from the start of the gateway.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn so_far(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts of a gateway.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Peers' calls that were refused for a signature that is wrong, or for credentials that cannot be read or are for another server.
    pub refused: Count,
    /// Peers' calls that were delivered although no key of the caller could be had.
    pub unverified: Count,
    /// Peers' calls that were delivered although their proof is bad, because of `danger_deliver_unverified`.
    pub danger_delivered: Count,
    /// Peers' calls of targets that are not open.
    pub closed_paths: Count,
    /// The homeserver's calls, or somebody's who is not the homeserver, that were refused at the egress.
    pub egress_refused: Count,
    /// Calls that waited for the same call of a peer's, in flight, instead of being made again.
    pub joined: Count,
    /// gRPC calls that arrived as `Invoke`.
    pub invokes_received: Count,
}
