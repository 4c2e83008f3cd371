//! What the operator wants, destination by destination, and how the choice behaves.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use crate::{
    ServerName,
    auth::{SessionUse, now_ms},
    layers::Observer,
    transport::ConnectTo,
};

/// What the operator wants. It stands above whatever a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// For destinations that have none of their own.
    pub default: Policy,
    /// For one destination.
    pub peers: BTreeMap<ServerName, Policy>,
    /// Bindings, by name, that are not used at all: the kill switch.
    pub disabled: BTreeSet<String>,
}

impl Policies {
    /// The policy for a destination.
    pub fn of(&self, destination: &ServerName) -> &Policy {
        self.peers.get(destination).unwrap_or(&self.default)
    }

    pub(super) fn allows(&self, binding: &str) -> bool {
        !self.disabled.contains(binding)
    }
}

/// What the operator wants for a destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Which binding.
    pub binding: Preference,
    /// Where to connect, by whichever binding, instead of where the destination's name or its own offer of that binding leads.
    pub connect_to: Option<ConnectTo>,
    /// Whether a call fails rather than go by another binding. With [`Preference::Auto`] it goes by a binding that the destination offers, or fails.
    pub required: bool,
    /// Whether calls prove their origin by a session of the connection. If this is `None`, as the caller says, else as is usual, else as the destination's signed offer
    /// says ([`SessionOptions::use_for`](crate::auth::SessionOptions::use_for)). Where it is [required](SessionUse::Required), a call that needs a proof goes by no
    /// binding that has none, HTTPS for one: it waits until it is known what the destination offers, and fails if that has none either.
    pub sessions: Option<SessionUse>,
}

/// Which binding a policy prefers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// What the destination offers, else the baseline.
    #[default]
    Auto,
    /// The one with this name, whatever the destination offers; the baseline if that fails, unless it is required.
    Only(String),
}

/// How the choice behaves.
#[derive(Clone)]
pub struct SelectOptions {
    /// Most destinations that are remembered, of those that have answered; an eighth as many of those that have not. What is known of the one that was used least
    /// recently is forgotten first.
    pub capacity: u64,
    /// How long a binding that failed is left alone, the first time. It doubles with each failure in a row.
    pub backoff: Duration,
    /// The longest that it is left alone.
    pub longest_backoff: Duration,
    /// The time of a call that is kept for another binding, while the first one lets it wait: at most half of what there is. Zero: no attempt is
    /// given up for that, and what finds a connection that no longer answers is the binding's own PING.
    pub reserve: Duration,
    /// How long one look-up of a destination's bindings may take. No call waits for it, but one that a policy forbids the baseline.
    pub look_up: Duration,
    /// Most look-ups at once. A call that finds no room for one goes by the baseline, and a later one tries again; one that a policy forbids the baseline waits for room until its deadline.
    pub look_ups: usize,
    /// The longest that an offer counts without being looked up again.
    pub longest_offer: Duration,
    /// Is told of every fallback.
    pub observer: Option<Arc<dyn Observer>>,
    /// Milliseconds since the Unix epoch, now.
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Default for SelectOptions {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            backoff: Duration::from_secs(60),
            longest_backoff: Duration::from_secs(3600),
            reserve: Duration::from_secs(20),
            look_up: Duration::from_secs(15),
            look_ups: 64,
            longest_offer: Duration::from_secs(24 * 3600),
            observer: None,
            now: Arc::new(now_ms),
        }
    }
}

impl fmt::Debug for SelectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelectOptions")
            .field("capacity", &self.capacity)
            .field("backoff", &self.backoff)
            .field("longest_backoff", &self.longest_backoff)
            .field("reserve", &self.reserve)
            .field("look_up", &self.look_up)
            .field("look_ups", &self.look_ups)
            .field("longest_offer", &self.longest_offer)
            .field("observer", &self.observer)
            .finish_non_exhaustive()
    }
}
