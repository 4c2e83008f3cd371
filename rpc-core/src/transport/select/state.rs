//! What is remembered of a destination: how each binding fared.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{FallbackReason, SelectOptions, offers::LookUp, status::Latency};
use crate::{
    ServerName,
    error::{CallError, TransportError, TransportErrorKind},
    jitter,
    layers::stream,
    transport::ConnectTo,
};

/// Failures in a row that count for nothing by themselves: that the binding cannot carry a call says something of the call, until it says it of every call.
const STRIKES: u32 = 3;

/// A destination. Bindings stand in the order of the transports: the baseline first.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) name: ServerName,
    pub(super) look_up: LookUp,
    bindings: Box<[(&'static str, Mutex<Fared>)]>,
}

/// How a binding fared.
#[derive(Debug, Default)]
pub(super) struct Fared {
    pub(super) calls: u64,
    pub(super) errors: u64,
    pub(super) error_answers: u64,
    pub(super) in_flight: u64,
    pub(super) fallbacks: [u64; FallbackReason::ALL.len()],
    pub(super) latency: Latency,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Left alone until then.
    pub(super) until: Option<Instant>,
    /// Where it failed: another place is another chance.
    at: Option<ConnectTo>,
    /// A call is finding out whether it works.
    probing: bool,
    /// Where it was answered.
    answered_at: Option<Option<ConnectTo>>,
    worked: bool,
    strikes: u32,
}

impl Fared {
    /// Why no call may go by it now, if so: it is left alone, or one call finds out first. `proven` is what the operator says works.
    pub(super) fn refuses(&self, to: Option<&ConnectTo>, proven: bool) -> Option<FallbackReason> {
        match self.until {
            Some(until) if self.at.as_ref() == to => {
                let refuses = until > Instant::now() || self.probing;
                refuses.then_some(FallbackReason::BackingOff)
            }
            _ => {
                let refuses = self.probing && !proven && !self.has_answered(to);
                refuses.then_some(FallbackReason::Unproven)
            }
        }
    }

    fn has_answered(&self, to: Option<&ConnectTo>) -> bool {
        let at = self.answered_at.as_ref();
        at.is_some_and(|at| at.as_ref() == to)
    }
}

impl Destination {
    pub(super) fn new(
        name: ServerName,
        bindings: impl Iterator<Item = &'static str>,
        sources: usize,
    ) -> Self {
        Self {
            name,
            look_up: LookUp::new(sources),
            bindings: bindings.map(|name| (name, Mutex::default())).collect(),
        }
    }

    pub(super) fn fared(&self, binding: usize) -> MutexGuard<'_, Fared> {
        let (_, fared) = &self.bindings[binding];
        fared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an attempt. Unless it is `forced`, a binding that is left alone refuses.
    ///
    /// # Errors
    /// Why it refuses.
    pub(super) fn begin(
        self: &Arc<Self>,
        binding: usize,
        to: Option<ConnectTo>,
        proven: bool,
        forced: bool,
    ) -> Result<Attempt, FallbackReason> {
        let mut fared = self.fared(binding);
        if let Some(reason) = fared.refuses(to.as_ref(), proven)
            && !forced
        {
            return Err(reason);
        }
        if fared.until.is_some() && fared.at != to {
            (fared.failures, fared.strikes, fared.until) = (0, 0, None);
        }
        let unknown = fared.until.is_some() || !proven && !fared.has_answered(to.as_ref());
        let probes = unknown && !fared.probing;
        fared.probing |= probes;
        fared.calls += 1;
        fared.in_flight += 1;
        drop(fared);
        Ok(Attempt {
            destination: self.clone(),
            binding,
            to,
            begun: Instant::now(),
            probes,
        })
    }

    pub(super) fn count(&self, binding: usize, reason: FallbackReason) {
        self.fared(binding).fallbacks[reason as usize] += 1;
    }
}

/// An attempt by one binding, until its reply has ended. Dropping it says nothing of the binding.
#[derive(Debug)]
pub(super) struct Attempt {
    destination: Arc<Destination>,
    binding: usize,
    to: Option<ConnectTo>,
    begun: Instant,
    probes: bool,
}

impl Attempt {
    pub(super) fn destination(&self) -> &Arc<Destination> {
        &self.destination
    }

    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// The reply's head came, or an error as the answer.
    pub(super) fn answered(&mut self, error: bool) {
        let mut fared = self.destination.fared(self.binding);
        fared.answered_at = Some(self.to.clone());
        fared.probing &= !std::mem::take(&mut self.probes);
        fared.latency.record(self.begun.elapsed());
        fared.error_answers += u64::from(error);
    }

    /// The whole reply came: the binding works.
    pub(super) fn worked(&self) {
        let mut fared = self.destination.fared(self.binding);
        fared.worked = true;
        (fared.failures, fared.strikes) = (0, 0);
        (fared.until, fared.at) = (None, None);
    }

    /// The attempt failed. What it says of the binding decides how long that is left alone.
    pub(super) fn failed(
        &self,
        error: &CallError,
        deadline: Option<Instant>,
        options: &SelectOptions,
    ) {
        let CallError::Transport(error) = error else {
            // An answer in the middle of a stream is the peer's word.
            return;
        };
        let mut fared = self.destination.fared(self.binding);
        fared.errors += 1;
        let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
        let blame = match blames(error, is_late) {
            Blame::Binding => true,
            Blame::Call => false,
            Blame::Either => {
                fared.strikes += 1;
                !fared.worked || fared.strikes >= STRIKES
            }
        };
        // The baseline is never left alone: there is nothing behind it.
        if blame && self.binding != 0 {
            self.leave_alone(&mut fared, options);
        }
    }

    /// No reply came while another binding had one.
    pub(super) fn hung(&self, options: &SelectOptions) {
        let mut fared = self.destination.fared(self.binding);
        if self.binding != 0 {
            self.leave_alone(&mut fared, options);
        }
    }

    fn leave_alone(&self, fared: &mut Fared, options: &SelectOptions) {
        // Calls that were under way together fail together: one failure.
        let known = fared.until.is_some() && fared.at == self.to;
        if known && fared.until.is_some_and(|until| until > Instant::now()) {
            return;
        }
        fared.failures = if known { fared.failures + 1 } else { 1 };
        let doubled = options
            .backoff
            .saturating_mul(1 << fared.failures.saturating_sub(1).min(16));
        let most = options.longest_backoff.div_f64(MOST_JITTER);
        let wait = doubled.min(most).mul_f64(jitter::factor(1.0, MOST_JITTER));
        fared.until = Some(Instant::now() + wait);
        fared.at.clone_from(&self.to);
        tracing::info!(
            destination = %self.destination.name,
            binding = self.destination.bindings[self.binding].0,
            failures = fared.failures,
            ?wait,
            "a binding is left alone"
        );
    }
}

/// The most by which a wait is lengthened at random.
const MOST_JITTER: f64 = 1.4;

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut fared = self.destination.fared(self.binding);
        fared.in_flight -= 1;
        if self.probes {
            fared.probing = false;
        }
    }
}

/// Follows a reply to its end: a binding that breaks off every reply does not work.
pub(super) struct Watched {
    pub(super) attempt: Attempt,
    pub(super) deadline: Option<Instant>,
    pub(super) options: Arc<SelectOptions>,
}

impl stream::Watch for Watched {
    fn ended(&mut self, error: Option<&CallError>) {
        match error {
            None => self.attempt.worked(),
            Some(error) => self.attempt.failed(error, self.deadline, &self.options),
        }
    }
}

enum Blame {
    Binding,
    Call,
    Either,
}

/// What a failure says. A slow answer says nothing of the binding.
fn blames(error: &TransportError, is_late: bool) -> Blame {
    use TransportErrorKind as Kind;
    match error.kind() {
        Kind::Cancelled | Kind::LimitExceeded | Kind::Busy => Blame::Call,
        Kind::Unsupported => Blame::Either,
        Kind::Timeout if is_late => Blame::Call,
        Kind::Resolve
        | Kind::Connect
        | Kind::Tls
        | Kind::Closed
        | Kind::Protocol
        | Kind::Timeout
        | Kind::Refused
        | Kind::Carrier => Blame::Binding,
    }
}

/// How long from now.
pub(super) fn left(until: Option<Instant>) -> Option<Duration> {
    let left = until?.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(left)
}
