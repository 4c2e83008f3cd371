//! Which binding a call goes by, and what happens when that one fails.
//!
//! - `policy.rs`: what the operator wants, and how the choice behaves
//! - `offers.rs`: what a destination says of itself
//! - `state.rs`: what is remembered of how each binding fared
//! - `plan.rs`: from those three to the bindings that a call may try
//! - `attempts.rs`: the first of them, and the one that it falls back to
//! - `reason.rs`: why a call leaves a binding, and whether it may
//! - `status.rs`: what can be seen of it all

mod attempts;
mod offers;
mod plan;
mod policy;
mod reason;
mod state;
mod status;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use moka::{future::Cache, policy::EvictionPolicy};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use self::{
    plan::{Asked, Plan},
    state::Destination,
};
use super::{Capabilities, Offers, Transport, sign_for};
use crate::{
    ServerName,
    auth::session_setting,
    call::{Call, Reply},
    error::CallError,
};

pub use policy::{Policies, Policy, Preference, SelectOptions};
pub use reason::FallbackReason;
pub use status::{BindingStatus, DestinationStatus, LatencySummary, Why};

/// For each stranger there is room for so many that answered.
const STRANGERS: u64 = 8;

/// A transport that is several: for each call it chooses the binding by what the operator wants, what the destination offers and how it fared
/// before, and goes back to the baseline where that one fails.
///
/// - *Order*: the operator's policy; the sources of offers in their order; the baseline. A source adds bindings and never takes one away, replaces what a source before it
///   said, or moves the baseline. No call waits for a source: while a destination's offers are looked up, its calls go by the baseline.
/// - *Falling back*: a call that was surely not processed goes by the baseline next, whatever it is; one that may have been, only if it is safe or keyed, with the same form, content
///   and credentials. An error as the answer is final, and so is a reply of which the head has come. Two bindings at most, and one deadline.
/// - *Time*: while an attempt that could be repeated waits for its reply, [`SelectOptions::reserve`] of the time to the deadline, or to the operation's clock for the head, is kept
///   for the other binding. A call that must not be repeated has all the time: nobody can tell from outside whether it was sent, so its transport has to bound how long it connects.
/// - *Backing off*: a binding that fails is left alone, from a minute to an hour, and then one call finds out, as it does where a binding is offered and has never answered. That a call is slow, or refused for what it is,
///   does not count. The baseline is never left alone, so a failure of another binding never counts against the destination.
/// - *Policies* can be changed at any time. A call under way ends its attempt; whether it may fall back is asked anew.
///
/// Each fallback is counted in [`DestinationStatus`], told to the [observer](SelectOptions::observer) and an event of `tracing` with its [`FallbackReason`].
/// It stands behind [`Sign`](crate::auth::Sign), because another binding gets the same signature, and behind [`Flow`](crate::layers::Flow), so that a destination has one transaction
/// in flight whatever the binding. Dropping a call cancels the attempt that is under way.
#[derive(Clone)]
pub struct Select {
    shared: Arc<Shared>,
}

struct Shared {
    /// The baseline first.
    transports: Vec<Arc<dyn Transport>>,
    sources: Arc<[Arc<dyn Offers>]>,
    policies: RwLock<Arc<Policies>>,
    /// Those that answered, whatever became of them since.
    destinations: Cache<ServerName, Arc<Destination>>,
    /// Those that were called first and have not answered, or not when they came here: whoever makes names up pushes out no other's.
    strangers: Cache<ServerName, Arc<Destination>>,
    look_ups: Arc<Semaphore>,
    /// Whether a binding requires sessions where nobody says otherwise: then no other may do without.
    requires_session: bool,
    options: Arc<SelectOptions>,
}

impl Select {
    /// Chooses among `baseline` and `others`. Policies are all default until they are [set](Self::set_policies).
    pub fn new(
        baseline: Arc<dyn Transport>,
        others: Vec<Arc<dyn Transport>>,
        sources: Vec<Arc<dyn Offers>>,
        options: SelectOptions,
    ) -> Self {
        let mut transports = vec![baseline];
        transports.extend(others);
        let requires_session = (transports.iter()).any(|one| one.capabilities().requires_session);
        let remembered = |capacity| {
            let cache = Cache::builder().max_capacity(capacity);
            cache.eviction_policy(EvictionPolicy::lru()).build()
        };
        Self {
            shared: Arc::new(Shared {
                transports,
                sources: sources.into(),
                policies: RwLock::default(),
                destinations: remembered(options.capacity),
                strangers: remembered((options.capacity / STRANGERS).max(1)),
                look_ups: Arc::new(Semaphore::new(options.look_ups)),
                requires_session,
                options: Arc::new(options),
            }),
        }
    }

    /// Replaces what the operator wants. Calls that begin from now on go by it.
    pub fn set_policies(&self, policies: Policies) {
        let known: Vec<_> = self.bindings().collect();
        let of_policies = std::iter::once(&policies.default).chain(policies.peers.values());
        let named = of_policies.filter_map(|policy| match &policy.binding {
            Preference::Only(name) => Some(name),
            Preference::Auto => None,
        });
        for name in named.chain(&policies.disabled) {
            if !known.contains(&name.as_str()) {
                tracing::warn!(binding = name, ?known, "a policy names an unknown binding");
            }
        }
        let mut own = self
            .shared
            .policies
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *own = Arc::new(policies);
    }

    /// What the operator wants now.
    pub fn policies(&self) -> Arc<Policies> {
        let policies = self.shared.policies.read();
        policies.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The names of the bindings, the baseline first: those that a policy can name.
    pub fn bindings(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.shared
            .transports
            .iter()
            .map(|transport| transport.name())
    }

    /// Every destination that is remembered, by name: at most [`SelectOptions::capacity`] that answered, and an eighth as many that did not.
    pub fn destinations(&self) -> Vec<DestinationStatus> {
        let (policies, shared) = (self.policies(), &self.shared);
        let all = shared.destinations.iter().chain(shared.strangers.iter());
        // One that answered lately is in both.
        let all: BTreeMap<_, _> = all.collect();
        let all = all.values();
        all.map(|destination| shared.status(destination, &policies))
            .collect()
    }

    /// One destination, if it is remembered.
    pub async fn destination(&self, name: &ServerName) -> Option<DestinationStatus> {
        let destination = self.shared.known(name).await?;
        Some(self.shared.status(&destination, &self.policies()))
    }

    /// Waits until it is known what a destination offers, if the policy lets that count and it is unknown or due: for a program whose first call is not to go by the
    /// baseline for want of knowing. It takes [`SelectOptions::look_up`] at most, once there is room. Dropping it stops the waiting alone.
    pub async fn look_up(&self, name: &ServerName) {
        let (shared, destination) = (&self.shared, self.remembered(name).await);
        let plan = shared.plan(&destination, &self.policies(), Asked::default());
        if plan.asks_sources {
            let (sources, look_ups) = (&shared.sources, &shared.look_ups);
            offers::needed(&destination, sources, look_ups, &shared.options).await;
        }
    }

    async fn remembered(&self, name: &ServerName) -> Arc<Destination> {
        let shared = &self.shared;
        if let Some(known) = shared.known(name).await {
            return known;
        }
        let fresh = async {
            let sources = shared.sources.len();
            Arc::new(Destination::new(name.clone(), self.bindings(), sources))
        };
        let entry = shared.strangers.entry_by_ref(name);
        entry.or_insert_with(fresh).await.into_value()
    }

    /// The bindings that a call may try now. A look-up begins if one is due.
    async fn plan(&self, destination: &Arc<Destination>, asked: Asked) -> Plan {
        let shared = &self.shared;
        let policies = self.policies();
        let mut plan = shared.plan(destination, &policies, asked);
        if plan.asks_sources {
            offers::refresh(
                destination,
                &shared.sources,
                &shared.look_ups,
                &shared.options,
            );
            if plan.needs_sources {
                let ended = offers::needed(
                    destination,
                    &shared.sources,
                    &shared.look_ups,
                    &shared.options,
                );
                let in_time = match asked.deadline {
                    Some(deadline) => timeout_at(deadline, ended).await.is_ok(),
                    None => {
                        ended.await;
                        true
                    }
                };
                plan = shared.plan(destination, &self.policies(), asked);
                plan.had_no_turn = !in_time && !destination.look_up.is_running();
            }
        }
        plan
    }
}

#[async_trait]
impl Transport for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    /// What every binding can do; the largest message is the baseline's. If any binds proofs to its connections, calls are signed here for the others.
    fn capabilities(&self) -> Capabilities {
        let transports = self.shared.transports.iter();
        let all = transports.map(|transport| transport.capabilities());
        all.reduce(|all, one| Capabilities {
            streaming: all.streaming && one.streaming,
            multiplexed: all.multiplexed && one.multiplexed,
            deadline_propagation: all.deadline_propagation && one.deadline_propagation,
            cancellation: all.cancellation && one.cancellation,
            delivery_certainty: all.delivery_certainty && one.delivery_certainty,
            channel_binding: all.channel_binding || one.channel_binding,
            requires_session: all.requires_session || one.requires_session,
            max_message: all.max_message,
        })
        .unwrap_or(Capabilities::NONE)
    }

    async fn send(&self, mut call: Call) -> Result<Reply, CallError> {
        let shared = &self.shared;
        let Some(name) = call.context().destination.clone() else {
            let caller = call.context().said_of_sessions();
            let required = session_setting(None, caller, shared.requires_session);
            sign_for(&*shared.transports[0], &mut call, required)?;
            return shared.transports[0].send(call).await;
        };
        // Made once: what goes out by a second binding is what the first one had.
        call.make_form()?;
        let begun = Instant::now();
        let destination = self.remembered(&name).await;
        let plan = self.plan(&destination, Asked::of(&call)).await;
        let Some((first, attempt, next)) = shared.begin(&destination, &plan, &call) else {
            call.context().note_binding("");
            return Err(plan.refusal(&name, &shared.options).into());
        };
        let Some(next) = next else {
            let result = shared.attempt(&first, attempt, call, None).await?;
            return result.map_err(|failed| failed.error.into());
        };
        let limit = shared.limit(&call, begun);
        let again = call.duplicate();
        match shared.attempt(&first, attempt, call, limit).await? {
            Ok(reply) => Ok(reply),
            Err(failed) => {
                let steps = (first, next);
                self.fall_back(&destination, again, steps, failed).await
            }
        }
    }
}

impl fmt::Debug for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select")
            .field("transports", &self.shared.transports)
            .field("sources", &self.shared.sources)
            .field("destinations", &self.shared.destinations.entry_count())
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl Shared {
    async fn known(&self, name: &ServerName) -> Option<Arc<Destination>> {
        match self.destinations.get(name).await {
            Some(known) => Some(known),
            None => self.strangers.get(name).await,
        }
    }
}
