//! Whether a peer's call is what it says it is, before the homeserver sees it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use comity_core::{
    ServerName,
    auth::{
        Authenticator, KeyFault, KeyId, KeySource, Origin, PreparedKeys, SessionCredential,
        VerifyKey, XMatrixAuthenticator, XMatrixCredentials,
    },
    call::{Authentication, Call, CallContext, Op, Reply, Unregistered},
    error::{CallError, FederationError},
    layers::{Around, AroundLayer, Inner, around},
};

use futures_util::FutureExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::admin::Metrics;

/// How long a call of the table waits for its origin's keys. Synapse gives a query 10 s in all, so it has to reach the homeserver well before.
const KEYS_WAIT: Duration = Duration::from_secs(2);

/// Of so many calls at once, one may wait for keys: so made-up origins leave the others their turn.
const CALLS_PER_WAITING: usize = 4;

/// The fault of a call that may not wait for keys, since as many as may are waiting.
const BUSY: &str = "keys_busy";

/// Refuses what is proven wrong. Where no key can be had, a call of the table passes unverified, and is counted: the homeserver verifies again, and knows keys that the
/// gateway does not. Nothing vouches for what a call that no row knows would do there, so that needs a proof here.
pub(crate) struct Verification {
    own_name: ServerName,
    keys: Arc<dyn KeySource>,
    prepared: Arc<PreparedKeys>,
    danger_deliver_unverified: bool,
    metrics: Metrics,
    /// For the calls that wait for keys.
    waiting: Arc<Semaphore>,
}

enum Verdict {
    Proven(Origin),
    /// The proof is missing, malformed, for another server, or wrong: which, and the answer.
    Refused(&'static str, FederationError),
    /// No key could be had: why, and the answer.
    Open(&'static str, FederationError),
}

impl Verification {
    /// Of `calls` at once, the setting `limits.calls`, a part may wait for keys.
    pub(crate) fn layer(
        own_name: ServerName,
        keys: Arc<dyn KeySource>,
        danger_deliver_unverified: bool,
        calls: usize,
        metrics: Metrics,
    ) -> AroundLayer<Self> {
        let prepared = keys.prepared_keys();
        around(Self {
            own_name,
            keys,
            prepared,
            danger_deliver_unverified,
            metrics,
            waiting: Arc::new(Semaphore::new((calls / CALLS_PER_WAITING).max(1))),
        })
    }

    /// Asks for keys until `until`; without it as long as the source takes.
    async fn judge(&self, call: &mut Call, until: Option<Instant>) -> Verdict {
        let keys = Arc::new(Watched {
            keys: Arc::clone(&self.keys),
            waiting: Arc::clone(&self.waiting),
            until,
            given: AtomicBool::new(false),
            fault: Mutex::default(),
        });
        let (name, prepared) = (self.own_name.clone(), Arc::clone(&self.prepared));
        let authenticator = XMatrixAuthenticator::with_prepared_keys(name, keys.clone(), prepared);
        let error = match authenticator.authenticate(call).await {
            Ok(origin) => return Verdict::Proven(origin),
            Err(error) => error,
        };
        if keys.given.load(Ordering::Relaxed) {
            return Verdict::Refused("signature", error);
        }
        if let Some(fault) = keys.fault() {
            let error = match fault {
                BUSY => FederationError::limit_exceeded(
                    format!(
                        "as many calls wait for keys as may: one in {CALLS_PER_WAITING} of those in progress (setting `limits.calls`)"
                    ),
                    Some(KEYS_WAIT),
                ),
                _ => error,
            };
            return Verdict::Open(fault, error);
        }
        // Nobody was asked for a key: it failed before.
        Verdict::Refused(unclaimed(call.context()), error)
    }
}

/// Why what travels with a call cannot be a proof.
fn unclaimed(context: &CallContext) -> &'static str {
    let headers = context.credentials.iter().map(str::as_bytes);
    match XMatrixCredentials::from_headers(headers) {
        Err(error) if error.is_missing() => "missing",
        Err(_) => "malformed",
        Ok(_) => "destination",
    }
}

/// A session proves the hop to us and no more, and would be a proof of ours to whoever stands behind: it is never passed on, not with a signature beside it, not on a
/// call that needs no proof, and not where bad proofs are delivered.
fn brings_session(context: &CallContext) -> Option<FederationError> {
    let mut credentials = context.credentials.iter();
    credentials
        .any(SessionCredential::is_one)
        .then(|| FederationError::unauthorized("a gateway accepts no session"))
}

/// What the bindings' servers ask before they read a body: refuses what [`Verification`] would refuse without a key.
#[derive(Debug)]
pub(crate) struct Screen {
    authenticator: XMatrixAuthenticator,
    metrics: Metrics,
}

impl Screen {
    pub(crate) fn new(own_name: ServerName, keys: Arc<dyn KeySource>, metrics: Metrics) -> Self {
        let authenticator = XMatrixAuthenticator::new(own_name, keys);
        Self {
            authenticator,
            metrics,
        }
    }
}

#[async_trait]
impl Authenticator for Screen {
    async fn authenticate(&self, call: &mut Call) -> Result<Origin, FederationError> {
        self.authenticator.authenticate(call).await
    }

    fn screen(&self, op: Op, context: &CallContext) -> Result<(), FederationError> {
        self.authenticator.screen(op, context).inspect_err(|error| {
            let (operation, reason) = (op.spec().name, unclaimed(context));
            self.metrics
                .authentication_failed(operation, context.binding, reason);
            tracing::info!(operation, reason, %error, "refused");
        })
    }
}

impl Around for Verification {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let (operation, binding) = (call.spec().name, call.context().binding);
        if let Some(error) = brings_session(call.context()) {
            self.metrics
                .authentication_failed(operation, binding, "session");
            tracing::info!(operation, reason = "session", %error, "refused");
            return Err(error.into());
        }
        let registered = call.operation() != Unregistered::operation();
        let verdict = match (&call.context().destination, call.spec().authentication) {
            (Some(addressed), _) if *addressed != self.own_name => {
                let message = format!("the call is for another server than {}", self.own_name);
                Some(Verdict::Refused(
                    "destination",
                    FederationError::unauthorized(message),
                ))
            }
            (_, Authentication::Server) => {
                let until = registered.then(|| Instant::now() + KEYS_WAIT);
                Some(self.judge(&mut call, until).await)
            }
            (_, Authentication::None | Authentication::AccessToken) => None,
        };
        match verdict {
            None => {}
            Some(Verdict::Proven(origin)) => call.context_mut().set_proof(origin),
            Some(Verdict::Open(reason, error)) if registered => {
                self.metrics.unverified(operation, binding, reason);
                tracing::info!(operation, reason, %error, "delivered unverified");
            }
            Some(Verdict::Refused(reason, error))
                if registered && self.danger_deliver_unverified =>
            {
                self.metrics.unverified(operation, binding, "danger");
                tracing::warn!(operation, reason, %error, "delivered although the proof is bad");
            }
            Some(Verdict::Refused(reason, error) | Verdict::Open(reason, error)) => {
                self.metrics
                    .authentication_failed(operation, binding, reason);
                tracing::info!(operation, reason, %error, "refused");
                return Err(error.into());
            }
        }
        call.context_mut().destination = Some(self.own_name.clone());
        inner.call(call).await
    }
}

/// A source of keys that remembers whether it had one, and why not. Who stops waiting for it leaves its fetch under way.
#[derive(Debug)]
struct Watched {
    keys: Arc<dyn KeySource>,
    waiting: Arc<Semaphore>,
    until: Option<Instant>,
    given: AtomicBool,
    fault: Mutex<Option<&'static str>>,
}

impl Watched {
    /// The key if it is at hand; if not, it is waited for as long as this call may.
    async fn key(
        &self,
        server: &ServerName,
        key: &KeyId,
    ) -> Result<Result<VerifyKey, KeyFault>, &'static str> {
        let mut asked = self.keys.request_key(server, key);
        if let Some(had) = (&mut asked).now_or_never() {
            return Ok(had);
        }
        let _permit: OwnedSemaphorePermit = Arc::clone(&self.waiting)
            .try_acquire_owned()
            .map_err(|_| BUSY)?;
        match self.until {
            None => Ok(asked.await),
            Some(until) => timeout_at(until, asked)
                .await
                .map_err(|_| "key_unavailable"),
        }
    }

    fn fail(&self, reason: &'static str) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    fn fault(&self) -> Option<&'static str> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl KeySource for Watched {
    async fn request_key(&self, server: &ServerName, key: &KeyId) -> Result<VerifyKey, KeyFault> {
        let had = match self.key(server, key).await {
            Ok(had) => had,
            Err(reason) => {
                self.fail(reason);
                let why = "this call could not wait for it any longer";
                return Err(KeyFault::Unreachable(why.to_owned()));
            }
        };
        match &had {
            Ok(_) => self.given.store(true, Ordering::Relaxed),
            Err(fault) => {
                self.fail(match fault {
                    KeyFault::Unknown => "key_unknown",
                    KeyFault::Expired => "key_expired",
                    KeyFault::Unreachable(_) => "key_unavailable",
                });
            }
        }
        had
    }
}

impl fmt::Debug for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verification")
            .field("own_name", &self.own_name)
            .finish_non_exhaustive()
    }
}
