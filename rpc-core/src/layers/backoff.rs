//! A destination that fails is left alone for a while.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Around, AroundLayer, Inner, around, stream};
use crate::{
    ServerName,
    api::{
        GetPublicRooms, Invite, InviteV1, MakeLeave, PolicySign, QueryPublicRooms, SendLeave,
        SendLeaveV1, SendTransaction,
    },
    call::{Call, Operation, OperationSpec, Reply},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
    jitter,
};

/// How a destination is left alone. The defaults are what Synapse does (`util/retryutils.py`).
#[derive(Debug, Clone)]
pub struct BackoffOptions {
    /// How long, the first time. Then twice as long, by chance a fifth less or two fifths more.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
    /// Most failing destinations that are remembered. Those that are next to be tried are forgotten first.
    pub capacity: usize,
    /// Names of operations that are sent all the same, because a user waits for them. What they come to counts.
    pub sent_anyway: BTreeSet<&'static str>,
    /// Names of operations whose every error answer counts.
    pub every_error: BTreeSet<&'static str>,
    /// Names of operations whose 404 counts.
    pub not_found: BTreeSet<&'static str>,
}

impl Default for BackoffOptions {
    /// 10 minutes, 7 days, 10,000 destinations. Sent anyway: invites, leaves, public rooms and policy signatures. Every error of a transaction
    /// counts, and no 404 of another operation.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(600),
            longest: Duration::from_secs(7 * 24 * 3600),
            capacity: 10_000,
            sent_anyway: BTreeSet::from([
                Invite::SPEC.name,
                InviteV1::SPEC.name,
                MakeLeave::SPEC.name,
                SendLeave::SPEC.name,
                SendLeaveV1::SPEC.name,
                GetPublicRooms::SPEC.name,
                QueryPublicRooms::SPEC.name,
                PolicySign::SPEC.name,
            ]),
            every_error: BTreeSet::from([SendTransaction::SPEC.name]),
            not_found: BTreeSet::new(),
        }
    }
}

/// Leaves a destination alone that fails: its calls are refused unsent until its time has passed, or until it [calls](Self::arrived) by itself.
///
/// What counts: a failure on the way, a 5xx, 401 or 429; of a transaction every error. A reply forgets it all. Any other error says nothing
/// of the destination, and neither does what this side did not want to send, or a deadline of the caller's that is shorter than the operation's clocks. What an answer asks for as `Retry-After` is the least wait. Calls that fail
/// together count once.
///
/// For servers that send on their own account. Outside of [`Clocks`](super::Clocks), so that a time that ran out is seen; a gateway has no use for it, because it attempts what its homeserver attempts.
#[derive(Clone)]
pub struct Backoff {
    options: Arc<BackoffOptions>,
    left: Arc<Mutex<HashMap<ServerName, Left>>>,
}

/// A destination that is left alone, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    interval: Duration,
    until: Instant,
}

/// What a call's outcome says of its destination.
enum Verdict {
    Works,
    Fails,
    Nothing,
}

impl Backoff {
    /// Remembers destinations by these rules.
    pub fn new(options: BackoffOptions) -> Self {
        Self {
            options: Arc::new(options),
            left: Arc::default(),
        }
    }

    /// The layer for a client.
    pub fn layer(&self) -> AroundLayer<Self> {
        around(self.clone())
    }

    /// The layer for a server, inside of verification: who calls can be called.
    pub fn arrivals(&self) -> AroundLayer<Arrivals> {
        around(Arrivals(self.clone()))
    }

    /// `origin` called, and proved who it is: it is called again at once.
    pub fn arrived(&self, origin: &ServerName) {
        if self.left().remove(origin).is_some() {
            tracing::debug!(%origin, "called by a server that was left alone");
        }
    }

    /// How long a destination is still left alone.
    pub fn left_alone(&self, destination: &ServerName) -> Option<Duration> {
        let until = self.left().get(destination)?.until;
        let wait = until.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }

    fn left(&self) -> MutexGuard<'_, HashMap<ServerName, Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, error: &CallError, spec: &OperationSpec) -> Verdict {
        use TransportErrorKind as Kind;
        let fails = match error {
            CallError::Federation(error) => {
                let status = error.http_status();
                let limited = error.errcode() == Some("M_LIMIT_EXCEEDED");
                status >= 500
                    || matches!(status, 401 | 429)
                    || limited
                    || self.options.every_error.contains(spec.name)
                    || status == 404 && self.options.not_found.contains(spec.name)
            }
            CallError::Transport(error) => match error.kind() {
                Kind::Resolve
                | Kind::Connect
                | Kind::Tls
                | Kind::Closed
                | Kind::Protocol
                | Kind::Timeout
                | Kind::Carrier => true,
                Kind::Cancelled
                | Kind::LimitExceeded
                | Kind::Busy
                | Kind::Unsupported
                | Kind::Refused => false,
            },
        };
        if fails {
            Verdict::Fails
        } else {
            Verdict::Nothing
        }
    }

    fn record(
        &self,
        destination: &ServerName,
        before: Option<Left>,
        verdict: Verdict,
        named: Option<Duration>,
    ) {
        let mut left = self.left();
        let now = Instant::now();
        let known = left.get(destination).copied();
        let interval = match verdict {
            Verdict::Works => {
                left.remove(destination);
                return;
            }
            // Another call, under way at the same time, raised it already.
            Verdict::Fails if known != before => Duration::ZERO,
            Verdict::Fails => match known.map(|known| known.interval) {
                Some(interval) if !interval.is_zero() => interval.mul_f64(jitter::factor(1.6, 2.8)),
                _ => self.options.first,
            },
            Verdict::Nothing => Duration::ZERO,
        };
        let wait = interval.max(named.unwrap_or_default());
        if wait.is_zero() {
            return;
        }
        let until = now + wait.min(self.options.longest);
        let raised = Left {
            interval: known
                .map_or(interval, |known| known.interval.max(interval))
                .min(self.options.longest),
            until: known.map_or(until, |known| known.until.max(until)),
        };
        if known.is_none() && left.len() >= self.options.capacity {
            forget_some(&mut left);
        }
        left.insert(destination.clone(), raised);
        drop(left);
        tracing::info!(%destination, ?wait, "a destination is left alone");
    }
}

/// Makes room: one in sixteen, so that this is not done for each. Those that are next to be tried lose least.
fn forget_some(left: &mut HashMap<ServerName, Left>) {
    let mut ends: Vec<Instant> = left.values().map(|left| left.until).collect();
    ends.sort_unstable();
    if let Some(&end) = ends.get(ends.len() / 16) {
        left.retain(|_, left| left.until > end);
    }
}

fn named_wait(error: &CallError) -> Option<Duration> {
    match error {
        CallError::Federation(error) => FederationError::retry_after(error),
        CallError::Transport(_) => None,
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff")
            .field("options", &self.options)
            .field("destinations", &self.left().len())
            .finish()
    }
}

impl Around for Backoff {
    async fn around<S: Inner>(
        self: Arc<Self>,
        call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let spec = call.spec();
        let Some(destination) = call.context().destination.clone() else {
            return inner.call(call).await;
        };
        if let Some(wait) = self.left_alone(&destination)
            && !self.options.sent_anyway.contains(spec.name)
        {
            let message = format!(
                "{destination} failed before and is left alone for another {wait:.0?} (setting `backoff`)"
            );
            return Err(TransportError::new(
                TransportErrorKind::Refused,
                Delivery::NotSent,
                message,
            )
            .into());
        }
        let now = Instant::now();
        if call.context().deadline.is_some_and(|by| by <= now) {
            // What becomes of a call that comes too late says nothing of the destination.
            return inner.call(call).await;
        }
        let deadline = call.context().deadline;
        let before = self.left().get(&destination).copied();
        let mut outcome = Outcome {
            backoff: self,
            destination,
            before,
            spec,
            begun: now,
            deadline,
            has_head: false,
        };
        match inner.call(call).await {
            Ok(reply) => {
                outcome.has_head = true;
                stream::watch(reply, outcome)
            }
            Err(error) => {
                stream::Watch::ended(&mut outcome, Some(&error));
                Err(error)
            }
        }
    }
}

/// Judges a call when its reply has ended. A caller who goes away before says nothing.
struct Outcome {
    backoff: Arc<Backoff>,
    destination: ServerName,
    before: Option<Left>,
    spec: &'static OperationSpec,
    begun: Instant,
    /// The caller's own.
    deadline: Option<Instant>,
    has_head: bool,
}

impl Outcome {
    /// Whether time ran out that the caller had cut short: any destination may be slower than that.
    fn is_callers_doing(&self, error: &CallError) -> bool {
        let late =
            matches!(error, CallError::Transport(it) if it.kind() == TransportErrorKind::Timeout);
        let now = Instant::now();
        let cut = self.deadline.is_some_and(|by| by <= now);
        let clocks = &self.spec.clocks;
        let own = match (self.has_head, clocks.total) {
            (true, total) => total,
            (false, Some(total)) => Some(total.min(clocks.head)),
            (false, None) => Some(clocks.head),
        };
        late && cut && own.is_none_or(|own| now < self.begun + own)
    }
}

impl stream::Watch for Outcome {
    fn ended(&mut self, error: Option<&CallError>) {
        let verdict = match error {
            None => Verdict::Works,
            Some(error) if self.is_callers_doing(error) => Verdict::Nothing,
            Some(error) => self.backoff.judge(error, self.spec),
        };
        let named = error.and_then(named_wait);
        self.backoff
            .record(&self.destination, self.before, verdict, named);
    }
}

/// See [`Backoff::arrivals`].
#[derive(Debug)]
pub struct Arrivals(Backoff);

impl Around for Arrivals {
    async fn around<S: Inner>(
        self: Arc<Self>,
        call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        if let Some(origin) = call.context().origin() {
            self.0.arrived(origin);
        }
        inner.call(call).await
    }
}
