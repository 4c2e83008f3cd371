//! The attempts of a call: the first, and the one that it falls back to.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::{
    FallbackReason, Select, Shared,
    plan::{Asked, Plan, Step},
    state::{Attempt, Destination, Watched},
};
use crate::{
    auth::SessionUse,
    call::{Call, Reply},
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    layers::{FellBack, stream},
    transport::sign_for,
};

/// What an attempt came to, if it did not end the call.
pub(super) struct Failed {
    pub(super) error: TransportError,
    /// The attempt, if no reply came in time. Another binding shows whether that was this one's fault.
    hung: Option<Attempt>,
}

impl Select {
    /// Sends a call by the next binding, if what happened to it by the first one allows that.
    pub(super) async fn fall_back(
        &self,
        destination: &Arc<Destination>,
        call: Call,
        (first, next): (Step, Step),
        failed: Failed,
    ) -> Result<Reply, CallError> {
        let shared = &self.shared;
        let reason = match failed.hung {
            Some(_) => Some(FallbackReason::NoReply),
            None => FallbackReason::of(&failed.error, call.spec().idempotency),
        };
        let Some(reason) = reason.filter(|_| has_time(&call)) else {
            return Err(failed.error.into());
        };
        // The operator may have changed what is allowed while the first attempt was under way.
        let now = shared.plan(destination, &self.policies(), Asked::of(&call));
        let still = now.steps.into_iter().find(|it| it.binding == next.binding);
        let Some(next) = still else {
            return Err(failed.error.into());
        };
        let to = next.connect_to.clone();
        let begun = destination.begin(next.binding, to, next.is_proven(), true);
        let Ok(attempt) = begun else {
            return Err(failed.error.into());
        };
        shared.fell_back(destination, &call, (&first, &next), reason);
        let result = shared.attempt(&next, attempt, call, None).await;
        if let Some(hung) = &failed.hung
            && !matches!(result, Ok(Err(_)))
        {
            hung.hung(&shared.options);
        }
        let over = shared.transports[first.binding].name();
        result?.map_err(|second| both(failed.error, second.error, over).into())
    }
}

impl Shared {
    /// Begins the first attempt, by the first binding of the plan that is not left alone.
    pub(super) fn begin(
        &self,
        destination: &Arc<Destination>,
        plan: &Plan,
        call: &Call,
    ) -> Option<(Step, Attempt, Option<Step>)> {
        let mut left: Vec<(&Step, FallbackReason)> = Vec::new();
        let last = plan.steps.len().checked_sub(1)?;
        for (at, step) in plan.steps.iter().enumerate() {
            let to = step.connect_to.clone();
            let begun = destination.begin(step.binding, to, step.is_proven(), at == last);
            let attempt = match begun {
                Ok(attempt) => attempt,
                Err(reason) => {
                    left.push((step, reason));
                    continue;
                }
            };
            for (left, reason) in left {
                self.fell_back(destination, call, (left, step), reason);
            }
            // Two bindings at most: the second is always the last resort.
            let next = (at < last).then(|| plan.steps[last].clone());
            return Some((step.clone(), attempt, next));
        }
        None
    }

    /// Sends the call by one binding. The outer error is the peer's answer; it ends the call as a reply does.
    pub(super) async fn attempt(
        &self,
        step: &Step,
        mut attempt: Attempt,
        mut call: Call,
        limit: Option<Instant>,
    ) -> Result<Result<Reply, Failed>, CallError> {
        let transport = &self.transports[step.binding];
        let context = call.context_mut();
        if let Some(to) = &step.connect_to {
            context.connect_to = Some(to.clone());
        }
        context.sessions = match step.required {
            Some(_) => Some(SessionUse::Required),
            None => step.sessions.or(context.sessions),
        };
        context.sessions_said_by = step.required;
        context.sessions_offered = step.offers_sessions;
        context.note_binding(transport.name());
        // Who is still to prove the origin does so for this attempt; what was signed before holds for all of them.
        let proves = context.signer().is_some();
        if proves {
            context.note_proof(|| None);
        }
        let deadline = context.deadline;
        if let Err(error) = sign_for(&**transport, &mut call, step.required) {
            let CallError::Transport(error) = error else {
                return Err(error);
            };
            // It says nothing of the binding.
            return Ok(Err(Failed { error, hung: None }));
        }
        let notes = call.context().notes.clone().filter(|_| proves);
        let sending = transport.send(call);
        let result = match limit {
            Some(limit) => match timeout_at(limit, sending).await {
                Ok(result) => result,
                Err(_) => {
                    let error = no_reply(transport.name(), attempt.begun());
                    attempt.failed(&error.clone().into(), Some(Instant::now()), &self.options);
                    return Ok(Err(Failed {
                        error,
                        hung: Some(attempt),
                    }));
                }
            },
            None => sending.await,
        };
        if let Some(notes) = notes {
            notes.attempted(&result);
        }
        match result {
            Ok(reply) => {
                attempt.answered(false);
                self.keep(attempt.destination()).await;
                let options = self.options.clone();
                let watched = Watched {
                    attempt,
                    deadline,
                    options,
                };
                stream::watch(reply, watched).map(Ok)
            }
            Err(CallError::Federation(error)) => {
                attempt.answered(true);
                self.keep(attempt.destination()).await;
                attempt.worked();
                Err(error.into())
            }
            Err(CallError::Transport(error)) => {
                attempt.failed(&error.clone().into(), deadline, &self.options);
                Ok(Err(Failed { error, hung: None }))
            }
        }
    }

    /// Remembers a destination as one that answers.
    async fn keep(&self, destination: &Arc<Destination>) {
        if !self.destinations.contains_key(&destination.name) {
            let name = destination.name.clone();
            self.destinations.insert(name, destination.clone()).await;
        }
    }

    /// Until when the first attempt may wait, if the call may be repeated at all.
    pub(super) fn limit(&self, call: &Call, begun: Instant) -> Option<Instant> {
        let spec = call.spec();
        if !spec.idempotency.is_repeatable() || self.options.reserve.is_zero() {
            return None;
        }
        let now = Instant::now();
        let context = call.context();
        let head = context.head_by.unwrap_or(begun + spec.clocks.head);
        let end = context.deadline.map_or(head, |end| end.min(head));
        let left = end.saturating_duration_since(now);
        Some(now + left.saturating_sub(self.options.reserve.min(left / 2)))
    }

    fn fell_back(
        &self,
        destination: &Destination,
        call: &Call,
        (from, to): (&Step, &Step),
        reason: FallbackReason,
    ) {
        destination.count(from.binding, reason);
        let fallback = FellBack {
            destination: destination.name.clone(),
            operation: call.spec().name,
            from: self.transports[from.binding].name(),
            to: self.transports[to.binding].name(),
            reason,
        };
        fallback.trace();
        if let Some(observer) = &self.options.observer {
            observer.fell_back(&fallback);
        }
    }
}

/// Whether the deadline leaves time for another attempt.
fn has_time(call: &Call) -> bool {
    let deadline = call.context().deadline;
    deadline.is_none_or(|deadline| deadline > Instant::now())
}

fn no_reply(binding: &str, begun: Instant) -> TransportError {
    let message = format!(
        "no reply over {binding} within {:?}; the time left is kept for another binding",
        begun.elapsed()
    );
    TransportError::new(
        TransportErrorKind::Timeout,
        Delivery::MaybeProcessed,
        message,
    )
}

/// The error of two attempts: the second's, but no more certain than both.
fn both(first: TransportError, second: TransportError, binding: &str) -> TransportError {
    let delivery = match (first.delivery(), second.delivery()) {
        (Delivery::MaybeProcessed, _) => Delivery::MaybeProcessed,
        (_, second) => second,
    };
    let message = format!("{second}; before that, over {binding}: {first}");
    TransportError::new(second.kind(), delivery, message).with_source(second)
}
