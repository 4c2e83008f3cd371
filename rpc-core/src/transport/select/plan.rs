//! From policy, offers and memory to the bindings that a call may try.

use std::sync::Arc;

use super::{
    BindingStatus, DestinationStatus, FallbackReason, Policies, Preference, SelectOptions, Shared,
    Why,
    state::{self, Destination},
};
use crate::{
    ServerName,
    auth::SessionUse,
    error::{Delivery, TransportError, TransportErrorKind},
    transport::ConnectTo,
};

/// The bindings that a call may try, best first. The last is the last resort: it is tried even if it is left alone.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// Whether what the destination offers matters.
    pub(super) asks_sources: bool,
    /// Whether the call waits for it, because there is no baseline to go by.
    pub(super) needs_sources: bool,
    /// The call waited for it to its deadline, and there was no room to ask.
    pub(super) had_no_turn: bool,
}

/// One binding to try.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Which transport.
    pub(super) binding: usize,
    /// Where to connect, for this binding alone.
    pub(super) connect_to: Option<ConnectTo>,
    /// Whether to prove calls by a session, if the operator says.
    pub(super) sessions: Option<SessionUse>,
    /// Whether it is signed that the destination takes sessions.
    pub(super) offers_sessions: bool,
    pub(super) why: Why,
}

impl Step {
    /// Whether somebody we believe says that it works: the operator does, the destination may be wrong.
    pub(super) fn is_proven(&self) -> bool {
        !matches!(self.why, Why::Offered(_))
    }
}

impl Plan {
    /// Why nothing is sent.
    pub(super) fn refusal(
        &self,
        destination: &ServerName,
        options: &SelectOptions,
    ) -> TransportError {
        let unknown = match self.had_no_turn {
            true => format!(
                "; what it offers could not be looked up in time, because {} look-ups at once are this side's limit (setting: look_ups)",
                options.look_ups
            ),
            false => String::new(),
        };
        TransportError::new(
            TransportErrorKind::Refused,
            Delivery::NotSent,
            format!(
                "the policy for {destination} leaves no binding: the one that it requires is switched off, unknown, or not offered there{unknown}"
            ),
        )
    }
}

impl Shared {
    pub(super) fn plan(&self, destination: &Destination, policies: &Policies) -> Plan {
        let policy = policies.of(&destination.name);
        let is_free = |binding: usize| policies.allows(self.transports[binding].name());
        let by_name = |name: &str| {
            let at = self.transports.iter().position(|one| one.name() == name);
            at.filter(|&at| is_free(at))
        };
        let step = |binding, offered: Option<ConnectTo>, offers_sessions: bool, why| Step {
            binding,
            connect_to: policy.connect_to.clone().or(offered),
            sessions: policy.sessions,
            offers_sessions,
            why,
        };
        let mut plan = Plan {
            steps: Vec::new(),
            asks_sources: false,
            needs_sources: false,
            had_no_turn: false,
        };
        match &policy.binding {
            Preference::Only(name) => {
                let at = by_name(name);
                plan.asks_sources = at.is_some_and(|at| at != 0) && policy.connect_to.is_none();
                // The operator says which; where, if he does not, the destination does.
                let offered = match plan.asks_sources {
                    true => destination.look_up.choices(&self.sources),
                    false => Vec::new(),
                };
                let offered = offered.into_iter().find(|choice| choice.binding == *name);
                let session = offered.as_ref().is_some_and(|choice| choice.session);
                let to = offered.and_then(|choice| choice.connect_to);
                plan.steps
                    .extend(at.map(|at| step(at, to, session, Why::Policy)));
            }
            Preference::Auto => {
                plan.asks_sources = (1..self.transports.len()).any(is_free);
                let choices = destination.look_up.choices(&self.sources);
                plan.steps.extend(choices.into_iter().filter_map(|choice| {
                    // The baseline is where it is: no source moves it.
                    let at = by_name(&choice.binding).filter(|&at| at != 0)?;
                    let why = Why::Offered(choice.source);
                    Some(step(at, choice.connect_to, choice.session, why))
                }));
            }
        }
        plan.needs_sources = policy.required
            && plan.asks_sources
            && (plan.steps.is_empty() || !destination.look_up.has_ended());
        let has_baseline = plan.steps.iter().any(|step| step.binding == 0);
        if !policy.required && !has_baseline && is_free(0) {
            let why = match (&policy.binding, plan.steps.is_empty()) {
                (Preference::Only(_), true) => Why::Unavailable,
                _ => Why::Baseline,
            };
            plan.steps.push(step(0, None, false, why));
        }
        plan
    }

    pub(super) fn status(
        &self,
        destination: &Arc<Destination>,
        policies: &Policies,
    ) -> DestinationStatus {
        let plan = self.plan(destination, policies);
        let free = plan.steps.iter().position(|step| {
            let fared = destination.fared(step.binding);
            let to = step.connect_to.as_ref();
            fared.refuses(to, step.is_proven()).is_none()
        });
        let at = free.or(plan.steps.len().checked_sub(1));
        let (binding, why) = match at {
            None => (None, Why::Unavailable),
            Some(at) => {
                let step = &plan.steps[at];
                let why = if at > 0 { Why::BackingOff } else { step.why };
                (Some(self.transports[step.binding].name()), why)
            }
        };
        let bindings = self.transports.iter().enumerate();
        DestinationStatus {
            destination: destination.name.clone(),
            binding,
            why,
            bindings: bindings
                .map(|(at, transport)| binding_status(destination, at, transport.name()))
                .collect(),
        }
    }
}

fn binding_status(destination: &Destination, at: usize, binding: &'static str) -> BindingStatus {
    let fared = destination.fared(at);
    let reasons = FallbackReason::ALL.into_iter();
    BindingStatus {
        binding,
        calls: fared.calls,
        in_flight: fared.in_flight,
        errors: fared.errors,
        error_answers: fared.error_answers,
        fallbacks: reasons
            .map(|reason| (reason, fared.fallbacks[reason as usize]))
            .filter(|(_, number)| *number > 0)
            .collect(),
        latency: fared.latency.summary(),
        failures: fared.failures,
        backing_off: state::left(fared.until),
    }
}
