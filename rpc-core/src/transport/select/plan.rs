//! From policy, offers and memory to the bindings that a call may try.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    BindingStatus, DestinationStatus, FallbackReason, Policies, Preference, SelectOptions, Shared,
    Why,
    policy::Policy,
    state::{self, Destination},
};
use crate::{
    ServerName,
    auth::{SessionUse, no_session, session_setting},
    call::{Authentication, Call},
    error::{Delivery, TransportError, TransportErrorKind},
    transport::{ConnectTo, Transport},
};

/// What of a call matters for its plan.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    pub(super) deadline: Option<Instant>,
    /// Whether its origin has to be proven.
    proves: bool,
    /// What the caller says of sessions, and the setting that says it.
    sessions: Option<(SessionUse, &'static str)>,
}

impl Asked {
    pub(super) fn of(call: &Call) -> Self {
        let context = call.context();
        Self {
            deadline: context.deadline,
            proves: call.spec().authentication == Authentication::Server,
            sessions: context.said_of_sessions(),
        }
    }

    /// Any call that proves its origin, and says nothing of sessions.
    fn any() -> Self {
        Self {
            proves: true,
            ..Self::default()
        }
    }
}

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
    /// The setting that requires a session, if one does, and the bindings that are left out because they have none.
    required: Option<&'static str>,
    without_session: Vec<&'static str>,
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
    /// The setting that requires one, if one does.
    pub(super) required: Option<&'static str>,
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
    /// Leaves out what cannot prove a call by a session.
    fn leave_out(&mut self, transports: &[Arc<dyn Transport>]) {
        let left_out = &mut self.without_session;
        self.steps.retain(|step| {
            let transport = &transports[step.binding];
            let binds = transport.capabilities().channel_binding;
            if !binds {
                left_out.push(transport.name());
            }
            binds
        });
    }

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
        if let (Some(setting), false) = (self.required, self.without_session.is_empty()) {
            let left_out = self.without_session.join(", ");
            let has = match self.without_session.len() {
                1 => "has",
                _ => "have",
            };
            return no_session(
                format_args!("to {destination}"),
                setting,
                format_args!(
                    "{left_out} {has} none, and policy and offers leave no other binding{unknown}"
                ),
            );
        }
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
    pub(super) fn plan(
        &self,
        destination: &Destination,
        policies: &Policies,
        asked: Asked,
    ) -> Plan {
        let policy = policies.of(&destination.name);
        let required = self.required(policy, asked);
        let is_free = |binding: usize| policies.allows(self.transports[binding].name());
        let by_name = |name: &str| {
            let at = self.transports.iter().position(|one| one.name() == name);
            at.filter(|&at| is_free(at))
        };
        let step = |binding, offered: Option<ConnectTo>, offers_sessions: bool, why| Step {
            binding,
            connect_to: policy.connect_to.clone().or(offered),
            sessions: policy.sessions,
            required,
            offers_sessions,
            why,
        };
        let mut plan = Plan {
            steps: Vec::new(),
            asks_sources: false,
            needs_sources: false,
            had_no_turn: false,
            required,
            without_session: Vec::new(),
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
        let has_baseline = plan.steps.iter().any(|step| step.binding == 0);
        if required.is_some() {
            plan.leave_out(&self.transports);
        }
        plan.needs_sources = plan.asks_sources
            && match plan.steps.is_empty() {
                true => {
                    (policy.required || required.is_some())
                        && self.may_bring(policy, &plan, is_free)
                }
                false => policy.required && !destination.look_up.has_ended(),
            };
        if !policy.required && !has_baseline && is_free(0) {
            let why = match (&policy.binding, plan.steps.is_empty()) {
                (Preference::Only(_), true) => Why::Unavailable,
                _ => Why::Baseline,
            };
            plan.steps.push(step(0, None, false, why));
            if required.is_some() {
                plan.leave_out(&self.transports);
            }
        }
        plan
    }

    /// Whether an answer of the destination's can bring a binding that the call may go by: a single one that the operator chose is no better for being offered.
    fn may_bring(&self, policy: &Policy, plan: &Plan, is_free: impl Fn(usize) -> bool) -> bool {
        let binds = |at: usize| self.transports[at].capabilities().channel_binding;
        matches!(policy.binding, Preference::Auto)
            && (1..self.transports.len())
                .any(|at| is_free(at) && (plan.required.is_none() || binds(at)))
    }

    /// The setting that requires a session of this call, if it needs a proof.
    fn required(&self, policy: &Policy, asked: Asked) -> Option<&'static str> {
        let setting = session_setting(policy.sessions, asked.sessions, self.requires_session);
        setting.filter(|_| asked.proves)
    }

    pub(super) fn status(
        &self,
        destination: &Arc<Destination>,
        policies: &Policies,
    ) -> DestinationStatus {
        let plan = self.plan(destination, policies, Asked::any());
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
