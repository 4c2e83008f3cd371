//! What the pages show, as plain data.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

/// Where the pages take what they show from.
#[async_trait]
pub trait StatusSource: Send + Sync + Debug + 'static {
    /// The gateway as it is now. It takes no longer than copying it does.
    fn status(&self) -> Status;

    /// Whether calls can be served: the listeners, the homeserver. It may ask them; an answer that takes over [`READY_TIMEOUT`](super::READY_TIMEOUT) counts as
    /// "no". Dropping the future gives up asking.
    async fn checks(&self) -> Vec<Check>;
}

/// The gateway at one moment.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The name of the homeserver beside the gateway.
    pub server_name: String,
    /// How long the gateway has been running.
    pub uptime: Duration,
    /// Whether it takes no new calls, and ends when those in flight have ended.
    pub draining: bool,
    /// Every destination that is known, in any order.
    pub destinations: Vec<DestinationRow>,
}

/// One thing without which no call can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// `listeners`, `homeserver`.
    pub name: &'static str,
    /// What is wrong, if anything is.
    pub fault: Option<String>,
}

impl Check {
    /// All is well.
    pub fn passed(name: &'static str) -> Self {
        Self { name, fault: None }
    }

    /// Something is wrong.
    pub fn failed(name: &'static str, fault: impl Into<String>) -> Self {
        Self {
            name,
            fault: Some(fault.into()),
        }
    }
}

/// A server that was called.
#[derive(Clone, Debug, Default)]
pub struct DestinationRow {
    /// Its name.
    pub server_name: String,
    /// The binding in use; empty if there is none.
    pub in_use: String,
    /// Why that one: `its key document offers it`.
    pub why: String,
    /// Each binding that was tried or is on offer.
    pub bindings: Vec<BindingRow>,
}

/// A destination's binding.
#[derive(Clone, Debug, Default)]
pub struct BindingRow {
    /// Identifier and version: `grpc/1`.
    pub binding: String,
    /// Calls that ended.
    pub calls: u64,
    /// Those of them that ended in an error, the peer's or on the way.
    pub errors: u64,
    /// Calls that went on over another binding, by the reason.
    pub fallbacks: Vec<(String, u64)>,
    /// Time to the head of a reply. `None`: there was none.
    pub latency: Option<Latency>,
    /// Not used for now.
    pub backoff: Option<BackoffRow>,
}

/// Time to the head of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half of the calls took no longer.
    pub median: Duration,
    /// 95 of 100 calls took no longer.
    pub p95: Duration,
}

/// A binding is not used after a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackoffRow {
    /// For how long from now.
    pub remaining: Duration,
    /// What failed.
    pub reason: String,
}

/// Sums since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls of the homeserver beside the gateway.
    pub outbound: u64,
    /// Calls of other servers.
    pub inbound: u64,
    /// Calls of either direction that ended in an error.
    pub errors: u64,
    /// Calls that were sent once more over another binding.
    pub fallbacks: u64,
    /// Calls that gRPC carried as `Invoke`.
    pub invoked: u64,
    /// Calls that share the reply of an identical one.
    pub coalesced: u64,
    /// Calls of other servers that were refused.
    pub authentication_failures: u64,
    /// Calls of other servers that were delivered without a check.
    pub unverified: u64,
}

impl DestinationRow {
    /// Whether a person should look at it: a binding is backed off, so that its calls go by another, or fail.
    pub(super) fn needs_attention(&self) -> bool {
        self.bindings.iter().any(|row| row.backoff.is_some())
    }
}
