//! Whether a peer's call is what it says it is, before the homeserver sees it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use comity_core::{
    ServerName,
    auth::{Authenticator, KeyFault, KeyId, KeySource, Origin, VerifyKey, XMatrixAuthenticator},
    call::{Authentication, Call, Reply, Unregistered},
    error::{CallError, FederationError},
    layers::{Around, AroundLayer, Inner, around},
};

use crate::counts::Counts;

/// Refuses what is proven wrong. Where no key can be had, a call of the table passes unverified, and is counted: the homeserver verifies again, and knows keys that the
/// gateway does not. Nothing vouches for what a call that no row knows would do there, so that needs a proof here.
pub(crate) struct Verification {
    own_name: ServerName,
    keys: Arc<dyn KeySource>,
    danger_deliver_unverified: bool,
    counts: Arc<Counts>,
}

enum Verdict {
    Proven(Origin),
    /// The proof is missing, malformed, for another server, or wrong.
    Refused(FederationError),
    /// No key could be had.
    Open(FederationError),
}

impl Verification {
    pub(crate) fn layer(
        own_name: ServerName,
        keys: Arc<dyn KeySource>,
        danger_deliver_unverified: bool,
        counts: Arc<Counts>,
    ) -> AroundLayer<Self> {
        around(Self {
            own_name,
            keys,
            danger_deliver_unverified,
            counts,
        })
    }

    async fn judge(&self, call: &mut Call) -> Verdict {
        let keys = Arc::new(Watched {
            keys: Arc::clone(&self.keys),
            asked: AtomicBool::new(false),
            given: AtomicBool::new(false),
        });
        let authenticator = XMatrixAuthenticator::new(self.own_name.clone(), keys.clone());
        match authenticator.authenticate(call).await {
            Ok(origin) => Verdict::Proven(origin),
            Err(error) if keys.none_was_had() => Verdict::Open(error),
            Err(error) => Verdict::Refused(error),
        }
    }
}

impl Around for Verification {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let addressed = call.context().destination.as_ref();
        if addressed.is_some_and(|addressed| *addressed != self.own_name)
            && !self.danger_deliver_unverified
        {
            self.counts.refused.add();
            let message = format!("the call is for another server than {}", self.own_name);
            return Err(FederationError::unauthorized(message).into());
        }
        if call.spec().authentication == Authentication::Server {
            let registered = call.operation() != Unregistered::operation();
            match self.judge(&mut call).await {
                Verdict::Proven(origin) => call.context_mut().set_proof(origin),
                Verdict::Open(error) if registered => {
                    self.counts.unverified.add();
                    tracing::info!(operation = call.spec().name, reason = %error, "delivered unverified: no key could be had");
                }
                Verdict::Refused(error) if registered && self.danger_deliver_unverified => {
                    self.counts.danger_delivered.add();
                    tracing::warn!(operation = call.spec().name, reason = %error, "delivered although the proof is bad");
                }
                Verdict::Refused(error) | Verdict::Open(error) => {
                    self.counts.refused.add();
                    tracing::info!(operation = call.spec().name, reason = %error, "refused");
                    return Err(error.into());
                }
            }
        }
        call.context_mut().destination = Some(self.own_name.clone());
        inner.call(call).await
    }
}

/// A source of keys that remembers whether it was asked for one, and had one.
#[derive(Debug)]
struct Watched {
    keys: Arc<dyn KeySource>,
    asked: AtomicBool,
    given: AtomicBool,
}

impl Watched {
    fn none_was_had(&self) -> bool {
        self.asked.load(Ordering::Relaxed) && !self.given.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl KeySource for Watched {
    async fn request_key(&self, server: &ServerName, key: &KeyId) -> Result<VerifyKey, KeyFault> {
        self.asked.store(true, Ordering::Relaxed);
        let key = self.keys.request_key(server, key).await?;
        self.given.store(true, Ordering::Relaxed);
        Ok(key)
    }
}

impl fmt::Debug for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verification")
            .field("own_name", &self.own_name)
            .finish_non_exhaustive()
    }
}
